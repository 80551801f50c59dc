"""`./dev bench SUITE [arguments]`."""

import sys

from benchmarks.peers import compare

SUITES = {"peers": (compare.main, "the same load on fastlog, Kafka 3.9 and the bare machine")}


def main() -> int:
    """Runs one suite with the rest of the arguments. Returns its exit code."""
    if len(sys.argv) < 2 or sys.argv[1] not in SUITES:
        rows = [f"  {name}  {summary}" for name, (_, summary) in SUITES.items()]
        print("usage: ./dev bench SUITE [arguments]", *rows, sep="\n", file=sys.stderr)
        return 2
    return SUITES[sys.argv[1]][0](sys.argv[2:])


sys.exit(main())
