"""Counts of one operation of a suite, made in a process of its own (counted.py)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COUNT = 100
COPYING = re.compile(r"^(recv|send(to|msg|mmsg)|p?read|p?write)")  # sendfile copies nothing


class CountingFailed(RuntimeError):
    """A counted process ended with an error; its output is in the message."""


def instructions(module: str, name: str, *arguments: int, count: int = COUNT) -> float:
    """Instructions an operation, of all threads, by callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        marks = ["--zero-before=getppid", "--dump-before=getsid"]
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *marks]
        _run(tool, count, module, name, arguments)
        found = re.search(r"^summary: (\d+)", Path(f"{out}.1").read_text(), re.MULTILINE)
    if found is None:
        raise CountingFailed("callgrind wrote no summary")
    return int(found[1]) / count


def system_calls(module: str, name: str, *arguments: int, count: int = COUNT) -> dict[str, float]:
    """`calls` and `copied` (bytes between kernel and process) an operation, of every thread but the
    main one: that is the client."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "strace")
        _run(["strace", "-f", "-qq", "-o", str(out)], count, module, name, arguments)
        return _traced(out.read_text(), count)


def _traced(text: str, count: int) -> dict[str, float]:
    calls = copied = 0
    main, between = None, False
    for line in text.splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.startswith("getppid("):
            main, between = thread, True
        elif call.startswith("getsid("):
            between = False
        elif between and thread != main and call[:1] not in "-+":  # signals and exits
            resumed = call.startswith("<... ")
            name = call.removeprefix("<... ")
            calls += not resumed
            result = re.search(r"= (\d+)$", call)
            if result and COPYING.match(name):
                copied += int(result[1])
    return {"calls": calls / count, "copied": copied / count}


def allocations(module: str, name: str, *arguments: int, count: int = COUNT) -> float:
    """Calls of malloc and its like an operation, of every thread but the main one."""
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder, "allocations.so")
        source = str(HERE / "allocations.c")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", str(shim)], check=True)
        output = _run([], count, module, name, arguments, LD_PRELOAD=str(shim))
    return int(output) / count


def _run(tool: list[str], count: int, module: str, name: str, arguments, **more: str) -> str:
    """Runs the operation under a tool. Returns what it printed: the allocations, if counted."""
    if tool and shutil.which(tool[0]) is None:
        raise CountingFailed(f"needs {tool[0]}; on Debian: apt-get install {tool[0]}")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "0",
        **more,
    }
    command = [sys.executable, "-S", "-m", f"{__package__}.counted", str(count), module, name]
    command += map(str, arguments)
    done = subprocess.run([*tool, *command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise CountingFailed(f"{' '.join(tool + command)}:\n{done.stdout}{done.stderr}")
    return done.stdout
