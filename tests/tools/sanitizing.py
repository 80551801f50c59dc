"""Runs the native tests and the fuzzer on builds with the compiler's sanitizers.

The interpreter is not instrumented, so the sanitizer's library is loaded before it, and what Python
itself keeps to the end is no leak of ours.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.tools import environment, extensions
from tests.tools.report import WORK, Failure, say

KINDS = {
    "address": {
        "libraries": ["libasan.so", "libubsan.so", "libstdc++.so.6"],
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
    },
    "fuzz": {
        "libraries": ["libasan.so", "libubsan.so", "libstdc++.so.6"],
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    },
    "thread": {
        "libraries": ["libtsan.so", "libstdc++.so.6"],
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:second_deadlock_stack=1:halt_on_error=0"
        ":exitcode=66",
    },
}

BUILDS = ("address", "thread")  # of `./dev sanitize`
REPORT_CHARACTERS = 20_000  # of each process; the whole is in the file


def run(arguments):
    """`./dev sanitize [address|thread] [pytest arguments]`; without a kind, one after the other."""
    chosen = [arguments[0]] if arguments and arguments[0] in BUILDS else list(BUILDS)
    rest = arguments[1:] if chosen == arguments[:1] else arguments
    for kind in chosen:
        tree = extensions.ensure(kind)
        say(f"the native tests under the {kind} sanitizer")
        command = [
            "pytest",
            "-m",
            "native or served",
            "-p",
            "no:cacheprovider",
            "--timeout=900",
            *rest,
        ]
        code = execute(kind, command, tree)
        if code != 0:
            return code
    return 0


def fuzz(arguments):
    """`./dev fuzz [--seconds N] [--seed N]`, on a build with AddressSanitizer of its own."""
    tree = extensions.ensure("fuzz")
    return execute("fuzz", ["python", "-m", "tests.fuzz", *arguments], tree)


def variables(kind):
    """The environment in which a program has the sanitizer's library first."""
    settings = dict(KINDS[kind])
    first = ":".join(library(name) for name in settings.pop("libraries"))
    return {**settings, "LD_PRELOAD": first}


def before(kind):
    """The program that is to start one with the sanitizer, if any, and its arguments."""
    if kind == "thread" and shutil.which("setarch"):
        # Newer kernels place libraries where older ThreadSanitizers do not expect them.
        return [shutil.which("setarch"), "-R"]
    return []


def execute(kind, command, tree):
    """Runs a program of `.venv` in `tree` with the sanitizer's library first. Returns its code."""
    settings = variables(kind)
    # Into files: pytest keeps what a test writes to itself, and a dying process takes it along.
    report = WORK / f"sanitizer-{kind}"
    for old in WORK.glob(report.name + ".*"):
        old.unlink()
    for name in [name for name in settings if name.endswith("SAN_OPTIONS")]:
        settings[name] += f":log_path={report}"
    settings = environment.tool_environment(PYTHONPATH=str(tree), **settings)
    program = [str(environment.FOLDER / "bin" / "python"), "-m", *command]
    if command[0] == "python":
        program = [str(environment.FOLDER / "bin" / "python"), *command[1:]]
    program = [*before(kind), *program]
    code = subprocess.run(program, cwd=tree, env=settings).returncode
    found = sorted(WORK.glob(report.name + ".*"))
    for path in found:
        say(f"{path}:\n{path.read_text(errors='replace')[:REPORT_CHARACTERS]}")
    return code or (1 if found else 0)


def library(name):
    """Where the compiler keeps one of its run-time libraries."""
    compiler = os.environ.get("CC") or shutil.which("gcc")
    if compiler is None:
        raise Failure("the sanitizers need gcc (Debian: apt-get install gcc)")
    question = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(question, text=True, capture_output=True).stdout.strip()
    if not Path(path).is_absolute():
        raise Failure(
            f"{compiler} has no {name} (Debian: apt-get install libgcc-12-dev libstdc++6)"
        )
    return os.path.realpath(path)
