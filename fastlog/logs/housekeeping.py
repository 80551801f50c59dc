"""The work by the clock on all logs of a folder: checkpoints, rolls, retention, producers.

Every function here blocks and runs on a thread of the manager, each by itself but several at once.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from fastlog.logs import retention
from fastlog.logs.checkpoints import (
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    RECOVERY_POINTS,
    Checkpoint,
)
from fastlog.logs.errors import OffsetOutOfRange
from fastlog.logs.folder import LogFolder
from fastlog_ext.partition_log import Log

Partition = tuple[str, int]
logger = logging.getLogger(__name__)


class Housekeeping:
    """`logs` is the manager's own table and changes meanwhile."""

    def __init__(
        self,
        folder: LogFolder,
        logs: Mapping[Partition, Log],
        delete_later: Callable[[Partition, Sequence[str]], None],
    ) -> None:
        self.folder = folder
        self.recovery_points = Checkpoint(folder.path, RECOVERY_POINTS)
        self.high_watermarks = Checkpoint(folder.path, HIGH_WATERMARKS)
        self.log_start_offsets = Checkpoint(folder.path, LOG_START_OFFSETS)
        self._logs = logs
        self._delete_later = delete_later
        self._writing = threading.Lock()  # of a checkpoint, which the clock is not alone to do
        self._retention_clock = retention.Clock()
        self._damaged: set[tuple[str, int]] = set()

    def checkpoint_recovery_points(self) -> None:
        """Syncs the segments that were sealed since the last time, and writes how far that is.

        After a crash only what lies behind the recovery point is read again. OSError.
        """
        for partition, log in self._online():
            if _sealed_since(log):
                self._attempt(partition, log.flush)
        self._write(self.recovery_points, lambda log: log.recovery_point)

    def checkpoint_high_watermarks(self) -> None:
        """OSError."""
        self._write(self.high_watermarks, lambda log: log.high_watermark)

    def checkpoint_log_start_offsets(self) -> None:
        """Only of logs that begin later than their first segment may. OSError."""
        self._write(self.log_start_offsets, lambda log: log.log_start_offset or None)

    def checkpoint_all(self) -> None:
        """OSError."""
        self.checkpoint_log_start_offsets()
        self._write(self.recovery_points, lambda log: log.recovery_point)
        self.checkpoint_high_watermarks()

    def roll(self) -> None:
        """Starts a new segment where a quiet log's active one is older than segment.ms."""
        now_ms = time.time_ns() // 1_000_000
        for partition, log in self._online():
            self._attempt(partition, log.roll_if_due, now_ms)

    def remove_old(self) -> None:
        """Takes away the segments that retention.ms and retention.bytes do not keep."""
        now_ms = self._retention_clock.now_ms()
        for partition, log in self._online():
            self._attempt(partition, self._remove_old_of, partition, log, now_ms)

    def _remove_old_of(self, partition: Partition, log: Log, now_ms: int) -> None:
        self._delete_later(partition, retention.apply(log, now_ms))

    def delete_records(self, offsets: Mapping[Partition, int]) -> dict[Partition, int | Exception]:
        """What LogManager.delete_records tells; the new starts are checkpointed. OSError."""
        found: dict[Partition, int | Exception] = {}
        for partition, offset in offsets.items():
            try:
                found[partition] = self._delete_records_of(partition, offset)
            except (OSError, ValueError, LookupError) as error:
                found[partition] = error
        self.checkpoint_log_start_offsets()
        return found

    def _delete_records_of(self, partition: Partition, offset: int) -> int:
        log = self._logs[partition]
        before, high_watermark = log.log_start_offset, log.high_watermark
        start = high_watermark if offset < 0 else offset
        if start > high_watermark:
            raise OffsetOutOfRange
        self._delete_later(partition, log.set_log_start_offset(start))
        if start > before:
            logger.info("%s-%d starts at %d now, as a client asked", *partition, start)
        return log.log_start_offset

    def expire_producers(self) -> None:
        """Forgets idempotent producers after producer.id.expiration.ms."""
        now_ms = time.time_ns() // 1_000_000
        for partition, log in self._online():
            self._attempt(partition, log.expire_producers, now_ms)

    def guard(self) -> None:
        """Keeps the lock, tells of damage. FolderInUse, OSError when the folder is gone."""
        self.folder.check_place()
        for log in list(self._logs.values()):
            if log.damaged:
                self._tell_damage(log)
        self.folder.lock.renew()

    def _tell_damage(self, log: Log) -> None:
        for segment in log.segments():
            place = segment["path"], segment["bad_position"]
            if place[1] >= 0 and place not in self._damaged:
                self._damaged.add(place)
                logger.error("%s: the batch at %d is damaged: it is not served", *place)

    def _online(self) -> list[tuple[Partition, Log]]:
        return [item for item in list(self._logs.items()) if item[1].storage_error is None]

    def _attempt(self, partition: Partition, work: Callable, *arguments) -> None:
        """One log's failure is not another's; a log that was closed meanwhile has none."""
        try:
            work(*arguments)
        except (OSError, ValueError) as error:
            if partition in self._logs and not self._logs[partition].closed:
                logger.error("%s-%d: %s", *partition, error)

    def _write(self, checkpoint: Checkpoint, offset_of: Callable[[Log], int | None]) -> None:
        self.folder.check_place()
        with self._writing:
            self._write_one(checkpoint, offset_of)

    def _write_one(self, checkpoint: Checkpoint, offset_of: Callable[[Log], int | None]) -> None:
        offsets = {partition: offset_of(log) for partition, log in list(self._logs.items())}
        checkpoint.write({key: offset for key, offset in offsets.items() if offset is not None})


def _sealed_since(log: Log) -> bool:
    """Whether a segment begins between the recovery point and the end of the log."""
    point = log.recovery_point
    if point >= log.end_offset:
        return False
    with os.scandir(log.path) as entries:
        return any(
            entry.name.endswith(".log")
            and entry.name[:-4].isdigit()
            and int(entry.name[:-4]) > point
            for entry in entries
        )
