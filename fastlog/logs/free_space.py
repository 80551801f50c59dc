"""Keeps clients' appends away from a disk that has little room left, before it has none.

What is left is for what makes room, and for what tells of it: new segments, indexes, checkpoints,
the cluster's state. Two lines tell when it begins and when it ends.
"""

import logging
import os
from pathlib import Path

from fastlog_ext.disk import Disk

LARGEST_SHARE = 1 << 30
SHARE = 100  # a hundredth of the disk
logger = logging.getLogger(__name__)


class FreeSpace:
    """Of one folder's disk. `floor_bytes`: -1 for a share of the disk, 0 for no floor."""

    def __init__(self, path: Path, disk: Disk, floor_bytes: int) -> None:
        self.floor_bytes = floor_bytes
        self._path = path
        self._disk = disk
        self._is_low = False
        self._refused_before = 0

    def look(self) -> None:
        """Takes or refuses appends by what is free now. Blocks. OSError."""
        found = os.statvfs(self._path)
        free = found.f_bavail * found.f_frsize
        floor = self.floor_bytes
        if floor < 0:
            floor = min(LARGEST_SHARE, found.f_blocks * found.f_frsize // SHARE)
        if not self._is_low and free < floor:
            self._is_low = True
            self._refused_before = self._disk.refused
            self._disk.refuse_appends(True)
            logger.warning(
                "%s: %d bytes are free, less than fastlog.disk.free.min.bytes (%d): clients' "
                "appends are refused until there are more",
                *(self._path, free, floor),
            )
        elif self._is_low and free >= floor + floor // 10:  # else it would begin again at once
            self._is_low = False
            self._disk.refuse_appends(False)
            logger.info(
                "%s: %d bytes are free, appends are taken again; %d batches were refused",
                *(self._path, free, self._disk.refused - self._refused_before),
            )
