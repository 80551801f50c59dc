"""A file system of a few megabytes, to be filled."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20


def mount(folder: Path, options: str) -> None:
    """A tmpfs at an empty folder, or with "remount,..." other options for it."""
    assert os.geteuid() == 0, "this test mounts a tmpfs: run it as root (with CAP_SYS_ADMIN)"
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of that size at a folder that is made for it."""
    folder.mkdir()
    mount(folder, f"size={size}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(folder: Path) -> None:
    """Leaves no room at all."""
    with open(folder / "ballast", "ab", buffering=0) as ballast, suppress(OSError):
        while ballast.write(b"x" * MIB) == MIB or ballast.write(b"x" * 4096) == 4096:
            pass
