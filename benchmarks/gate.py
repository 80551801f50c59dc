"""Compares the counters of the suites (`track_*`) with the committed ones.

    ./dev bench gate [--only TEXT] [--update]

Counts do not depend on how busy a machine is, so a small loss is seen. Instructions and modules do
depend on the interpreter, the compilers and the C library: where those are not the ones of the
baseline, they are told but not judged. `--update` makes the baseline anew: say why in the commit.
"""

import argparse
import importlib
import json
import pkgutil
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import suites

BASELINE = Path(__file__).parent / "baseline.json"


@dataclass(frozen=True)
class Tolerance:
    """How much more than the baseline is no regression."""

    share: float
    absolute: float = 0.0
    everywhere: bool = True  # judged on any machine

    def most(self, old: float) -> float:
        return old * (1 + self.share) + self.absolute


TOLERANCES = {
    "instructions": Tolerance(0.03, everywhere=False),
    "modules": Tolerance(0.02, everywhere=False),
    "system calls": Tolerance(0.05),
    "bytes copied": Tolerance(0.02),
    "allocations": Tolerance(0.0, absolute=0.1),
}


@dataclass(frozen=True)
class Counter:
    """One `track_*` method of a suite with one of its parameters."""

    name: str
    unit: str
    suite: type
    method: str
    arguments: tuple

    def measure(self) -> float:
        subject = self.suite()
        subject.setup(*self.arguments)
        try:
            return round(getattr(subject, self.method)(*self.arguments), 2)
        finally:
            subject.teardown(*self.arguments)


def benchmark_classes() -> Iterator[tuple[str, type]]:
    """(module.Class, the class) of every suite."""
    for found in pkgutil.iter_modules(suites.__path__):
        module = importlib.import_module(f"{suites.__name__}.{found.name}")
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and not name.startswith("_") and hasattr(value, "SMALL"):
                yield f"{found.name}.{name}", value


def arguments_of(suite: type) -> list[tuple]:
    """The parameters with which asv calls a suite's methods."""
    return [(value,) for value in getattr(suite, "params", [])] or [()]


def counters() -> Iterator[Counter]:
    """Every counter that has a tolerance; a duration has none."""
    for label, suite in benchmark_classes():
        for arguments in arguments_of(suite):
            for method in sorted(name for name in dir(suite) if name.startswith("track_")):
                unit = getattr(suite, method).unit
                if unit in TOLERANCES:
                    shown = ",".join(map(str, arguments))
                    yield Counter(f"{label}.{method}({shown})", unit, suite, method, arguments)


def environment() -> dict[str, str]:
    """What decides about a count of instructions besides our own sources."""
    import Cython

    compiler = subprocess.run(["gcc", "--version"], capture_output=True, text=True).stdout
    flags = Path("/proc/cpuinfo").read_text().split()
    return {
        "python": sys.version,
        "compiler": compiler.partition("\n")[0],
        "cython": Cython.__version__,
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine() + (" avx2" if "avx2" in flags else ""),
    }


def judge(counter: Counter, new: float, old: float | None, same_environment: bool) -> str:
    """Nothing when it is well, else what is wrong with it."""
    tolerance = TOLERANCES[counter.unit]
    if old is None:
        return "is not in the baseline: ./dev bench gate --update"
    if new <= tolerance.most(old) or not (same_environment or tolerance.everywhere):
        return ""
    growth = f"{new / old - 1:+.1%}" if old else f"+{new:g}"
    return (
        f"was {old:,g}, is {new:,g} {counter.unit} ({growth}; at most {tolerance.most(old):,.6g})"
    )


def remarks(counter: Counter, new: float, old: float | None) -> str:
    """Whether the baseline could be better now."""
    if old is None or new >= old - (TOLERANCES[counter.unit].most(old) - old):
        return ""
    return f"  less than the {old:,g} of the baseline"


def nearest(text: str, names: list[str]) -> str:
    """The name of which a part looks most like the text."""
    from difflib import SequenceMatcher

    def likeness(name: str) -> float:
        parts = [name, *name.replace("(", ".").replace(")", "").split(".")]
        return max(SequenceMatcher(None, text.lower(), part.lower()).ratio() for part in parts)

    return max(names, key=likeness)


def run(baseline: Path, only: str, update: bool) -> int:
    """Measures, prints and judges. Returns 1 for a regression, or when no counter is meant."""
    known = json.loads(baseline.read_text()) if baseline.exists() else {}
    old = known.get("counters", {})
    same = known.get("environment") == environment()
    if known and not same and not update:
        print("gate: other tools than the baseline's: instructions and modules are not judged")
    every = list(counters())
    chosen = [counter for counter in every if only in counter.name]
    if not chosen:
        close = nearest(only, [counter.name for counter in every])
        print(f"gate: no counter's name contains '{only}'; the nearest is {close}", file=sys.stderr)
        return 1
    print(f"{'counter':<52} {'baseline':>14} {'now':>14}")
    wrong, measured = [], {}
    for counter in chosen:
        new = measured[counter.name] = counter.measure()
        before = old.get(counter.name)
        verdict = "" if update else judge(counter, new, before, same)
        wrong += [f"{counter.name}: {verdict}"] if verdict else []
        note = "  WORSE" if verdict else remarks(counter, new, before)
        shown = "-" if before is None else f"{before:,.10g}"
        print(f"{counter.name:<52} {shown:>14} {new:>14,.10g} {counter.unit}{note}", flush=True)
    if update:
        kept = {name: value for name, value in old.items() if only and only not in name}
        content = {"environment": environment(), "counters": {**kept, **measured}}
        baseline.write_text(json.dumps(content, indent=1) + "\n")
        print(f"gate: {len(measured)} counters are the baseline now")
        return 0
    gone = [name for name in old if only in name and name not in measured]
    wrong += [f"{name}: in the baseline, but no suite has it" for name in gone]
    for line in wrong:
        print(f"gate: {line}", file=sys.stderr)
    verdict = f"{len(wrong)} problems" if wrong else "none is worse than the baseline"
    print(f"gate: {len(measured)} counters, {verdict}")
    return 1 if wrong else 0


def main(argv: list[str]) -> int:
    """Returns 1 when a counter got worse."""
    parser = argparse.ArgumentParser(
        prog="./dev bench gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="counters whose name contains this")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--update", action="store_true", help="write the baseline")
    arguments = parser.parse_args(argv)
    return run(arguments.baseline, arguments.only, arguments.update)
