"""Small files that are replaced as a whole and survive a crash, before or after."""

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Makes creations, renames and removals in a folder durable. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Writes `<path>.tmp`, syncs it, renames it over `path`, syncs the folder. OSError."""
    temporary = Path(f"{path}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)
