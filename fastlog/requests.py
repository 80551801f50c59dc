"""Requests and responses between the planes: what the data plane hands over is answered here.

The data plane keeps each connection's order and waits for the answer before it reads on
(a barrier), so that the handlers may run side by side.
"""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable

from fastlog.noticed import Noticed

log = logging.getLogger("fastlog.requests")

# So many requests are taken in one turn of the loop, before other work gets its turn.
TAKEN_A_TURN = 16
# A request below this is answered whatever else is under way.
SMALL = 4096
# Bytes of the larger ones that are under way at a time; a message takes up to some 250 times its
# bytes as objects. One is always let in.
UNDER_WAY = 262144

Dispatch = Callable[[object], Awaitable[bytes | None]]


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


class RequestPump:
    """Takes requests from the data plane's queue and lets `dispatch` answer them.

    `dispatch(request)` returns the response's bytes (header and body, no length prefix), or None to
    close the connection. What it raises closes the connection and is logged as a defect.
    """

    def __init__(self, data_plane, dispatch: Dispatch) -> None:
        self.data_plane = data_plane
        self.dispatch = dispatch
        self.tasks: set[asyncio.Task] = set()
        self.noticed = Noticed(log)
        self.lane = Lane(UNDER_WAY)

    def start(self) -> None:
        """Watches the queue from the running loop."""
        asyncio.get_running_loop().add_reader(self.data_plane.request_fd, self.take)

    def take(self) -> None:
        """Starts a task for each request that waits, and logs what the data plane noticed."""
        with contextlib.suppress(BlockingIOError):  # taken by the turn before
            os.eventfd_read(self.data_plane.request_fd)
        requests = self.data_plane.take_requests(TAKEN_A_TURN)
        for request in requests:
            task = asyncio.create_task(self.answer(request))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        if len(requests) == TAKEN_A_TURN:
            os.eventfd_write(self.data_plane.request_fd, 1)  # there may be more: another turn
        for kind, text in self.data_plane.take_events():
            self.noticed.tell(kind, text)

    async def answer(self, request) -> None:
        """Answers one request, or closes its connection."""
        size = len(request.frame)
        if size <= SMALL:
            await self.answer_now(request)
            return
        await self.lane.enter(size)
        try:
            await self.answer_now(request)
        finally:
            self.lane.leave(size)

    async def answer_now(self, request) -> None:
        try:
            response = await self.dispatch(request)
        except OSError as error:  # for instance no descriptors are left: no defect
            log.error("request %d failed: %s", request.api_key, error)
            response = None
        except Exception:
            log.exception("request %d failed; its connection is closed", request.api_key)
            response = None
        if response is None:
            request.close()
        else:
            request.respond(response)

    async def stop(self, seconds: float) -> None:
        """Takes no more; waits at most so long for the answers under way, then cancels them."""
        asyncio.get_running_loop().remove_reader(self.data_plane.request_fd)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=seconds)
        for task in list(self.tasks):
            task.cancel()
