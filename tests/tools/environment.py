"""The virtual environment `.venv`: made once, and again only when what it holds should change."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib

from tests.tools.report import ROOT, Failure, run_logged, say

FOLDER = ROOT / ".venv"
PYTHON = FOLDER / "bin" / "python"

# which of pyproject.toml's lists each group adds to the build's and the package's own
GROUPS = {"run": ["cli"], "test": ["cli", "dev"], "docs": ["docs"]}


def requirements(group):
    """What `.venv` must hold for `group`, as pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [project["build-system"]["requires"], project["project"]["dependencies"]]
    lists += [project["project"]["optional-dependencies"][extra] for extra in GROUPS[group]]
    return [requirement for entries in lists for requirement in entries]


def stamp_of(wanted):
    """Changes when the requirements, the package's metadata or the Python do."""
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return hashlib.sha256(
        json.dumps([wanted, metadata, sys.version, str(ROOT)]).encode()
    ).hexdigest()


def ensure(group):
    """Makes `.venv` hold the requirements of `group`, and this checkout as an editable install."""
    wanted = requirements(group)
    stamp = stamp_of(wanted)
    stamp_file = FOLDER / f"fastlog-{group}.stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp and works():
        return
    if not works():
        say(f"python -m venv {FOLDER.name}")
        shutil.rmtree(FOLDER, ignore_errors=True)
        run_logged("venv", [sys.executable, "-m", "venv", FOLDER])
    say(f"pip install ({group}): {' '.join(wanted)}")
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    run_logged("pip install", [*pip, *wanted])
    # No module is built here: the extensions are, incrementally, by extensions.py.
    environment = {**os.environ, "FASTLOG_MODULES": "none"}
    editable = [*pip, "--no-build-isolation", "--no-deps", "--editable", ROOT]
    run_logged("pip install editable", editable, environment=environment)
    stamp_file.write_text(stamp)


def works():
    """Whether `.venv` runs the same Python as we do: it may be half made, or its Python gone."""
    if not PYTHON.exists():
        return False
    question = "import sys, pip; print(sys.version)"
    try:
        answer = subprocess.run([PYTHON, "-c", question], text=True, capture_output=True)
    except OSError as error:
        raise Failure(f"{PYTHON}: {error.strerror}") from None
    return answer.returncode == 0 and answer.stdout.strip() == sys.version.strip()


def tool_environment(**more):
    """The environment for what runs inside `.venv`: its programs first."""
    path = f"{FOLDER / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "VIRTUAL_ENV": str(FOLDER), "PATH": path, **more}
