"""What a broker loads and writes before it answers: a start is mostly imports."""

import subprocess
import sys

from fastlog.api import registry
from fastlog.console import main
from tests.console.command import ROOT

# What our modules may ask of the standard library on the way to the first answer.
STANDARD = [
    *("__future__", "argparse", "asyncio", "base64", "concurrent.futures.thread", "contextlib"),
    *("encodings.idna", "enum", "fcntl", "ipaddress", "json", "logging", "pathlib", "queue", "re"),
    *("resource", "sqlite3", "struct", "threading", "typing", "weakref"),
]

CLOSURE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sys.modules)
"""

SCRIPT = """
import asyncio, sys, threading
from fastlog.console import main, serve
from fastlog.config import load
from fastlog.broker import Broker
from tests.peers.wire import answers_metadata

async def main():
    settings = load(None, [f"log.dirs={sys.argv[1]}", "listeners=PLAINTEXT://127.0.0.1:0"])
    broker = Broker(settings)
    await broker.start()
    assert await asyncio.to_thread(answers_metadata, broker.endpoints[0])
    print(*sys.modules)
    await broker.stop()

asyncio.run(main())
"""


def printed(script: str, *arguments: object) -> set[str]:
    """The words that a fresh interpreter prints."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_modules_at_the_first_answer(tmp_path):
    modules = printed(SCRIPT, tmp_path / "data")
    handlers = {f"fastlog.api.{served.module}" for served in registry.SERVED.values()}
    commands = {module for module, _ in main.COMMANDS.values()}
    assert modules & handlers == {"fastlog.api.metadata"}
    assert modules & commands == {"fastlog.console.serve"}
    definitions = {name for name in modules if name.startswith("fastlog.protocol.definitions.")}
    assert definitions == {"fastlog.protocol.definitions.metadata"}
    # Ours, this script's own, what Cython makes, what needs no file; else what is named above.
    free = {"fastlog", "fastlog_ext", "tests", "cython_runtime", *sys.builtin_module_names}
    others = {n for n in modules if n.split(".")[0] not in free and not n.startswith("_cython_")}
    assert others - printed(CLOSURE, *STANDARD) == set()
