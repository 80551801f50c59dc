"""What a broker loads before it answers."""

import subprocess
import sys

from tests.console.command import ROOT

# 296 in November 2026, of which asyncio brings most: a start is mostly imports.
MODULES_MAX = 310

SCRIPT = """
import asyncio, sys
print(*sorted(sys.modules))
from fastlog.config import load
from fastlog.broker import Broker
from tests.peers.wire import answers_metadata

async def main():
    settings = load(None, [f"log.dirs={sys.argv[1]}", "listeners=PLAINTEXT://127.0.0.1:0"])
    broker = Broker(settings)
    await broker.start()
    assert await asyncio.to_thread(answers_metadata, broker.endpoints[0])
    print(*sorted(sys.modules))
    await broker.stop()

import fastlog.console.main, fastlog.console.serve
asyncio.run(main())
"""


def test_modules_at_the_first_answer(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "data"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    asyncios, modules = (set(line.split()) for line in done.stdout.splitlines())
    assert len(modules) <= MODULES_MAX, sorted(modules - asyncios)
    for unwanted in ("kazoo", "ssl", "http", "confluent_kafka", "multiprocessing", "psutil"):
        assert unwanted not in modules - asyncios
