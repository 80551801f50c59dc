"""./dev fuzz [--seconds N] [--inputs N] [--seed N] [--only TARGET] [--grow]: breaks bytes.

The native targets make millions of inputs a minute without Python in between; the others open
whole logs. A finding ends the run and names how to repeat it; where the process itself dies, the
last input is in the folder that is named at the start.
"""

# isort: off
from tests.fuzz import native_targets  # first, see tests/fuzz/native
from tests.fuzz.native.loop import Finding

import argparse
import faulthandler
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.targets import TARGETS

# isort: on

HANG_S = 30  # one input takes milliseconds; longer than this is a finding of its own
NAMES = [*native_targets.NAMES, *TARGETS]


def fuzz(name: str, seed: str, seconds: float, once: bool, last: Path) -> int:
    """Runs one of TARGETS; returns how many inputs it survived."""
    count = 0
    with tempfile.TemporaryDirectory(prefix="fastlog-fuzz-") as folder:
        target = TARGETS[name](Path(folder))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            here = seed if once else f"{seed}.{count}"
            last.write_text(f"--only {name} --repeat {here}\n")
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            try:
                target.try_one(random.Random(here))
            except Exception:
                traceback.print_exc()
                sys.exit(f"fuzz: a finding; again with: --only {name} --repeat {here}")
            count += 1
            if once:
                break
        faulthandler.cancel_dump_traceback_later()
        target.finish()
    return count


def fuzz_native(name: str, folder: Path, arguments: argparse.Namespace, seconds: float) -> int:
    """Runs a native target; returns how many inputs it survived."""
    try:
        if arguments.repeat:
            native_targets.repeat(name, folder, Path(arguments.repeat).read_bytes())
            return 1
        seed = random.Random(arguments.seed).getrandbits(60)
        count = arguments.inputs or sys.maxsize
        return native_targets.run(name, folder, seed, count, seconds, arguments.grow)
    except Finding as finding:
        kept = folder / f"finding-{name}"
        kept.write_bytes(finding.data)
        sys.exit(f"fuzz: {finding}; again with: --only {name} --repeat {kept}")


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Gives each target its share of the time, unless inputs are counted."""
    chosen = arguments.only or NAMES
    last = folder / "last-seed"
    print(f"fuzz: seed {arguments.seed}; the last inputs are in {folder}", flush=True)
    for name in chosen:
        seconds = arguments.seconds / len(chosen)
        started = time.monotonic()
        if name in TARGETS:
            seed = arguments.repeat or arguments.seed
            count = fuzz(name, seed, seconds, arguments.repeat is not None, last)
        else:
            place = folder / name
            place.mkdir()
            count = fuzz_native(name, place, arguments, seconds)
        took = time.monotonic() - started
        print(f"fuzz: {name}: {count} inputs in {took:.0f} s, no finding", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="altogether (default 60)")
    parser.add_argument("--inputs", type=int, help="at most, of each native target")
    parser.add_argument("--seed", default=str(int(time.time())), help="default: the time")
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--grow", action="store_true", help="renew the native targets' corpora")
    parser.add_argument("--repeat", metavar="SEED|FILE", help="one input, as a finding named it")
    arguments = parser.parse_args()
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="fastlog-fuzz-", dir=where))
    run(arguments, folder)
    shutil.rmtree(folder)  # a finding leaves it


if __name__ == "__main__":
    main()
