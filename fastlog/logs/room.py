"""Tells when a folder has no room for appends, and when it has again: two lines, however many
clients are refused in between.
"""

import asyncio
import logging
from pathlib import Path

from fastlog_ext.disk import Disk

LOOK_EACH_S = 5.0
logger = logging.getLogger(__name__)


class Room:
    """Of one folder's disk. Belongs to one event loop."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._refused_before = 0  # batches, before it became full
        self._refused_lately = 0
        self._next_look: asyncio.TimerHandle | None = None

    def alarmed(self) -> None:
        """The disk's alarm rang, for this or for another reason."""
        if self._next_look is None and self._disk.full:
            logger.warning(
                "%s: the disk is full: appends are refused until it has room", self._path
            )
            self._look_later()

    def stop(self) -> None:
        """Nothing is told any more."""
        if self._next_look is not None:
            self._next_look.cancel()

    def _look_later(self) -> None:
        self._refused_lately = self._disk.refused
        self._next_look = asyncio.get_running_loop().call_later(LOOK_EACH_S, self._look)

    def _look(self) -> None:
        """Small batches may find room while large ones do not: that is no room."""
        refused = self._disk.refused
        if refused > self._refused_lately or not self._disk.has_room_again():
            self._look_later()
            return
        self._next_look = None
        logger.info(
            "%s: the disk has room again, appends are taken; %d batches were refused",
            *(self._path, refused - self._refused_before),
        )
        self._refused_before = refused
