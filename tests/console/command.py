"""The `fastlog` command as a user runs it: a process, its output and its exit code."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def fastlog(
    *arguments: object, stdin: bytes = b"", folder: Path = ROOT, deadline_s: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Runs `fastlog ARGUMENTS` to its end."""
    command = [sys.executable, "-m", "fastlog", *map(_text, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=deadline_s, cwd=folder, env=environment
    )


def _text(argument: object) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)


def output(*arguments: object, stdin: bytes = b"", folder: Path = ROOT) -> bytes:
    """What a command that must succeed prints."""
    done = fastlog(*arguments, stdin=stdin, folder=folder)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stderr == b"", "a command that succeeds is silent where nobody watches"
    return done.stdout


def failure(
    *arguments: object, stdin: bytes = b"", folder: Path = ROOT, lines: int = 1, code: int = 1
) -> str:
    """What a command that must fail says: so many lines, each the command's own, no traceback."""
    done = fastlog(*arguments, stdin=stdin, folder=folder)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == code, said
    assert len(said.splitlines()) == lines, said
    assert all(line.startswith("fastlog: ") for line in said.splitlines()), said
    return said
