"""Lookups in logs by time, which may take seconds: each log folder has two threads for them.

One has the quick lookups. What would walk more than QUICK_BYTES of records there begins again on
the other. A connection waits for the answer before it asks again, so that those who stand in a row
for a thread take turns; and nothing else waits for these threads.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from fastlog_ext.partition_log import Log, LongLookup

Result = TypeVar("Result")

QUICK_BYTES = 4 << 20  # some milliseconds


class _Folder:
    """The threads of one log folder; they begin with their first lookup."""

    def __init__(self) -> None:
        self.quick = ThreadPoolExecutor(1, thread_name_prefix="fastlog-lookup")
        self.long = ThreadPoolExecutor(1, thread_name_prefix="fastlog-long-lookup")


class Lookups:
    """Belongs to one event loop. `walk_max`: bytes of records that one lookup may walk."""

    def __init__(self, walk_max: int) -> None:
        self.walk_max = walk_max
        self._folders: dict[str, _Folder] = {}

    async def by_time(self, log: Log, timestamp: int | None) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the first record that is as late; None: of the first
        with the greatest timestamp. Raises OSError.
        """
        find: Callable[..., tuple[int, int, int] | None]
        if timestamp is None:
            find = log.offset_of_max_timestamp
        else:
            find = partial(log.offset_for_timestamp, timestamp)
        folder = self._folder_of(log)
        try:
            return await _run(
                folder.quick, find, walk_max=min(QUICK_BYTES, self.walk_max), quick=True
            )
        except LongLookup:
            return await _run(folder.long, find, walk_max=self.walk_max)

    async def quick(self, log: Log, function: Callable[[Log], Result]) -> Result:
        """What `function` finds of the log, on the thread for what takes no time."""
        return await _run(self._folder_of(log).quick, function, log)

    def close(self) -> None:
        """Does not wait for what is under way."""
        for folder in self._folders.values():
            folder.quick.shutdown(wait=False, cancel_futures=True)
            folder.long.shutdown(wait=False, cancel_futures=True)

    def _folder_of(self, log: Log) -> _Folder:
        path = os.path.dirname(log.path)
        if path not in self._folders:
            self._folders[path] = _Folder()
        return self._folders[path]


async def _run(pool: ThreadPoolExecutor, function: Callable[..., Any], *given: Any, **named: Any):
    return await asyncio.get_running_loop().run_in_executor(
        pool, partial(function, *given, **named)
    )
