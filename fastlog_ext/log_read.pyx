"""The read path; see log_read.pxd."""
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.string cimport memset
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.batch_scan cimport SCAN_FAILED, BatchScan, scan_next, scan_start
from fastlog_ext.index cimport index_floor, index_is_on_file
from fastlog_ext.log_state cimport (
    ERROR_NOT_LEADER, ERROR_OFFSET_OUT_OF_RANGE, ERROR_STORAGE, LOG_CLOSED, LOG_ONLINE,
    READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, LogPosition, LogPositions, LogRead, LogView,
    PartitionLog, ReadBound, ReadHint, SegmentList, log_fail, log_segments, log_view_positions,
    segments_floor)
from fastlog_ext.segment cimport (
    Segment, SegmentFiles, segment_index_fd, segment_pin, segment_unpin)
from fastlog_ext.system cimport (
    EIO, EMFILE, ENFILE, ENOENT, ENOMEM, fence_seq, load32, load64, load64_seq, sched_yield)

cdef enum:
    AGAIN = -3              # the log changed under the reader: look again
    TRIES = 200

# One attempt to read: what was asked, and the picture it is answered from.
cdef struct Attempt:
    int64_t offset
    int64_t max_bytes
    int whole_first
    int64_t bound_offset
    LogPosition bound
    int64_t generation
    SegmentList *list
    const ReadHint *hint
    int error               # errno of the file system, if that is why there is no answer


cdef int segment_locate(Segment *segment, SegmentFiles *files, int64_t offset, int64_t limit,
                        int64_t *position, BatchInfo *info) noexcept nogil:
    cdef BatchScan scan
    cdef int64_t key
    cdef int32_t start = 0
    cdef int64_t relative = min(offset - segment.base_offset, <int64_t>INT32_MAX)
    cdef int found
    cdef int fd = -1
    if index_is_on_file(&segment.offsets):
        fd = segment_index_fd(segment, files, 0)
    # A broken index costs a longer scan; recovery rebuilds it.
    found = index_floor(&segment.offsets, fd, relative, &key, &start, NULL)
    if found != 1 or start > limit or start < 0:
        start = 0
    scan_start(&scan, files.log_fd, start, limit)
    while True:
        found = scan_next(&scan, position, info)
        if found != 1:
            return found
        if info.base_offset + info.last_offset_delta >= offset:
            return 1


cdef int64_t readable(Attempt *attempt, int32_t number) noexcept nogil:
    """How many bytes of that segment lie below the bound."""
    cdef Segment *segment = attempt.list.segments[number]
    if segment.base_offset == attempt.bound.segment_base:
        return attempt.bound.position
    if segment.base_offset > attempt.bound.segment_base:
        return 0
    return load64(&segment.size)


cdef int find_start(Attempt *attempt, Segment *segment, SegmentFiles *files, int64_t limit,
                    int64_t *position, int64_t *first_size) noexcept nogil:
    """1 found (first_size: of the first batch, or 0 when not looked at), 0 nothing there, or as
    scan_next."""
    cdef BatchInfo info
    cdef BatchScan scan
    cdef int found
    if (attempt.hint != NULL and attempt.hint.valid and attempt.hint.offset == attempt.offset
            and attempt.hint.generation == attempt.generation
            and attempt.hint.segment_base == segment.base_offset
            and attempt.hint.position <= limit):
        position[0] = attempt.hint.position
        first_size[0] = 0
        if position[0] == limit:
            return 0
        if limit - position[0] <= attempt.max_bytes:
            return 1
        scan_start(&scan, files.log_fd, position[0], limit)
        found = scan_next(&scan, position, &info)
    else:
        found = segment_locate(segment, files, attempt.offset, limit, position, &info)
    if found == 1:
        first_size[0] = info.size
    return found


cdef void set_next(Attempt *attempt, int32_t number, LogRead *out, int64_t limit) noexcept nogil:
    """Remembers the place behind this read when it ends on a batch boundary."""
    cdef Segment *segment = attempt.list.segments[number]
    if out.position + out.size != limit:
        return
    out.next.valid = 1
    out.next.generation = attempt.generation
    if segment.base_offset == attempt.bound.segment_base:
        out.next.offset = attempt.bound_offset
        out.next.segment_base = segment.base_offset
        out.next.position = limit
    elif number + 1 < attempt.list.count:
        out.next.offset = attempt.list.segments[number + 1].base_offset
        out.next.segment_base = out.next.offset
        out.next.position = 0
    else:
        out.next.valid = 0


cdef void count_available(Attempt *attempt, int32_t number, LogRead *out,
                          int64_t limit) noexcept nogil:
    """Stops at max_bytes: more would never be sent, so nobody asks."""
    out.available = limit - out.position
    number += 1
    while number < attempt.list.count and out.available < attempt.max_bytes:
        out.available += readable(attempt, number)
        number += 1


cdef int read_segment(Attempt *attempt, PartitionLog *log, int32_t number,
                      LogRead *out) noexcept nogil:
    """1 answered, 0 nothing in this segment, AGAIN."""
    cdef Segment *segment = attempt.list.segments[number]
    cdef int64_t limit = readable(attempt, number)
    cdef int64_t first_size = 0
    cdef int found, error = 0
    cdef SegmentFiles *files
    if limit == 0:
        return 0
    files = segment_pin(segment, &error)
    if files == NULL:
        attempt.error = error
        return AGAIN
    found = find_start(attempt, segment, files, limit, &out.position, &first_size)
    fence_seq()
    # Pinned first, then compared: a truncation after this finds the pin and leaves these bytes
    # alone.
    if load64_seq(&log.generation) != attempt.generation or found < 0:
        if found == SCAN_FAILED:
            attempt.error = EIO
        segment_unpin(files)
        return AGAIN
    if found == 0:
        segment_unpin(files)
        return 0
    out.size = min(attempt.max_bytes, limit - out.position)
    if first_size > out.size:
        out.size = first_size if attempt.whole_first else 0
    count_available(attempt, number, out, limit)
    if out.size == 0:
        segment_unpin(files)
        return 1
    out.files = files
    out.log_fd = files.log_fd
    set_next(attempt, number, out, limit)
    return 1


cdef int read_once(PartitionLog *log, Attempt *attempt, ReadBound bound,
                   LogRead *out) noexcept nogil:
    cdef LogPositions positions
    cdef LogView *view = &out.view
    cdef int32_t number
    cdef int answered
    attempt.generation = load64_seq(&log.generation)
    log_view_positions(log, view, &positions)
    # After the view: the list holds every segment that the view speaks of, unless bytes were taken
    # back.
    attempt.list = log_segments(log)
    if attempt.offset < view.log_start_offset or attempt.offset > view.end_offset:
        out.error = ERROR_OFFSET_OUT_OF_RANGE
        return 1
    if bound == READ_TO_HIGH_WATERMARK:
        attempt.bound_offset = view.high_watermark
        attempt.bound = positions.high_watermark
    elif bound == READ_TO_LAST_STABLE:
        attempt.bound_offset = view.last_stable_offset
        attempt.bound = positions.last_stable
    else:
        attempt.bound_offset = view.end_offset
        attempt.bound = positions.end
    if attempt.offset >= attempt.bound_offset:
        return 1
    for number in range(segments_floor(attempt.list, attempt.offset), attempt.list.count):
        answered = read_segment(attempt, log, number, out)
        if answered != 0:
            return answered
    return 1 if load64_seq(&log.generation) == attempt.generation else AGAIN


cdef int is_of_the_disk(int error) noexcept nogil:
    """And neither of this process, which may have the memory or the descriptors a moment later, nor
    of a file that is being set aside."""
    return (error != 0 and error != ENOMEM and error != EMFILE and error != ENFILE
            and error != ENOENT)


cdef void partition_log_read(PartitionLog *log, int64_t offset, int64_t max_bytes, int whole_first,
                             ReadBound bound, const ReadHint *hint, LogRead *out) noexcept nogil:
    cdef Attempt attempt
    cdef int state
    cdef int tries = 0
    cdef int64_t generation = -1
    cdef SegmentList *list = NULL
    attempt.offset = offset
    attempt.max_bytes = max_bytes if max_bytes > 0 else 0
    attempt.whole_first = whole_first
    attempt.hint = hint
    while tries < TRIES:
        attempt.error = 0
        memset(out, 0, sizeof(LogRead))
        out.log_fd = -1
        state = load32(&log.state)
        if state != LOG_ONLINE:
            out.error = ERROR_NOT_LEADER if state == LOG_CLOSED else ERROR_STORAGE
            return
        if read_once(log, &attempt, bound, out) != AGAIN:
            return
        attempt.hint = NULL
        if attempt.generation != generation or attempt.list != list:
            tries = 0
        elif is_of_the_disk(attempt.error):
            log_fail(log, attempt.error)
            break                   # a broken disk may take seconds for each try
        else:
            tries += 1
        generation = attempt.generation
        list = attempt.list
        sched_yield()
    out.error = ERROR_STORAGE       # the same bytes stayed unreadable: not a race
