"""The process in which an operation is counted: it imports little, because valgrind is slow.

    python -S -m suites.counted COUNT MODULE OPERATION [ARGUMENTS]

An operation is a generator function of a suite's module: it prepares, yields what is to be called,
and cleans up when it goes on. It is called some times, to reach the steady state, then COUNT times
between two system calls that nothing else makes: they are the marks for valgrind and strace.
"""

import gc
import importlib
import os
import sys

WARM = 20


def operation(module: str, name: str, *arguments: int):
    """(what to call, the generator to go on with afterwards) of an operation of a suite."""
    steps = getattr(importlib.import_module(f"{__package__}.{module}"), name)(*arguments)
    return next(steps), steps


def finish(steps) -> None:
    """Lets an operation clean up."""
    for _ in steps:
        raise RuntimeError("an operation yields once")


def allocation_counter():
    """The function of allocations.c, where that is preloaded."""
    if "allocations.so" not in os.environ.get("LD_PRELOAD", ""):
        return lambda: 0
    import ctypes

    return ctypes.CDLL(None).benchmark_allocations


def main(count: str, module: str, name: str, *arguments: str) -> None:
    call, steps = operation(module, name, *map(int, arguments))
    allocations = allocation_counter()
    for _ in range(min(WARM, int(count))):
        call()
    gc.collect()
    gc.disable()
    before = allocations()
    os.getppid()
    for _ in range(int(count)):
        call()
    os.getsid(0)
    print(allocations() - before)
    finish(steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
