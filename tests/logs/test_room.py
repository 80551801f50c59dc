"""A full disk is told once, however many appends are refused, and once when there is room again."""

import asyncio
import logging
from pathlib import Path

import pytest

from fastlog.logs import room


class FakeDisk:
    """Says what a test wants of it."""

    def __init__(self) -> None:
        self.full = False
        self.took = False
        self.refused = 0

    def refuse(self) -> None:
        self.refused += 1
        self.full, self.took = True, False

    def has_room_again(self) -> bool:
        if self.took:
            self.full = self.took = False
            return True
        return False


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


async def looks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(2 * room.LOOK_EACH_S)


def test_two_lines_each_time(told, monkeypatch):
    monkeypatch.setattr(room, "LOOK_EACH_S", 0.01)
    disk = FakeDisk()

    async def main() -> None:
        watched = room.Room(Path("/data"), disk)
        watched.alarmed()
        assert told() == [], "the alarm has other reasons too"
        for _ in range(3):
            disk.refuse()
            watched.alarmed()
            await looks(2)
        assert len(told()) == 1
        for _ in range(20):  # small batches find room, large ones do not
            disk.refuse()
            disk.took = True
            await asyncio.sleep(0)
        assert len(told()) == 1
        async with asyncio.timeout(10):
            while len(told()) < 2:
                await looks(1)
        disk.refuse()
        watched.alarmed()
        watched.stop()
        disk.took = True
        await looks(2)

    asyncio.run(main())
    full = "/data: the disk is full: appends are refused until it has room"
    again = "/data: the disk has room again, appends are taken; 23 batches were refused"
    assert told() == [full, again, full]
