"""Every benchmark of the suites runs, small; asv finds them and builds its site."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import gate
from benchmarks.suites import counting
from tests.tools.report import ROOT

# What the real one is too slow for here; the gate's own test runs that.
VALGRIND = """#!/bin/sh
for option in "$@"; do
  case $option in
    --callgrind-out-file=*) out=${option#*=}; shift;;
    --*) shift;;
    *) break;;
  esac
done
echo "summary: 700" > "$out.1"
exec "$@"
"""


def benchmarks():
    """(suite, method, arguments) of each, with the first of its parameters."""
    for label, suite in gate.benchmark_classes():
        methods = [name for name in dir(suite) if name.startswith(("time_", "peakmem_", "track_"))]
        assert methods, f"{label} has no benchmark"
        for method in methods:
            yield pytest.param(suite, method, gate.arguments_of(suite)[0], id=f"{label}.{method}")


@pytest.fixture
def valgrind(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "valgrind").write_text(VALGRIND)
    (folder / "valgrind").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("suite, method, arguments", list(benchmarks()))
def test_a_benchmark_runs_small(suite, method, arguments, monkeypatch, valgrind):
    for name, value in {"count": 7, **suite.SMALL}.items():
        monkeypatch.setattr(suite, name, value, raising=False)
    subject = suite()
    subject.setup(*arguments)
    try:
        value = getattr(subject, method)(*arguments)
    finally:
        subject.teardown(*arguments)
    if method == "track_instructions":
        assert value == 100, "callgrind's summary over the number of calls"
    elif method.startswith("track_"):
        assert value >= 0 and getattr(suite, method).unit
    else:
        assert value is None


def test_every_subject_is_there():
    found = {label.split(".")[0] for label, _ in gate.benchmark_classes()}
    assert found >= {
        "batch_parsing",
        "append",
        "read",
        "index",
        "roll",
        "recovery",
        "codec",
        "start_up",
    }


def test_system_calls_are_those_of_other_threads():
    trace = """\
10 getppid() = 1
11 recvfrom(5, "..."..., 100, 0, NULL, NULL) = 40
10 sendto(4, "...", 7, 0, NULL, 0) = 7
11 pwritev(6, [...], 1, 0 <unfinished ...>
11 <... pwritev resumed>) = 30
11 sendfile(5, 6, [0], 900) = 900
11 recvfrom(5, 0x1, 9, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
11 --- SIGCHLD {si_signo=SIGCHLD} ---
10 getsid(0) = 1
11 recvfrom(5, "..."..., 100, 0, NULL, NULL) = 50
"""
    assert counting._traced(trace, 2) == {"calls": 2, "copied": 35}


def test_a_counted_process_that_fails_says_why():
    with pytest.raises(counting.CountingFailed, match="no attribute 'nothing'"):
        counting.allocations("append", "nothing")


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_asv_runs_and_publishes(tmp_path):
    """On the interpreter of the tests, with a repository of its own: a copy of ours has none."""
    (tmp_path / "home").mkdir()
    git(tmp_path, "init", "-q", "-b", "main", "repository")
    git(tmp_path / "repository", "commit", "-q", "--allow-empty", "-m", "first")
    commit = git(tmp_path / "repository", "rev-parse", "HEAD")
    settings = json.loads((ROOT / "benchmarks" / "asv.conf.json").read_text())
    settings["benchmark_dir"] = str(ROOT / "benchmarks" / settings["benchmark_dir"])
    settings.update(repo="repository", env_dir="env", results_dir="results", html_dir="html")
    (tmp_path / "asv.conf.json").write_text(json.dumps(settings))

    def asv(*arguments):
        variables = {"HOME": str(tmp_path / "home"), "ASV_PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    asv("machine", "--yes")
    here = ["--environment", f"existing:{sys.executable}", "--set-commit-hash", commit]
    said = asv("run", "--quick", *here, "--bench", "time_accept|peakmem_take_apart")
    assert "failed" not in said
    asv("publish")
    site = json.loads((tmp_path / "html" / "index.json").read_text())
    assert "batch_parsing.Accept.time_accept" in site["benchmarks"]
    assert list((tmp_path / "html" / "graphs").rglob("batch_parsing.Accept.time_accept.json"))
