"""python -m tests.fuzz [--seconds N] [--seed N] [--only TARGET]: breaks bytes until time is up.

A finding ends the run with the seed that repeats it; where the process itself dies, the last seed
is in the file named at the start.
"""

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.targets import TARGETS

HANG_S = 30  # one input takes milliseconds; longer than this is a finding of its own


def fuzz(name: str, seed: str, seconds: float, once: bool, last: Path) -> int:
    """Runs one target; returns how many inputs it survived."""
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


def main() -> None:
    """Gives each target its share of the time."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="altogether (default 60)")
    parser.add_argument("--seed", default=None, help="default: the time")
    parser.add_argument("--only", choices=TARGETS, action="append")
    parser.add_argument("--repeat", metavar="SEED", help="one input, as a finding named it")
    arguments = parser.parse_args()
    seed = arguments.repeat or arguments.seed or str(int(time.time()))
    chosen = arguments.only or list(TARGETS)
    last = Path(tempfile.gettempdir(), "fastlog-fuzz-last")
    print(f"fuzz: seed {seed}; the last input's seed is in {last}", flush=True)
    for name in chosen:
        seconds = arguments.seconds / len(chosen)
        count = fuzz(name, seed, seconds, arguments.repeat is not None, last)
        print(f"fuzz: {name}: {count} inputs, no finding", flush=True)


if __name__ == "__main__":
    main()
