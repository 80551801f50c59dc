"""Builds the extensions, and only when their sources, the flags or the tools changed.

The release build is made in place. A variant (debug, a sanitizer) is made in a copy of the tree
under `.dev/`, because its modules have the same file names.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.tools import environment, nogil_check
from tests.tools.report import ROOT, WORK, Failure, run_logged, say

SOURCE_SUFFIXES = {".pyx", ".pxd", ".c", ".h"}
COPIED = ["fastlog", "fastlog_ext", "cluster_tools", "benchmarks", "tests", "docs"]
COPIED_FILES = ["setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "dev"]

VARIANTS = {
    "release": {},
    "debug": {"FASTLOG_DEBUG": "1"},
    "address": {"FASTLOG_DEBUG": "1", "FASTLOG_SANITIZE": "address,undefined"},
    "fuzz": {
        "FASTLOG_DEBUG": "1",
        "FASTLOG_SANITIZE": "address,undefined",
        "FASTLOG_FUZZ": "1",
    },
    "thread": {"FASTLOG_DEBUG": "1", "FASTLOG_SANITIZE": "thread"},
}


def tree_of(variant):
    """The folder in which `variant` is built and tested."""
    return ROOT if variant == "release" else WORK / variant


def ensure(variant="release"):
    """Builds `variant` if it is not what the sources say. Returns its tree."""
    WORK.mkdir(exist_ok=True)
    with open(WORK / "build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = tree_of(variant)
        if variant != "release":
            copy_tree(tree)
        stamp_file = WORK / f"build-{variant}.stamp"
        stamp = stamp_of(variant)
        modules = sorted(path.stem for path in (tree / "fastlog_ext").glob("*.pyx"))
        if stamp_file.exists() and stamp_file.read_text() == stamp and built(tree, modules):
            return tree
        if stamp_file.exists() and stamp_file.read_text()[:64] != stamp[:64]:
            discard(tree)  # setuptools compares times only, and would keep what other flags made
        stamp_file.unlink(missing_ok=True)
        say(f"building {len(modules)} extensions ({variant})")
        build(variant, tree)
        stamp_file.write_text(stamp)
    return tree


def discard(tree):
    """Removes what an earlier build left in `tree`."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    for path in (tree / "fastlog_ext").glob("*.so"):
        path.unlink()


def current(variant="release"):
    """Whether nothing is to be built; a look that starts no compiler that may be missing."""
    stamp_file = WORK / f"build-{variant}.stamp"
    return stamp_file.exists() and stamp_file.read_text() == stamp_of(variant)


def build(variant, tree):
    """Runs setup.py in `tree`, then the check of the C that came out."""
    command = [environment.PYTHON, "setup.py", "-q", "build_ext", "--inplace"]
    variables = environment.tool_environment(**VARIANTS[variant])
    variables.pop("FASTLOG_MODULES", None)
    output = run_logged(f"build {variant}", command, environment=variables, folder=tree)
    generated = tree / "build" / "cython" / "fastlog_ext"
    hints = nogil_check.performance_hints(output)
    for line in hints:
        # Cython tells a hint only when it translates, so let it translate again next time.
        Path(generated, Path(line.split(":")[1].strip()).stem + ".c").unlink(missing_ok=True)
    problems = hints + nogil_check.check_tree(tree / "fastlog_ext", generated)
    if problems:
        listing = "\n".join("    " + problem for problem in problems)
        raise Failure(f"the C of functions that must run without the GIL:\n{listing}")


def stamp_of(variant):
    """A hash of flags and tools, then one of the sources: the first part forces all modules."""
    tools = hashlib.sha256()
    for part in (variant, str(VARIANTS[variant]), cython_version(), compiler_version()):
        tools.update(part.encode() + b"\0")
    tools.update((ROOT / "setup.py").read_bytes())
    sources = hashlib.sha256()
    folders = [ROOT / "fastlog_ext"]
    folders += [ROOT / "tests" / "fuzz" / "native"] if variant == "fuzz" else []
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        if path.suffix in SOURCE_SUFFIXES:
            sources.update(path.name.encode() + b"\0" + path.read_bytes())
    return tools.hexdigest() + sources.hexdigest()


def cython_version():
    """As the folder of its metadata names it: starting Cython only to ask would take longer."""
    found = environment.FOLDER.glob("lib/python*/site-packages/[Cc]ython-*.dist-info")
    return ",".join(sorted(str(path) for path in found))


def compiler_version():
    """What the compiler calls itself."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return ""
    return subprocess.run([compiler, "--version"], text=True, capture_output=True).stdout


def built(tree, modules):
    """Whether every module has its shared object."""
    return all(any((tree / "fastlog_ext").glob(f"{name}.*.so")) for name in modules)


def copy_tree(tree):
    """Brings what changed in the checkout into `tree`, keeping times so that little is rebuilt."""
    tree.mkdir(parents=True, exist_ok=True)
    wanted = set()
    for top in COPIED:
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix not in (".so", ".pyc"):
                wanted.add(path.relative_to(ROOT))
    wanted |= {Path(name) for name in COPIED_FILES if (ROOT / name).exists()}
    for top in COPIED:
        for path in list((tree / top).rglob("*")):
            stale = path.is_file() and path.suffix not in (".so", ".pyc")
            if stale and path.relative_to(tree) not in wanted:
                path.unlink()
    for relative in wanted:
        source, target = ROOT / relative, tree / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copy2(source, target)
            os.utime(target)
