"""The descriptors of the process, and who may have how many of them.

An open log keeps one, of its active segment. Sealed segments are opened when they are read, and
closed again when others need the room; connections wait to be accepted while few are left.
"""

import resource

from fastlog.protocol.errors import ErrorCode, KafkaError
from fastlog_ext.partition_log import set_open_segment_limit

UNLIMITED = 1 << 20
SEGMENTS_MAX = 10_000
OWN = 64  # of ours: libraries, listeners, reactors, checkpoints that are written


class TooManyLogs(Exception):
    """More logs than descriptors; the text is for the operator."""


def allow_descriptors(open_segments_max: int) -> int:
    """Raises the soft limit on open files to the hard one, and bounds the segments kept open.

    0 leaves half of the descriptors to connections and to the newest segments. Returns the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        hard = UNLIMITED
    # A sealed segment that is open holds its log and both of its indexes.
    set_open_segment_limit(open_segments_max or min(max(hard // 6, 16), SEGMENTS_MAX))
    return hard


def logs_max(limit: int) -> int:
    """How many logs new topics may fill: a quarter is kept for connections and sealed segments."""
    return limit - max(limit // 4, OWN)


def check_new_logs(there: int, more: int, limit: int) -> None:
    """POLICY_VIOLATION, as Kafka's for more partitions than it takes, where they do not fit."""
    if there + more > logs_max(limit):
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"{more} more partitions do not fit: this broker has {there} and may have "
            f"{logs_max(limit)}, by its limit of {limit} open files (ulimit -n).",
        )


def check_old_logs(there: int, limit: int) -> None:
    """Raises TooManyLogs where a start would run out of descriptors half-way."""
    if there > limit - OWN:
        raise TooManyLogs(
            f"{there} logs need as many open files, and the limit is {limit}: raise it (ulimit -n)"
        )
