"""Which of a log's oldest segments go, by Kafka's rules (UnifiedLog.deleteOldSegments of 3.9).

A segment goes when all before it go, the high watermark has reached its end, and one of these
holds:

    start  all of it lies below the log start offset
    size   without it the log still has retention.bytes
    time   its largest timestamp is more than retention.ms ago

The active segment goes too, when it has records, behind a new one that is empty.
"""

import enum
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastlog_ext import log_retention
from fastlog_ext.partition_log import Log

logger = logging.getLogger(__name__)


class Reason(enum.Enum):
    """Why a segment goes."""

    START = "below the log start offset"
    SIZE = "beyond retention.bytes"
    TIME = "older than retention.ms"


class Limits(NamedTuple):
    """Below zero: no limit."""

    retention_ms: int = -1
    retention_bytes: int = -1


class Segment(NamedTuple):
    """`end_offset` is where the next one begins, or the log ends."""

    base_offset: int
    end_offset: int
    size_bytes: int


def expired(
    segments: Sequence[Segment],
    limits: Limits,
    log_start_offset: int,
    high_watermark: int,
    now_ms: int,
    timestamp_of: Callable[[Segment], int],
) -> list[tuple[Segment, Reason]]:
    """The segments that go, oldest first; `timestamp_of` is asked for as few as possible."""
    spare = sum(segment.size_bytes for segment in segments) - limits.retention_bytes
    found = []
    for number, segment in enumerate(segments, 1):
        is_active = number == len(segments)
        if segment.end_offset > high_watermark or (is_active and segment.size_bytes == 0):
            break
        spare -= segment.size_bytes
        if not is_active and segment.end_offset <= log_start_offset:
            reason = Reason.START
        elif limits.retention_bytes >= 0 and spare >= 0:
            reason = Reason.SIZE
        elif 0 <= limits.retention_ms < now_ms - timestamp_of(segment):
            reason = Reason.TIME
        else:
            break
        found.append((segment, reason))
    return found


class Clock:
    """Wall-clock time that does not believe a jump ahead at once.

    A clock that was set ahead for a moment, by a person or a time server, must not cost records:
    what it gained over the monotonic clock counts from the next call on.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._before = wall(), monotonic()

    def now_ms(self) -> int:
        """Milliseconds since the epoch. Behind the wall clock after a jump; never ahead of it."""
        wall, monotonic = self._wall(), self._monotonic()
        expected = self._before[0] + monotonic - self._before[1]
        self._before = wall, monotonic
        return int(1000 * min(wall, expected))


def segments_of(log: Log) -> list[Segment]:
    """The log's segments, oldest first; none of a log that is closed or offline."""
    sizes = log_retention.sizes(log)
    ends = [*(base for base, _ in sizes[1:]), log.end_offset]
    return [Segment(base, end, size) for (base, size), end in zip(sizes, ends, strict=False)]


def apply(log: Log, now_ms: int) -> list[str]:
    """Removes what is due, with a line in the broker's log. The files that are to be deleted.

    Blocks. Raises OSError; ValueError when the log was closed or truncated meanwhile.
    """
    limits = Limits(*log_retention.limits(log))
    high_watermark = log.high_watermark  # first: what is appended meanwhile is not looked at
    gone = expired(
        segments_of(log),
        limits,
        log.log_start_offset,
        high_watermark,
        now_ms,
        lambda segment: log_retention.largest_timestamp(log, segment.base_offset),
    )
    if not gone:
        return []
    start = max(gone[-1][0].end_offset, log.log_start_offset)
    left = log.set_log_start_offset(start, with_active=True)
    logger.info(
        "%s-%d: %d segments, %d bytes, are removed; the log starts at %d now (%s)",
        *(log.topic, log.partition, len(gone), sum(one.size_bytes for one, _ in gone), start),
        _why(gone, limits),
    )
    return left


def _why(gone: list[tuple[Segment, Reason]], limits: Limits) -> str:
    """Each reason with its number of segments, and the limit that was reached."""
    shown = {Reason.TIME: f"={limits.retention_ms}", Reason.SIZE: f"={limits.retention_bytes}"}
    counts = {reason: sum(1 for _, other in gone if other is reason) for reason in Reason}
    return ", ".join(
        f"{count} {reason.value}{shown.get(reason, '')}"
        for reason, count in counts.items()
        if count
    )
