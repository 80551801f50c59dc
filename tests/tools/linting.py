"""The checks of `./dev lint`, each with its own line of result."""

import time

from tests.tools.environment import FOLDER, tool_environment
from tests.tools.report import ROOT, Failure, run_logged, say

CHECKS = {
    "ruff": ["ruff", "check", "--quiet", "--output-format", "concise", "."],
    "mypy": ["mypy", "--no-error-summary"],
    "import directions": ["lint-imports", "--no-cache"],
    "nogil": ["python", "-m", "tests.tools.nogil_check", "fastlog_ext", "build/cython/fastlog_ext"],
    "repository": ["pytest", "-q", "--tb=short", "tests/repository"],
}


def run(arguments):
    """Runs all checks, or those named; says which failed and why. Returns 1 if any did."""
    unknown = set(arguments) - set(CHECKS)
    if unknown:
        raise Failure(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    failed = 0
    for name in arguments or CHECKS:
        command = CHECKS[name]
        program = FOLDER / "bin" / command[0]
        start = time.monotonic()
        try:
            run_logged(name, [program, *command[1:]], environment=tool_environment(), folder=ROOT)
        except Failure as failure:
            failed += 1
            say(failure)
        else:
            say(f"{name}: ok ({time.monotonic() - start:.1f} s)")
    return 1 if failed else 0
