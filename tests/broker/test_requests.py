"""The pump between the planes: what it logs."""

import asyncio
import inspect
import logging

from fastlog.aside import Lane
from fastlog.facade import Facade
from fastlog.noticed import TOLD_EACH_SECONDS, Noticed


def test_an_event_is_told_once_in_a_while(caplog, monkeypatch):
    now = [100.0]
    noticed = Noticed(logging.getLogger("fastlog.requests"), lambda: now[0])
    monkeypatch.setattr(logging.getLogger("fastlog"), "propagate", True)
    with caplog.at_level(logging.WARNING, "fastlog.requests"):
        for _ in range(4):
            noticed.tell("no_descriptors", "cannot accept a connection")
        noticed.tell("bad_frame", "from a")
        now[0] += TOLD_EACH_SECONDS
        noticed.tell("no_descriptors", "cannot accept a connection")
    assert caplog.messages == [
        "no descriptors: cannot accept a connection",
        "bad frame: from a",
        "no descriptors: cannot accept a connection (and 3 times before)",
    ]


def test_large_requests_wait_for_each_other_in_their_order():
    async def scenario() -> None:
        lane, order = Lane(100), []

        async def one(name: str, size: int) -> None:
            await lane.enter(size)
            order.append(name)

        tasks = [
            asyncio.create_task(one(*each)) for each in (("a", 60), ("b", 500), ("c", 10), ("d", 1))
        ]
        await asyncio.sleep(0)
        assert order == ["a"], "b is too large, and c does not overtake it"
        lane.leave(60)
        await asyncio.sleep(0)
        assert order == ["a", "b"], "alone it is let in, whatever its size"
        lane.leave(500)
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c", "d"]
        assert lane.used == 11

    asyncio.run(scenario())


def test_whoever_gives_up_waiting_leaves_no_hole():
    async def scenario() -> None:
        lane = Lane(100)
        await lane.enter(100)
        first, second = (asyncio.create_task(lane.enter(80)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        lane.leave(100)
        await second
        assert lane.used == 80
        third = asyncio.create_task(lane.enter(80))
        await asyncio.sleep(0)
        lane.leave(80)  # it is let in, and cancelled before it notices
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        assert (lane.used, len(lane.waiting)) == (0, 0)

    asyncio.run(scenario())


def test_what_handlers_ask_of_the_broker_is_done_on_its_own_loop():
    """Handlers of long requests ask from another thread, where the broker's locks are of no use."""
    methods = inspect.getmembers(Facade, inspect.iscoroutinefunction)
    elsewhere = {name for name, method in methods if not hasattr(method, "__wrapped__")}
    assert elsewhere == {"dispatch", "aside"}
