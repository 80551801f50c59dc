"""When a segment is full, and how the next one starts."""
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint64_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.index cimport OFFSET_ENTRY, TIME_ENTRY, index_count
from fastlog_ext.log_state cimport PartitionLog, log_active, log_replace_segments
from fastlog_ext.producer_state cimport producer_write_snapshot
from fastlog_ext.segment cimport (
    Segment, segment_create, segment_finish, segment_retire, segment_seal)
from fastlog_ext.system cimport monotonic_ns


cdef int64_t log_jitter(PartitionLog *log) noexcept nogil:
    """Spreads the rolls of logs that were created together."""
    cdef uint64_t noise = <uint64_t>monotonic_ns() * <uint64_t>6364136223846793005
    cdef int64_t limit = min(log.settings.segment_jitter_ms, log.settings.segment_ms)
    return <int64_t>((noise >> 33) % <uint64_t>limit) if limit > 0 else 0


cdef int indexes_full(PartitionLog *log, Segment *active, int pending) noexcept nogil:
    cdef int64_t limit = log.settings.segment_index_bytes
    # The time index keeps one entry in reserve for the greatest timestamp at the roll.
    return (index_count(&active.offsets) + pending >= limit // OFFSET_ENTRY
            or index_count(&active.times) + pending >= limit // TIME_ENTRY - 1)


cdef int log_roll_undecided(PartitionLog *log, int pending) noexcept nogil:
    cdef Segment *active = log_active(log)
    # Its first batch sets the time from which a segment's age counts.
    return active.size == 0 or indexes_full(log, active, pending)


cdef int log_needs_roll(PartitionLog *log, int64_t pending_bytes, const BatchInfo *info,
                        int64_t last_offset,
                        int64_t now_ms) noexcept nogil:
    cdef Segment *active = log_active(log)
    cdef int64_t size = active.size + pending_bytes
    cdef int64_t age
    if last_offset - active.base_offset > INT32_MAX:
        return 1
    if size == 0:
        return 0
    if size + info.size > log.settings.segment_bytes or size + info.size > INT32_MAX:
        return 1
    if indexes_full(log, active, 0):
        return 1
    if active.rolling_timestamp >= 0 and info.max_timestamp >= 0:
        age = info.max_timestamp - active.rolling_timestamp
    else:
        age = now_ms - active.created_ms
    return age > log.settings.segment_ms - active.jitter_ms


cdef int log_roll(PartitionLog *log, int64_t base_offset, int64_t now_ms) noexcept nogil:
    cdef Segment *active = log_active(log)
    cdef Segment *following
    cdef int error = 0
    if active.size == 0 and active.base_offset == base_offset:
        return 0                        # nothing to seal
    error = segment_finish(active)
    if error:
        return error
    log.producers.last_map_offset = log.end_offset
    error = producer_write_snapshot(&log.producers, log.folder, base_offset)
    if error:
        return error
    following = segment_create(log.folder, base_offset, now_ms, &error)
    if following == NULL:
        return error
    following.jitter_ms = log_jitter(log)
    error = log_replace_segments(log, 0, log.segments.count, following)
    if error:
        segment_retire(following)
        return error
    segment_seal(active)
    log.folder_changed = 1
    return 0
