"""Long loops in handlers: other requests have their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

ITEMS = 50  # less than a millisecond of a handler's work

Item = TypeVar("Item")


async def in_turns(items: Iterable[Item], at_once: int = ITEMS) -> AsyncIterator[Item]:
    """The items, with a pause for the event loop after every few."""
    for number, item in enumerate(items, 1):
        yield item
        if number % at_once == 0:
            await asyncio.sleep(0)
