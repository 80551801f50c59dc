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

TRIES = 10
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


class Why(enum.Enum):
    """Why a segment is there still."""

    DUE = "goes when the log is looked at next"
    EMPTY = "the active segment, empty"
    UNCOMMITTED = "not below the high watermark"
    UNLIMITED = "no limit is set"
    OLDER = "an older segment is kept"
    YOUNG = "not older than retention.ms"
    SMALL = "within retention.bytes"


class Kept(NamedTuple):
    """A segment that is there still. `until_ms`: when it goes by its age; `until_bytes`: how much
    the log grows until it goes by its size. -1: never. Both at the latest."""

    segment: Segment
    timestamp: int
    why: Why
    until_ms: int
    until_bytes: int


def explain(
    segments: Sequence[Segment],
    limits: Limits,
    log_start_offset: int,
    high_watermark: int,
    now_ms: int,
    timestamp_of: Callable[[Segment], int],
) -> list[Kept]:
    """Every segment with the reason that it is kept for. Arguments as those of `expired`."""
    timestamps = {segment: timestamp_of(segment) for segment in segments}
    due = expired(
        segments, limits, log_start_offset, high_watermark, now_ms, timestamps.__getitem__
    )
    until_ms, until_bytes = -1, limits.retention_bytes - sum(one.size_bytes for one in segments)
    found = []
    for number, segment in enumerate(segments):
        age_ends_ms = timestamps[segment] + limits.retention_ms
        # Those before it that go in any case do not keep it.
        until_ms = age_ends_ms if number <= len(due) else max(until_ms, age_ends_ms)
        until_bytes += segment.size_bytes
        if number < len(due):
            why = Why.DUE
        elif number == len(segments) - 1 and segment.size_bytes == 0:
            why = Why.EMPTY
        elif segment.end_offset > high_watermark:
            why = Why.UNCOMMITTED
        elif limits.retention_ms < 0:
            why = Why.UNLIMITED if limits.retention_bytes < 0 else Why.SMALL
        else:
            why = Why.OLDER if age_ends_ms < now_ms else Why.YOUNG
        found.append(
            Kept(
                segment,
                timestamps[segment],
                why,
                until_ms if limits.retention_ms >= 0 and why is not Why.EMPTY else -1,
                max(until_bytes, 0) if limits.retention_bytes >= 0 and why is not Why.EMPTY else -1,
            )
        )
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


def describe(log: Log) -> list[Kept]:
    """Each segment of a log, oldest first, and why it is kept. Blocks. OSError."""
    for _ in range(TRIES):
        try:
            return explain(*_picture(log), int(1000 * time.time()), _timestamps_of(log))
        except FileNotFoundError:  # it went meanwhile
            continue
    return []


def _timestamps_of(log: Log) -> Callable[[Segment], int]:
    return lambda segment: log_retention.largest_timestamp(log, segment.base_offset)


def _picture(log: Log) -> tuple[list[Segment], Limits, int, int]:
    """What `expired` decides from. The high watermark comes first: what is appended meanwhile is
    not looked at."""
    high_watermark = log.high_watermark
    limits = Limits(*log_retention.limits(log))
    return segments_of(log), limits, log.log_start_offset, high_watermark


def apply(log: Log, now_ms: int) -> list[str]:
    """Removes what is due, with a line in the broker's log. The files that are to be deleted.

    Blocks. Raises OSError; ValueError when the log was closed or truncated meanwhile.
    """
    picture = _picture(log)
    try:
        due = expired(*picture, now_ms, _timestamps_of(log))
    except FileNotFoundError:  # it went meanwhile: there is another round
        return []
    if not due:
        return []
    start = max(due[-1][0].end_offset, log.log_start_offset)
    left = log.set_log_start_offset(start, with_active=True)
    # The active segment stays when something was appended, or there is no room for another.
    there = {segment.base_offset for segment in segments_of(log)}
    gone = [(segment, reason) for segment, reason in due if segment.base_offset not in there]
    if not gone:
        return left
    logger.info(
        "%s-%d: %d segments, %d bytes, are removed; the log starts at %d now (%s)",
        *(log.topic, log.partition, len(gone), sum(one.size_bytes for one, _ in gone), start),
        _why(gone, picture[1]),
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
