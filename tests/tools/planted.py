"""A copy of the project with mistakes in it, to show that a test can fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.tools.report import ROOT

Changes = Mapping[str, Callable[[str], str]]


def planted_tree(
    tree: Path, changes: Changes, *folders: str, also: Iterable[str] = (), **variables: str
) -> Path:
    """Copies the package and `folders` to `tree`, changes some modules' source, and builds those.

    So are those named by `also`, all with `variables` for setup.py. The other modules are this
    checkout's own, as they are built. Each change must change something.
    """
    for name in ("fastlog", "fastlog_ext", *folders):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", tree)
    for module, change in changes.items():
        source = tree / "fastlog_ext" / f"{module}.pyx"
        text = source.read_text()
        changed = change(text)
        assert changed != text, f"{module} has no place any more where the test plants its mistake"
        source.write_text(changed)
    modules = ",".join([*changes, *also])
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"],
        cwd=tree,
        env={**os.environ, **variables, "FASTLOG_MODULES": modules},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tree


def instead(place: str, planted: str) -> Callable[[str], str]:
    """The change that puts `planted` where `place` stands."""
    return lambda source: source.replace(place, planted)


def run_in(
    tree: Path, *command: object, before: Iterable[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """`python COMMAND` with the modules of a tree, by a program that is named `before` it."""
    return subprocess.run(
        [*before, sys.executable, *map(str, command)],
        cwd=tree,
        env={**os.environ, **variables, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
