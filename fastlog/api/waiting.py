"""Waiting for work within the time a client allows, without giving the work up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

# More work than this is waited for, however long: clients in a hurry cannot pile it up.
UNFINISHED_MOST = 8
_unfinished: set[asyncio.Task[None]] = set()


async def finish_within(work: Coroutine[Any, Any, None], timeout_ms: int) -> None:
    """Runs `work`, and returns when it is done or the time is over; it then goes on by itself.

    A time of 0 or less waits for the work too: it is the caller who then says that time is over.
    """
    task = asyncio.ensure_future(work)
    _unfinished.add(task)  # the loop itself keeps no task alive
    task.add_done_callback(_unfinished.discard)
    patient = timeout_ms <= 0 or len(_unfinished) > UNFINISHED_MOST
    done, _ = await asyncio.wait({task}, timeout=None if patient else timeout_ms / 1000)
    if done:
        task.result()  # a defect in the work is the caller's
