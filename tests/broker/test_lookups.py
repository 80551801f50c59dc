"""Lookups by time take turns, and the long ones are among themselves."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from fastlog.lookups import QUICK_BYTES, Lookups
from fastlog_ext.partition_log import LongLookup

WALK_MAX = 10 * QUICK_BYTES


class Log:
    """A log whose lookups take long, until it is told to let go, or not."""

    def __init__(self, name: str, asked: list[str], gate: threading.Event | None = None) -> None:
        self.path = f"/data/{name}-0"
        self.name, self.asked, self.gate = name, asked, gate

    def offset_of_max_timestamp(self, *, walk_max, quick=False):
        assert walk_max == (QUICK_BYTES if quick else WALK_MAX)
        if self.gate is not None:
            if quick:
                raise LongLookup
            assert self.gate.wait(60)
        self.asked.append(self.name)
        return 0, 0, 0


@pytest.fixture
def lookups():
    made = Lookups(WALK_MAX)
    yield made
    made.close()


def test_quick_ones_do_not_wait_for_long_ones(lookups):
    async def scenario() -> None:
        asked: list[str] = []
        gate = threading.Event()
        long = [
            asyncio.create_task(lookups.by_time(Log("long", asked, gate), None)) for _ in range(50)
        ]
        try:
            for _ in range(3):
                assert await lookups.by_time(Log("short", asked), None) == (0, 0, 0)
            assert asked == ["short"] * 3
        finally:
            gate.set()
        await asyncio.gather(*long)
        assert asked[3:] == ["long"] * 50

    asyncio.run(scenario())


def test_connections_take_turns(lookups):
    """Who asks for ten partitions waits before each of them for who asks for one."""

    async def scenario() -> None:
        asked: list[str] = []
        gate = threading.Event()

        async def ask(name: str, times: int) -> None:
            for _ in range(times):
                await lookups.by_time(Log(name, asked, gate), None)

        heavy = asyncio.create_task(ask("heavy", 10))
        await asyncio.sleep(0)
        light = asyncio.create_task(ask("light", 1))
        gate.set()
        await light
        assert asked.index("light") <= 2
        await heavy

    asyncio.run(scenario())


def test_a_folder_that_stands_still_holds_up_no_other(lookups):
    async def scenario() -> None:
        gate = threading.Event()
        stuck = SimpleNamespace(path="/stuck/t-0")
        waiting = [
            asyncio.create_task(lookups.quick(stuck, lambda log: gate.wait(60))) for _ in range(50)
        ]
        try:
            other = SimpleNamespace(path="/good/t-0")
            assert await lookups.quick(other, lambda log: log.path) == "/good/t-0"
        finally:
            gate.set()
        assert await asyncio.gather(*waiting) == [True] * 50

    asyncio.run(scenario())
