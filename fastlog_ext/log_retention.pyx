"""What retention asks of a log; see fastlog.logs.retention, which decides."""
import os

from libc.stdint cimport int32_t, int64_t
from fastlog_ext.log_state cimport PartitionLog, SegmentList, log_segments, segments_floor
from fastlog_ext.partition_log cimport Log, enter, leave
from fastlog_ext.reclaim cimport ReclaimSlot
from fastlog_ext.segment cimport segment_max_timestamp
from fastlog_ext.system cimport load64


def limits(Log log not None) -> tuple:
    """retention.ms and retention.bytes of the log; below zero: no limit."""
    cdef PartitionLog *source = log.pointer()
    return source.settings.retention_ms, source.settings.retention_bytes


def sizes(Log log not None) -> list:
    """(base offset, bytes) of each segment, oldest first. No file is looked at."""
    cdef PartitionLog *source = log.pointer()
    cdef ReclaimSlot *slot
    cdef SegmentList *list
    cdef int32_t number
    with nogil:
        slot = enter()
        list = log_segments(source)
    try:
        return [(list.segments[number].base_offset, load64(&list.segments[number].size))
                for number in range(list.count)]
    finally:
        leave(slot)


def largest_timestamp(Log log not None, int64_t base_offset) -> int:
    """Of a segment: its greatest timestamp in milliseconds, or where no record has one, when its
    file was last written, as in Kafka. OSError; FileNotFoundError: it has gone."""
    cdef PartitionLog *source = log.pointer()
    cdef ReclaimSlot *slot
    cdef SegmentList *list
    cdef int64_t timestamp = -1, offset
    cdef int32_t number
    cdef int error = 2
    with nogil:
        slot = enter()
        list = log_segments(source)
        number = segments_floor(list, base_offset)
        if list.count > 0 and list.segments[number].base_offset == base_offset:
            error = segment_max_timestamp(list.segments[number], &timestamp, &offset)
        leave(slot)
    path = f"{log.path}/{base_offset:020d}.log"
    if error:
        raise OSError(error, os.strerror(error), path)
    return timestamp if timestamp >= 0 else os.stat(path).st_mtime_ns // 1_000_000
