"""Offsets by time: the time index narrows the search to a segment and a place, the records
decide."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from fastlog_ext.batch cimport (
    BatchInfo, batch_crc_ok, batch_find_max_timestamp, batch_find_timestamp)
from fastlog_ext.batch_scan cimport SCAN_WINDOW, BatchScan, scan_next, scan_start
from fastlog_ext.files cimport read_at
from fastlog_ext.index cimport index_floor, index_is_on_file
from fastlog_ext.log_read cimport segment_locate
from fastlog_ext.log_state cimport (
    LogView, SegmentList, log_segments, partition_log_view, segments_floor)
from fastlog_ext.segment cimport (
    Segment, SegmentFiles, segment_index_fd, segment_max_timestamp, segment_pin, segment_unpin)
from fastlog_ext.system cimport fence_seq, load64, load64_seq

cdef enum:
    TRIES = 64
    UNREADABLE = -2


cdef int walk_batch(TimeQuery *query, SegmentFiles *files, int64_t position,
                    const BatchInfo *info) noexcept nogil:
    """-1: it cannot be read. -2: nor can the records in it, or they are too many bytes."""
    cdef int found = -1
    cdef uint8_t *data = <uint8_t *>malloc(info.size)
    if data == NULL:
        return -1
    if read_at(files.log_fd, data, info.size, position) == info.size:
        if query.greatest:
            found = batch_find_max_timestamp(data, info, &query.left, &query.offset,
                                             &query.timestamp)
        else:
            found = batch_find_timestamp(data, info, query.target, &query.left, &query.offset,
                                         &query.timestamp)
        if found < 0 and (query.left < 0 or batch_crc_ok(data, info)):
            found = UNREADABLE
    free(data)
    return found


cdef int search_batch(TimeQuery *query, SegmentFiles *files, int64_t position,
                      const BatchInfo *info) noexcept nogil:
    cdef int found = UNREADABLE
    query.left -= info.size
    if query.left >= 0:
        found = walk_batch(query, files, position, info)
    if query.left < 0 and query.quick:
        return TIME_TOO_LONG
    if found == UNREADABLE:
        # As its producer signed it, and yet no records, or too many bytes of them: nobody will
        # ever find more in it than its header tells.
        query.offset = info.base_offset
        query.timestamp = info.max_timestamp
        found = 1
    if found == 1:
        query.leader_epoch = info.leader_epoch
        # The log may start inside a batch; what lies below that is not there any more.
        query.offset = max(query.offset, query.log_start_offset)
        if query.offset >= query.end_offset:
            return 0
    return found


cdef int search_files(TimeQuery *query, Segment *segment, SegmentFiles *files,
                      int64_t start) noexcept nogil:
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t position = 0
    cdef int64_t limit = load64(&segment.size)
    cdef int found = segment_locate(segment, files, start, limit, &position, &info)
    if found != 1:
        return found
    scan_start(&scan, files.log_fd, position, limit)
    while True:
        found = scan_next(&scan, &position, &info)
        if found != 1:
            return 0 if found == 0 else -1
        if query.quick:
            query.left -= min(<int64_t>info.size, <int64_t>SCAN_WINDOW)
            if query.left < 0:
                return TIME_TOO_LONG
        if info.max_timestamp >= query.target:
            found = search_batch(query, files, position, &info)
            if found != 0:
                return found


cdef int holds_timestamp(Segment *segment, SegmentFiles *files, int64_t offset,
                         int64_t timestamp) noexcept nogil:
    """Whether a time index entry is true of the batch that it names; a wrong one is not used."""
    cdef BatchInfo info
    cdef int64_t position = 0
    return (segment_locate(segment, files, offset, load64(&segment.size), &position, &info) == 1
            and info.max_timestamp == timestamp)


cdef int search_segment(TimeQuery *query, Segment *segment) noexcept nogil:
    cdef int64_t key, start
    cdef int32_t relative = 0
    cdef int error = 0
    cdef int found, fd = -1
    cdef SegmentFiles *files = segment_pin(segment, &error)
    if files == NULL:
        return -1
    start = segment.base_offset
    if index_is_on_file(&segment.times):
        fd = segment_index_fd(segment, files, 1)
    # Nothing before the entry's batch is as late as its timestamp.
    if (index_floor(&segment.times, fd, query.target, &key, &relative, NULL) == 1
            and holds_timestamp(segment, files, start + relative, key)):
        start += relative
    found = search_files(query, segment, files, max(start, query.log_start_offset))
    segment_unpin(files)
    return found


cdef int search(PartitionLog *log, TimeQuery *query) noexcept nogil:
    cdef SegmentList *list = log_segments(log)
    cdef int64_t timestamp, offset
    cdef int32_t number
    cdef int found
    for number in range(segments_floor(list, query.log_start_offset), list.count):
        if segment_max_timestamp(list.segments[number], &timestamp, &offset) != 0:
            return -1
        if timestamp < query.target:
            continue
        found = search_segment(query, list.segments[number])
        if found != 0:
            return found
    return 0


cdef int greatest_from(Segment *segment, int64_t start, int64_t *timestamp) noexcept nogil:
    """The greatest timestamp of a segment's batches from `start` on, -1 without any. 0 or -1."""
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t position = 0
    cdef int64_t limit = load64(&segment.size)
    cdef int error = 0
    cdef int found
    cdef SegmentFiles *files = segment_pin(segment, &error)
    if files == NULL:
        return -1
    timestamp[0] = -1
    found = segment_locate(segment, files, start, limit, &position, &info)
    scan_start(&scan, files.log_fd, position, limit)
    while found == 1:
        found = scan_next(&scan, &position, &info)
        if found == 1:
            timestamp[0] = max(timestamp[0], info.max_timestamp)
    segment_unpin(files)
    return found


cdef int greatest_timestamp(PartitionLog *log, TimeQuery *query) noexcept nogil:
    """Makes the log's greatest timestamp the target. 0 when the log has none."""
    cdef SegmentList *list = log_segments(log)
    cdef int64_t timestamp, offset
    cdef int32_t number
    query.target = -1
    for number in range(segments_floor(list, query.log_start_offset), list.count):
        if segment_max_timestamp(list.segments[number], &timestamp, &offset) != 0:
            return -1
        # The one that is known may lie where the log has been cut off.
        if (offset < query.log_start_offset and timestamp > query.target
                and greatest_from(list.segments[number], query.log_start_offset, &timestamp)):
            return -1
        query.target = max(query.target, timestamp)
    return 1 if query.target >= 0 else 0


cdef int log_find_time(PartitionLog *log, TimeQuery *query) noexcept nogil:
    cdef LogView view
    cdef int64_t generation
    cdef int tries, found = -1
    for tries in range(TRIES):
        generation = load64_seq(&log.generation)
        partition_log_view(log, &view)
        query.log_start_offset = view.log_start_offset
        query.end_offset = view.end_offset
        found = greatest_timestamp(log, query) if query.greatest else 1
        if found == 1:
            found = search(log, query)
        fence_seq()
        if found == TIME_TOO_LONG or load64_seq(&log.generation) == generation:
            break
    return found
