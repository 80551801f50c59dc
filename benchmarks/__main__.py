"""`./dev bench [SUITE [arguments]]`; without a suite: the timings, small, and then the gate."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import gate

HERE = Path(__file__).parent


def asv(arguments: list[str], **variables: str) -> int:
    """asv in this folder, where its configuration is."""
    command = [sys.executable, "-m", "asv", *arguments]
    return subprocess.run(command, cwd=HERE, env={**os.environ, **variables}).returncode


def quick() -> int:
    """Every timing once, on what is built here, kept for `asv publish`; then the gate."""
    commit = ["git", "rev-parse", "HEAD"]
    known = subprocess.run(commit, cwd=HERE, capture_output=True, text=True).stdout.strip()
    kept = ["--set-commit-hash", known] if known else []
    here = ["run", "--quick", "--environment", f"existing:{sys.executable}", *kept]
    timings = [*here, "--bench", "time_|peakmem_"]
    checkout = str(HERE.parent)  # asv takes PYTHONPATH away from what it starts
    failed = asv(["machine", "--yes"]) or asv(timings, ASV_PYTHONPATH=checkout)
    return failed or gate.main([])


def peers(arguments: list[str]) -> int:
    """The comparison; only that needs what the tests start Kafka with."""
    return importlib.import_module("benchmarks.peers.compare").main(arguments)


SUITES = {
    "asv": (asv, "asv itself: run, publish, preview, compare ..."),
    "gate": (gate.main, "the counters beside the committed ones"),
    "peers": (peers, "the same loads on fastlog, both Kafkas and the bare machine"),
}


def main() -> int:
    """Runs one suite with the rest of the arguments. Returns its exit code."""
    if len(sys.argv) < 2:
        return quick()
    if sys.argv[1] not in SUITES:
        rows = [f"  {name:<6} {summary}" for name, (_, summary) in SUITES.items()]
        usage = "usage: ./dev bench [SUITE [arguments]], all timings and the gate without a suite"
        print(usage, *rows, sep="\n", file=sys.stderr)
        return 2
    return SUITES[sys.argv[1]][0](sys.argv[2:])


sys.exit(main())
