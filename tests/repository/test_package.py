"""What is shipped: the sdist can be built from, the wheel has what users import and cimport."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

import fastlog
from tests.tools.source_tree import ROOT, text_files

METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED_TO_BUILD = (".pyx", ".pxd", ".c", ".h", ".pyi")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project's files: building writes beside them."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in text_files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    return folder


def run(command, folder, **variables):
    """Runs a build step. Returns (exit code, what it printed)."""
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(checkout):
    """The source distribution, as `python -m build --sdist` makes it."""
    code, said = run([sys.executable, "-m", "build", "--sdist", "--no-isolation"], checkout)
    assert code == 0, said
    return next((checkout / "dist").glob("*.tar.gz"))


def test_the_version_is_told_once():
    version = METADATA["project"]["version"]
    assert fastlog.__version__ == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_the_sdist_has_every_source(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    packages = ("fastlog", "fastlog_ext", "cluster_tools")
    wanted = {
        str(path)
        for path in text_files()
        if path.parts[0] in packages and (path.suffix in (*NEEDED_TO_BUILD, ".py"))
    }
    assert wanted - names == set()
    assert {"setup.py", "pyproject.toml", "README.md", "fastlog_ext/py.typed"} <= names
    left_over = [
        name for name in names if name.endswith((".so", ".pyc")) or name.startswith(".dev")
    ]
    assert left_over == []


def test_the_wheel_has_what_users_import_and_cimport(sdist, tmp_path):
    shutil.unpack_archive(sdist, tmp_path)
    source = next(tmp_path.iterdir())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    code, said = run(command, source, FASTLOG_MODULES="none")
    assert code == 0, said
    with zipfile.ZipFile(next((source / "dist").glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "fastlog = fastlog.console.main:main" in wheel.read(points).decode()
    declarations = {
        str(path)
        for path in text_files()
        if path.suffix in (".pxd", ".pyi") and path.parts[0] != "tests"
    }
    assert declarations - names == set()
    assert {"fastlog/py.typed", "fastlog_ext/py.typed", "fastlog_ext/__init__.pxd"} <= names
    assert [name for name in names if name.endswith((".pyx", ".c"))] == []
    assert [name for name in names if name.startswith(("tests", "benchmarks"))] == []


def build_with_compiler(checkout, compiler):
    """The exit code and the last line of a build of one module with `compiler`."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "nowhere"]
    module = sorted(path.stem for path in text_files() if path.suffix == ".pyx")[0]
    code, said = run(command, checkout, CC=str(compiler), FASTLOG_MODULES=module)
    return code, said.strip().splitlines()[-1]


def test_a_missing_compiler_is_named(checkout, tmp_path):
    code, line = build_with_compiler(checkout, tmp_path / "no-such-cc")
    assert code != 0
    assert "no-such-cc" in line and "apt-get install gcc" in line


@pytest.mark.parametrize(
    "header, package",
    [
        ("Python.h", "python3-dev"),
        ("zlib.h", "zlib1g-dev"),
        ("lz4frame.h", "liblz4-dev"),
        ("zstd.h", "libzstd-dev"),
        ("snappy-c.h", "libsnappy-dev"),
    ],
)
def test_a_missing_header_is_named(checkout, tmp_path, header, package):
    compiler = tmp_path / "cc"
    compiler.write_text(
        "#!/bin/sh\n"
        f'for a; do case $a in *probe.c) grep -q "<{header}>" "$a" && '
        f'{{ echo "probe.c:2:10: fatal error: {header}: none" >&2; exit 1; }};; esac; done\n'
        'exec cc "$@"\n'
    )
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    code, line = build_with_compiler(checkout, compiler)
    assert code != 0
    assert f"apt-get install {package}" in line and f"fatal error: {header}" in line
