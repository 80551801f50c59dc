"""Rebuilds indexes, epochs and producer state by reading batches back."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from fastlog_ext.batch cimport (
    ATTRIBUTE_CONTROL, BATCH_HEADER_SIZE, BatchInfo, batch_crc_ok, batch_parse)
from fastlog_ext.batch_scan cimport SCAN_FAILED, BatchScan, scan_next, scan_start
from fastlog_ext.files cimport read_at
from fastlog_ext.index cimport index_count, index_get
from fastlog_ext.leader_epochs cimport leader_epochs_assign, leader_epochs_latest
from fastlog_ext.log_read cimport segment_locate
from fastlog_ext.log_state cimport SegmentList, segments_floor
from fastlog_ext.producer_state cimport producer_update
from fastlog_ext.segment cimport (
    SegmentFiles, segment_empty_indexes, segment_index_fd, segment_note_batch, segment_pin,
    segment_set_max_timestamp, segment_unpin)
from fastlog_ext.system cimport EIO, ENOMEM, last_errno, store32, store64

cdef enum:
    BUFFER = 1024 * 1024
    SUPPORTED_MAGIC = 2

# A file read in large steps; `need` makes a range of it contiguous in memory.
cdef struct Reader:
    int fd
    int64_t size
    uint8_t *data
    int64_t capacity
    int64_t start
    int64_t filled


cdef uint8_t *need(Reader *reader, int64_t position, int64_t count) noexcept nogil:
    """NULL: no memory, or an I/O error."""
    cdef int64_t inside = position - reader.start
    if inside >= 0 and inside + count <= reader.filled:
        return reader.data + inside
    if count > reader.capacity:
        free(reader.data)
        reader.capacity = count
        reader.filled = 0
        reader.data = <uint8_t *>malloc(count)
        if reader.data == NULL:
            reader.capacity = 0
            return NULL
    reader.start = position
    reader.filled = read_at(reader.fd, reader.data, min(reader.capacity, reader.size - position),
                            position)
    if reader.filled < count:
        reader.filled = 0
        return NULL
    return reader.data


cdef int next_good(Reader *reader, int64_t position, int64_t least_offset, int checksums,
                   BatchInfo *info) noexcept nogil:
    """1 a good batch, 0 a bad one, -1 an older format, else -errno below that."""
    cdef uint8_t *data
    if reader.size - position < BATCH_HEADER_SIZE:
        return 0
    data = need(reader, position, BATCH_HEADER_SIZE)
    if data == NULL:
        return -EIO
    if batch_parse(data, reader.size - position, info) != 0:
        return 0
    if info.magic != SUPPORTED_MAGIC:
        return -1 if position == 0 and 0 <= info.magic < SUPPORTED_MAGIC else 0
    if info.base_offset < least_offset or info.last_offset_delta < 0:
        return 0
    if not checksums:
        return 1
    data = need(reader, position, info.size)
    if data == NULL:
        return -ENOMEM
    return 1 if batch_crc_ok(data, info) else 0


cdef int note(PartitionLog *log, Segment *segment, const BatchInfo *info,
              int64_t position) noexcept nogil:
    if info.leader_epoch >= 0 and info.leader_epoch > leader_epochs_latest(&log.epochs):
        if leader_epochs_assign(&log.epochs, info.leader_epoch, info.base_offset) != 0:
            return EIO
    return segment_note_batch(segment, info, position, log.settings.index_interval_bytes, 1)


cdef int replay_segment(PartitionLog *log, Segment *segment, int checksums, int64_t *valid,
                        int64_t *next_offset) noexcept nogil:
    cdef Reader reader
    cdef BatchInfo info
    cdef int good
    cdef int error = segment_empty_indexes(segment)
    if error:
        return error
    reader.fd = segment.files.log_fd
    reader.size = segment.size
    reader.capacity = BUFFER
    reader.start = 0
    reader.filled = 0
    reader.data = <uint8_t *>malloc(BUFFER)
    if reader.data == NULL:
        return ENOMEM
    valid[0] = 0
    while valid[0] < reader.size and error == 0:
        good = next_good(&reader, valid[0], next_offset[0], checksums, &info)
        if good == -1:
            error = -1
        elif good < 0:
            error = -good
        elif good == 0:
            break
        else:
            error = note(log, segment, &info, valid[0])
            valid[0] += info.size
            next_offset[0] = info.base_offset + info.last_offset_delta + 1
    free(reader.data)
    log.recovered_read += valid[0]
    return error


cdef int last_entries(Segment *segment, int32_t *position) noexcept nogil:
    """What the ends of the indexes say: where the last indexed batch starts, and the greatest
    timestamp."""
    cdef int64_t key, timestamp
    cdef int32_t relative
    cdef int fd = segment_index_fd(segment, segment.files, 0)
    if fd < 0:
        return -fd
    position[0] = 0
    if index_get(&segment.offsets, fd, index_count(&segment.offsets) - 1, &key, position) < 0:
        return last_errno()
    fd = segment_index_fd(segment, segment.files, 1)
    if fd < 0:
        return -fd
    if index_count(&segment.times) == 0:
        segment.last_indexed_timestamp = -1
        segment_set_max_timestamp(segment, -1, -1)
        return 0
    if index_get(&segment.times, fd, index_count(&segment.times) - 1, &timestamp, &relative) < 0:
        return last_errno()
    segment.last_indexed_timestamp = timestamp
    segment_set_max_timestamp(segment, timestamp, segment.base_offset + relative)
    return 0


cdef int replay_tail(Segment *segment, int64_t *next_offset) noexcept nogil:
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t position, last
    cdef int32_t start = 0
    cdef int found
    cdef int error = last_entries(segment, &start)
    if error:
        return error
    scan_start(&scan, segment.files.log_fd, 0, segment.size)
    found = scan_next(&scan, &position, &info)
    segment.rolling_timestamp = info.max_timestamp if found == 1 else -1
    scan_start(&scan, segment.files.log_fd, start, segment.size)
    while True:
        found = scan_next(&scan, &position, &info)
        if found != 1:
            break
        if (info.magic != SUPPORTED_MAGIC or info.last_offset_delta < 0
                or info.base_offset < segment.base_offset):
            return -2
        last = info.base_offset + info.last_offset_delta
        if info.max_timestamp > segment.max_timestamp:
            segment_set_max_timestamp(segment, info.max_timestamp, last)
        next_offset[0] = last + 1
    segment.bytes_since_index = segment.size - start
    return 0 if found == 0 else -2


# --- producers ---

cdef int apply_batch(PartitionLog *log, SegmentFiles *files, int64_t position,
                     const BatchInfo *info,
                     int64_t now_ms) noexcept nogil:
    cdef uint8_t header[BATCH_HEADER_SIZE]
    cdef uint8_t *data = header
    cdef int64_t size = BATCH_HEADER_SIZE
    cdef int error
    if info.attributes & ATTRIBUTE_CONTROL:     # a marker's kind stands in its record
        size = info.size
        data = <uint8_t *>malloc(size)
        if data == NULL:
            return ENOMEM
    error = 0 if read_at(files.log_fd, data, size, position) == size else EIO
    if not error:
        error = producer_update(&log.producers, info, data, now_ms)
    if data != header:
        free(data)
    return error


cdef inline int can_be(Segment *segment, const BatchInfo *info) noexcept nogil:
    return (info.magic == SUPPORTED_MAGIC and info.last_offset_delta >= 0
            and info.base_offset >= segment.base_offset)


cdef int behind_damage(Segment *segment, SegmentFiles *files, int64_t bad,
                       int64_t *position) noexcept nogil:
    """1 and the first batch behind `bad` that the index knows, 0: none; or errno below that."""
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t key, number
    cdef int32_t value
    cdef int found
    cdef int fd = segment_index_fd(segment, files, 0)
    if fd < 0:
        return fd
    for number in range(index_count(&segment.offsets)):
        if index_get(&segment.offsets, fd, number, &key, &value) != 1:
            return -EIO
        if value <= bad:
            continue
        scan_start(&scan, files.log_fd, value, segment.size)
        found = scan_next(&scan, position, &info)
        if found == SCAN_FAILED:
            return -EIO
        if found == 1 and can_be(segment, &info) and (
                info.base_offset <= segment.base_offset + key):
            return 1
    return 0


cdef int replay_range(PartitionLog *log, Segment *segment, SegmentFiles *files, int64_t from_offset,
                      int64_t end_offset, int64_t now_ms) noexcept nogil:
    """A batch that cannot be one is noted, and what the index finds behind it is applied: to know
    less of producers is no reason to hide the records of all."""
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t position = 0
    cdef int error
    cdef int found = segment_locate(segment, files, from_offset, segment.size, &position, &info)
    if found == 0:
        return 0
    log.recovered_read += segment.size - position
    scan_start(&scan, files.log_fd, position, segment.size)
    while found != SCAN_FAILED:
        found = scan_next(&scan, &position, &info)
        if found == 0:
            return 0
        if found == SCAN_FAILED:
            break
        if found != 1 or not can_be(segment, &info):
            if found != 1:
                position = scan.position
            store64(&segment.bad_position, position)
            store32(&log.damaged, 1)
            found = behind_damage(segment, files, position, &position)
            if found <= 0:
                return -found
            scan_start(&scan, files.log_fd, position, segment.size)
            continue
        # A truncation inside a batch takes the whole batch.
        if info.base_offset + info.last_offset_delta >= end_offset:
            return 0
        if info.producer_id >= 0 and info.base_offset >= from_offset:
            error = apply_batch(log, files, position, &info, now_ms)
            if error:
                return error
    return EIO


cdef int replay_producers(PartitionLog *log, int64_t from_offset, int64_t end_offset,
                          int64_t now_ms) noexcept nogil:
    cdef SegmentList *list = log.segments
    cdef Segment *segment
    cdef SegmentFiles *files
    cdef int32_t number
    cdef int error = 0
    if from_offset >= end_offset:
        return 0
    for number in range(segments_floor(list, from_offset), list.count):
        segment = list.segments[number]
        if segment.base_offset >= end_offset:
            break
        files = segment_pin(segment, &error)
        if files == NULL:
            return error
        error = replay_range(log, segment, files, from_offset, end_offset, now_ms)
        segment_unpin(files)
        if error:
            return error
    log.producers.last_map_offset = end_offset
    return 0
