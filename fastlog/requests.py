"""Requests and responses between the planes: what the data plane hands over is answered here.

The data plane keeps each connection's order and waits for the answer before it reads on
(a barrier), so that the handlers may run side by side.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable

from fastlog.noticed import Noticed

log = logging.getLogger("fastlog.requests")

# So many requests are taken in one turn of the loop, before other work gets its turn.
TAKEN_A_TURN = 16

Dispatch = Callable[[object], Awaitable[bytes | None]]


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
