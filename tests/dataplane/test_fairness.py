"""Heavy connections and a light one on the same reactor: what the heavy get while the light waits.

Counted in bytes, not in time: between a light request and its answer each heavy connection may have
some turns' budgets, whatever the machine. Latencies are printed (`pytest -rP`).
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .waiting import wait_until
from .wire import batch

ROOT = Path(__file__).parents[2]
HEAVY = 3
ASKED = 50
MIB = 1 << 20
# What is read of a connection before others have their turn, and that a connection may have had one
# as the network was looked at and another for what it had to go on with.
TURN_MOST = 2 * (256 + 512) << 10
# Of sending it is 4 MiB. What is on its way as the light one asks, and what goes on before its
# answer is looked at, are some more.
READ_MOST, SENT_MOST = HEAVY * 8 * MIB, HEAVY * 24 * MIB


@contextlib.contextmanager
def heavy(broker, what):
    """Connections of another process that do as much as they can."""
    command = [sys.executable, "-m", "tests.dataplane.heavy", *map(str, broker.address), what]
    started = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) for _ in range(HEAVY)]
    try:
        yield
    finally:
        for process in started:
            process.stdin.close()  # tells it to end
        for process in started:
            assert process.wait(30) == 0


def light(broker, counter, least=0):
    """Milliseconds of each request, and how far the counter went on meanwhile. Goes on until it
    has gone `least` in all."""
    milliseconds, meanwhile = [], []
    begin = broker.plane.stats()[counter]
    with broker.client() as client:
        while len(meanwhile) < ASKED or broker.plane.stats()[counter] - begin < least:
            before, started = broker.plane.stats()[counter], time.perf_counter()
            assert client.produce({"light": [(0, batch(b"x"))]})[0].error == 0
            milliseconds.append(1000 * (time.perf_counter() - started))
            meanwhile.append(broker.plane.stats()[counter] - before)
    return sorted(milliseconds), meanwhile


@pytest.mark.parametrize(
    "what, counter, most", [("produce", "bytes_in", READ_MOST), ("fetch", "bytes_out", SENT_MOST)]
)
def test_a_light_client_has_its_turn(make_broker, what, counter, most):
    broker = make_broker(reactors=1)
    broker.topic("light")
    (log,) = broker.topic("heavy", segment_bytes=64 * MIB).values()
    if what == "fetch":
        large = batch(os.urandom(MIB - 1000))
        for _ in range(50):
            log.append(large)
    alone, _ = light(broker, counter)
    with heavy(broker, what):
        wait_until(lambda: broker.plane.stats()[counter] > 100 * MIB)
        together, meanwhile = light(broker, counter, 200 * MIB)
    assert statistics.median(meanwhile) < most
    shown = (
        f"p50 {found[len(found) // 2]:.2f} ms, p99 {found[len(found) * 99 // 100]:.2f} ms"
        for found in (alone, together)
    )
    print(f"alone, and beside {HEAVY} connections of heavy {what}:", *shown, sep="\n")


def test_what_one_turn_reads(make_broker):
    broker = make_broker(reactors=1)
    broker.topic("heavy", segment_bytes=64 * MIB)
    with heavy(broker, "produce"):
        wait_until(lambda: broker.plane.stats()["bytes_in"] > 100 * MIB)
        before = broker.plane.stats()
        wait_until(lambda: broker.plane.stats()["bytes_in"] > before["bytes_in"] + 500 * MIB, 30)
        after = broker.plane.stats()
    turns = after["turns"] - before["turns"]
    assert after["bytes_in"] - before["bytes_in"] < (turns + 2) * HEAVY * TURN_MOST
