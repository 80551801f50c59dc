"""A copy of the project with a mistake in it, to show that a test can fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.tools.report import ROOT


def planted_tree(tree: Path, module: str, change: Callable[[str], str], *folders: str) -> Path:
    """Copies the package and `folders` to `tree`, changes one module's source, and builds that one.

    The other modules are this checkout's own, as they are built. `change` must change something.
    """
    for name in ("fastlog", "fastlog_ext", *folders):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", tree)
    source = tree / "fastlog_ext" / f"{module}.pyx"
    text = source.read_text()
    changed = change(text)
    assert changed != text, f"{module} has no place any more where the test plants its mistake"
    source.write_text(changed)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"],
        cwd=tree,
        env={**os.environ, "FASTLOG_MODULES": module},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tree


def run_in(tree: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """`python COMMAND` with the modules of a tree."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
