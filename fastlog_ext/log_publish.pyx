"""High watermark and last stable offset, and where they lie in the files."""
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.leader_epochs cimport leader_epochs_latest
from fastlog_ext.log_read cimport segment_locate
from fastlog_ext.log_state cimport (
    LogPositions, LogView, SegmentList, log_active, log_publish, segments_floor)
from fastlog_ext.producer_state cimport producer_first_unstable_offset
from fastlog_ext.segment cimport Segment, SegmentFiles, segment_pin, segment_unpin
from fastlog_ext.system cimport load64
from fastlog_ext.waiters cimport waiters_wake


cdef LogPosition log_find_position(PartitionLog *log, int64_t offset) noexcept nogil:
    cdef SegmentList *list = log.segments
    cdef int32_t number = segments_floor(list, offset)
    cdef Segment *segment = list.segments[number]
    cdef SegmentFiles *files
    cdef BatchInfo info
    cdef LogPosition found
    cdef int error = 0
    cdef int located = -1
    found.segment_base = segment.base_offset
    found.position = 0
    files = segment_pin(segment, &error)
    if files == NULL:
        return found
    located = segment_locate(segment, files, offset, segment.size, &found.position, &info)
    segment_unpin(files)
    if located == 0:
        found.position = segment.size
    elif located < 0:
        found.position = 0
    return found


cdef LogPosition position_of(PartitionLog *log, int64_t offset, const LogPositions *new,
                             int64_t known_offset, LogPosition known) noexcept nogil:
    if offset == log.end_offset:
        return new.end
    if offset == known_offset:
        return known
    return log_find_position(log, offset)


cdef int64_t high_watermark_of(PartitionLog *log) noexcept nogil:
    """A log without followers: all that is written is visible. Replication will decide here."""
    cdef int64_t current = log.view.high_watermark
    if log.hold_high_watermark:
        return max(min(current, log.end_offset), log.log_start_offset)
    return log.end_offset


cdef void log_publish_offsets(PartitionLog *log) noexcept nogil:
    cdef LogView view
    cdef LogPositions positions
    cdef Segment *active = log_active(log)
    cdef int64_t unstable = producer_first_unstable_offset(&log.producers)
    view.end_offset = log.end_offset
    view.log_start_offset = log.log_start_offset
    view.leader_epoch = leader_epochs_latest(&log.epochs)
    view.high_watermark = high_watermark_of(log)
    view.last_stable_offset = view.high_watermark
    if unstable >= 0 and unstable < view.high_watermark:
        view.last_stable_offset = max(unstable, log.log_start_offset)
    positions.end.segment_base = active.base_offset
    positions.end.position = active.size
    positions.high_watermark = position_of(log, view.high_watermark, &positions,
                                           log.view.high_watermark, log.positions.high_watermark)
    if view.last_stable_offset == view.high_watermark:
        positions.last_stable = positions.high_watermark
    else:
        positions.last_stable = position_of(log, view.last_stable_offset, &positions,
                                            log.view.last_stable_offset, log.positions.last_stable)
    log_publish(log, &view, &positions)


cdef void log_wake(PartitionLog *log) noexcept nogil:
    cdef int64_t published = load64(&log.published_high_watermark)
    waiters_wake(&log.commit_waiters, published)
    waiters_wake(&log.fetch_waiters, published)
