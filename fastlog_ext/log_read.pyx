"""The read path; see log_read.pxd."""
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t
from libc.string cimport memset
from fastlog_ext.batch cimport BATCH_HEADER_SIZE, BatchInfo, batch_parse
from fastlog_ext.batch_scan cimport SCAN_FAILED, BatchScan, scan_next, scan_start
from fastlog_ext.files cimport cache_only_refused, cache_only_refuses, read_at
from fastlog_ext.index cimport index_floor_near, index_is_on_file
from fastlog_ext.log_state cimport (
    ERROR_CORRUPT_MESSAGE, ERROR_NOT_LEADER, ERROR_OFFSET_OUT_OF_RANGE, ERROR_STORAGE, LOG_CLOSED,
    LOG_ONLINE,
    READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, LogPosition, LogPositions, LogRead, LogView,
    PartitionLog, ReadBound, ReadHint, SegmentList, log_fail, log_segments, log_view_positions,
    segments_floor)
from fastlog_ext.segment cimport (
    Segment, SegmentFiles, segment_index_fd, segment_pin, segment_unpin)
from fastlog_ext.segment_check cimport segment_check
from fastlog_ext.system cimport (
    EIO, EMFILE, ENFILE, ENOENT, ENOMEM, fence_seq, load32, load64, load64_seq, sched_yield,
    store32, store64)

cdef enum:
    AGAIN = -3              # the log changed under the reader: look again
    TRIES = 200
    FOLLOWED = 4            # batch headers read to find where a range of the file ends
    SCANNED = 1024          # headers that a thread looks at which must not wait

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


cdef inline int begins_at_or_below(Segment *segment, const BatchInfo *info,
                                   int64_t relative) noexcept nogil:
    """Whether an index entry can be true of the batch that it points at."""
    return info.magic == 2 and (
        segment.base_offset <= info.base_offset <= segment.base_offset + relative)


cdef int segment_locate(Segment *segment, SegmentFiles *files, int64_t offset, int64_t limit,
                        int64_t *position, BatchInfo *info) noexcept nogil:
    cdef int64_t entry = -1
    return locate_near(segment, files, offset, limit, &entry, position, info)


cdef int locate_near(Segment *segment, SegmentFiles *files, int64_t offset, int64_t limit,
                     int64_t *entry, int64_t *position, BatchInfo *info) noexcept nogil:
    """segment_locate, with the number of an index entry to begin at: in a guess, out what was
    found."""
    cdef BatchScan scan
    cdef int64_t key
    cdef int32_t start = 0
    cdef int64_t relative = min(offset - segment.base_offset, <int64_t>INT32_MAX)
    cdef int found
    cdef int scanned = 0
    cdef int fd = -1
    if index_is_on_file(&segment.offsets):
        fd = segment_index_fd(segment, files, 0)
    # An index is a hint: one that is wrong costs a longer scan, never a wrong answer.
    found = index_floor_near(&segment.offsets, fd, relative, entry[0], &key, &start, entry)
    if cache_only_refused():
        return SCAN_FAILED
    if found != 1 or start > limit or start < 0:
        start = 0
    scan_start(&scan, files.log_fd, start, limit)
    while True:
        found = scan_next(&scan, position, info)
        if found == SCAN_FAILED:
            return found
        if start > 0 and not (found == 1 and begins_at_or_below(segment, info, key)):
            scan_start(&scan, files.log_fd, 0, limit)
            start = 0
            continue
        start = 0
        if found != 1:
            return found
        if info.base_offset + info.last_offset_delta >= offset:
            return 1
        scanned += 1
        if scanned >= SCANNED and cache_only_refuses():
            return SCAN_FAILED      # with so few entries in the index it is work for the disk's


cdef int64_t readable(Attempt *attempt, int32_t number) noexcept nogil:
    """How many bytes of that segment lie below the bound."""
    cdef Segment *segment = attempt.list.segments[number]
    if segment.base_offset == attempt.bound.segment_base:
        return attempt.bound.position
    if segment.base_offset > attempt.bound.segment_base:
        return 0
    return load64(&segment.size)


cdef int read_header(int fd, int64_t position, int64_t limit, BatchInfo *info) noexcept nogil:
    """The header of the batch at a position that is known to begin one. 1, or as scan_next."""
    cdef uint8_t header[BATCH_HEADER_SIZE]
    cdef int64_t got
    if limit - position < BATCH_HEADER_SIZE:
        return -1
    got = read_at(fd, header, BATCH_HEADER_SIZE, position)
    if got != BATCH_HEADER_SIZE:
        return SCAN_FAILED if got < 0 else -1
    return 1 if batch_parse(header, INT32_MAX, info) == 0 else -1


cdef inline void set_batch(ReadHint *place, const BatchInfo *info) noexcept nogil:
    place.size = info.size
    place.following_offset = info.base_offset + info.last_offset_delta + 1


cdef int find_start(Attempt *attempt, Segment *segment, SegmentFiles *files, int64_t limit,
                    ReadHint *place) noexcept nogil:
    """1 found (its size is known when the read may have to be cut), 0 nothing there, or as
    scan_next."""
    cdef const ReadHint *hint = attempt.hint
    cdef BatchInfo info
    cdef int found
    place.index_entry = -1
    if (hint != NULL and hint.valid and hint.generation == attempt.generation
            and hint.segment_base == segment.base_offset):
        if hint.offset == attempt.offset and hint.position <= limit:
            place[0] = hint[0]
            if place.position == limit:
                return 0
            if limit - place.position <= attempt.max_bytes:
                return 1
            if place.size == 0:
                found = read_header(files.log_fd, place.position, limit, &info)
                if found != 1:
                    return found
                set_batch(place, &info)
            return 1 if place.size <= limit - place.position else -1
        place.index_entry = hint.index_entry
    found = locate_near(segment, files, attempt.offset, limit, &place.index_entry,
                        &place.position, &info)
    if found == 1:
        place.offset = attempt.offset
        set_batch(place, &info)
    return found


cdef void set_next(Attempt *attempt, int32_t number, LogRead *out, int64_t limit) noexcept nogil:
    """Remembers the place behind this read: exactly when it ends where the readable bytes do, else
    its own first batch for log_read_follow to go on from."""
    cdef Segment *segment = attempt.list.segments[number]
    out.next.valid = 1
    out.next.generation = attempt.generation
    out.next.segment_base = segment.base_offset
    if out.position + out.size != limit:
        return
    out.next.position = limit
    out.next.size = 0
    if segment.base_offset == attempt.bound.segment_base:
        out.next.offset = attempt.bound_offset
    elif number + 1 < attempt.list.count:
        out.next.offset = attempt.list.segments[number + 1].base_offset
        out.next.segment_base = out.next.offset
        out.next.position = 0
        out.next.index_entry = -1
    else:
        out.next.valid = 0


cdef void log_read_follow(LogRead *read, const uint8_t *bytes) noexcept nogil:
    cdef ReadHint *next = &read.next
    cdef BatchInfo info
    cdef int64_t end = read.position + read.size
    cdef int64_t left
    cdef int32_t headers = 0
    if not next.valid or next.position == end or next.segment_base != read.segment_base:
        return
    if bytes == NULL and next.size * FOLLOWED < read.size:
        next.offset = -1            # many small batches: the index is the shorter way
        return
    while next.size > 0 and next.size <= end - next.position:
        next.offset = next.following_offset
        next.position += next.size
        next.size = 0
        left = end - next.position
        if left < BATCH_HEADER_SIZE or (bytes == NULL and headers == FOLLOWED):
            return
        headers += 1
        if bytes != NULL:
            if batch_parse(bytes + (next.position - read.position), INT32_MAX, &info) != 0:
                return
        elif read_header(read.log_fd, next.position, end, &info) != 1:
            return
        set_batch(next, &info)


cdef void count_available(Attempt *attempt, int32_t number, LogRead *out,
                          int64_t limit) noexcept nogil:
    """Stops at max_bytes: more would never be sent, so nobody asks."""
    out.available = limit - out.position
    number += 1
    while number < attempt.list.count and out.available < attempt.max_bytes:
        out.available += readable(attempt, number)
        number += 1


cdef int check_content(Attempt *attempt, PartitionLog *log, Segment *segment,
                       SegmentFiles *files, LogRead *out, int64_t limit) noexcept nogil:
    """1: what is left of `out` may be served. 0: nothing may, and out.error says why. AGAIN."""
    cdef int64_t end
    if out.position >= load64(&segment.unchecked):
        return 1
    end = segment_check(segment, files, out.position, out.size, limit)
    if end < out.position:
        attempt.error = EIO
        return AGAIN
    out.size = end - out.position
    if out.size == 0:
        out.error = ERROR_CORRUPT_MESSAGE
        store32(&log.damaged, 1)
        return 0
    return 1


cdef int read_segment(Attempt *attempt, PartitionLog *log, int32_t number,
                      LogRead *out) noexcept nogil:
    """1 answered, 0 nothing in this segment, AGAIN."""
    cdef Segment *segment = attempt.list.segments[number]
    cdef int64_t limit = readable(attempt, number)
    cdef int found, error = 0
    cdef SegmentFiles *files
    if limit == 0:
        return 0
    files = segment_pin(segment, &error)
    if files == NULL:
        attempt.error = error
        return AGAIN
    found = find_start(attempt, segment, files, limit, &out.next)
    fence_seq()
    # Pinned first, then compared: a truncation after this finds the pin and leaves these bytes
    # alone.
    if load64_seq(&log.generation) != attempt.generation or found < 0:
        if found == SCAN_FAILED:
            attempt.error = EIO
        elif found < 0 and load64_seq(&log.generation) == attempt.generation:
            store64(&segment.bad_position, out.next.position)   # there or behind it
        segment_unpin(files)
        return AGAIN
    if found == 0:
        segment_unpin(files)
        return 0
    out.position = out.next.position
    out.segment_base = segment.base_offset
    out.size = min(attempt.max_bytes, limit - out.position)
    if out.next.size > out.size:
        out.size = out.next.size if attempt.whole_first else 0
    count_available(attempt, number, out, limit)
    found = 0
    if out.size > 0:
        found = check_content(attempt, log, segment, files, out, limit)
    if found != 1:
        out.size = 0            # a size tells that its file is pinned
        segment_unpin(files)
        return AGAIN if found == AGAIN else 1
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
    number = segments_floor(attempt.list, attempt.offset)
    if number < attempt.list.count and attempt.list.segments[number].base_offset > attempt.offset:
        return AGAIN        # since the view was taken, its segment has gone: the log starts later
    for number in range(number, attempt.list.count):
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
        if cache_only_refused():
            out.error = ERROR_STORAGE   # the caller knows that it is none
            return
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
    if attempt.error == 0:
        out.error = ERROR_CORRUPT_MESSAGE
        store32(&log.damaged, 1)
