"""Long requests, beside the event loop: what one of them costs, the others do not wait for.

A handler of a long request runs on an event loop in another thread, from the reading of the request
to the last byte of its answer. The interpreter takes the GIL from it at any point, so that no loop
in it needs care. Middling and large requests have a thread each, and only so many of them are under
way at a time that their objects stay few.
"""

import asyncio
import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

LARGE = 65536  # bytes; what is larger does not hold up what is smaller
# Bytes of requests that are under way in one thread; a message takes up to some 250 times its bytes
# as objects. One is always let in.
UNDER_WAY = 262144
# How long the event loop may wait for the GIL, instead of 5 ms.
SWITCH_INTERVAL_S = 0.0005
# Looking at all objects for garbage takes a tenth of a second when a large request is among them,
# and nothing can interrupt it: it is done when there is none, so often at most.
COLLECT_EACH_S = 60.0
NEVER = 1 << 30


class Lane:
    """Lets requests in by their size, in their order, so that all of them together stay small."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Waits until there is room; `leave` with the same size must follow."""
        if not self.waiting and self.has_room(size):
            self.used += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        self.used -= size
        while self.waiting and (self.waiting[0][1].done() or self.has_room(self.waiting[0][0])):
            size, turn = self.waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)

    def has_room(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self.limit


class LoopThread:
    """A thread with an event loop, which begins with the first that is to be done there."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What the coroutine returns or raises; a cancellation is passed on to it."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name=self._name, daemon=True
            )
            self._thread.start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    async def close(self) -> None:
        """Waits for the step that is under way."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # cancels what is left
        runner.get_loop().run_forever()


class Aside:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._threads = (LoopThread("fastlog-requests"), LoopThread("fastlog-large-requests"))
        self._lanes = (Lane(UNDER_WAY), Lane(UNDER_WAY))
        self._collected = 0.0

    async def run(self, size: int, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What the coroutine returns or raises that is made in another thread. `size`: bytes of the
        request, or of what its answer amounts to.
        """
        lane, thread = self._lanes[size > LARGE], self._threads[size > LARGE]
        await lane.enter(size)
        try:
            if not self._collected:
                self._begin()
            return await thread.run(work)
        finally:
            lane.leave(size)
            self._collect()

    def _begin(self) -> None:
        self._collected = time.monotonic()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)

    def _collect(self) -> None:
        now = time.monotonic()
        if now - self._collected > COLLECT_EACH_S and not any(lane.used for lane in self._lanes):
            self._collected = now
            gc.collect()

    async def close(self) -> None:
        for thread in self._threads:
            await thread.close()
