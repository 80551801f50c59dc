"""The indexes of a segment, loaded as recovery loads them: whatever they say, an offset is found in
the batch that holds it.

An input is the length of the offset index in two bytes, the offset index, the time index.
"""
import os

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.batch_scan cimport BatchScan, scan_next, scan_start
from fastlog_ext.endian cimport get16, put16
from fastlog_ext.files cimport truncate_to, write_at
from fastlog_ext.index cimport (
    OFFSET_ENTRY, TIME_ENTRY, Index, index_count, index_destroy, index_floor, index_get,
    index_init, index_sound)
from fastlog_ext.log_read cimport segment_locate
from fastlog_ext.segment cimport (
    UNKNOWN_TIMESTAMP, Segment, SegmentFiles, segment_index_fd, segment_load,
    segment_max_timestamp, segment_pin)
from tests.fuzz.native.loop cimport Target

cdef enum:
    BATCHES_MOST = 4096
    LOOKUPS = 6

cdef Segment *segment = NULL
cdef SegmentFiles *files = NULL
cdef int64_t[BATCHES_MOST] firsts
cdef int64_t[BATCHES_MOST] lasts
cdef int64_t[BATCHES_MOST] positions
cdef int32_t batches = 0
cdef uint64_t turn = 1


cdef int put(int fd, const uint8_t *data, int32_t size) noexcept nogil:
    return write_at(fd, data, size, 0) or truncate_to(fd, size)


cdef int replace(Index *index, int entry_size, int32_t size) noexcept nogil:
    index_destroy(index)
    return index_init(index, entry_size, size // entry_size)


cdef const char *look_up(int32_t number) noexcept nogil:
    cdef BatchInfo info
    cdef int64_t position = -1
    cdef int64_t middle = (firsts[number] + lasts[number]) // 2
    if segment_locate(segment, files, middle, segment.size, &position, &info) != 1:
        return b"an offset that is there is not found"
    if position != positions[number] or info.base_offset != firsts[number]:
        return b"an offset is found in another batch"
    return NULL


cdef const char *run(uint8_t *data, int32_t size) noexcept nogil:
    global turn
    cdef int32_t offsets_size, times_size, value = 0, number
    cdef int64_t key = 0, offset = 0
    cdef const char *wrong
    if size < 2:
        return NULL
    offsets_size = (get16(data) & 0x7fff) % (size - 1)
    times_size = size - 2 - offsets_size
    if put(files.index_fd, data + 2, offsets_size) or put(files.time_fd, data + 2 + offsets_size,
                                                          times_size):
        return b"the indexes cannot be written"
    if (index_sound(files.index_fd, OFFSET_ENTRY, offsets_size, segment.size, 0) != 1
            or index_sound(files.time_fd, TIME_ENTRY, times_size, segment.size, 0) != 1):
        return NULL                 # recovery makes them anew
    if (replace(&segment.offsets, OFFSET_ENTRY, offsets_size)
            or replace(&segment.times, TIME_ENTRY, times_size)):
        return b"out of memory"
    segment.max_timestamp = UNKNOWN_TIMESTAMP
    if segment_max_timestamp(segment, &key, &offset) != 0:
        return b"the greatest timestamp cannot be read"
    index_floor(&segment.times, files.time_fd, key - 1, &key, &value, NULL)
    index_get(&segment.offsets, files.index_fd, index_count(&segment.offsets) // 2, &key, &value)
    for number in range(LOOKUPS):
        turn = turn * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
        wrong = look_up(<int32_t>((turn >> 33) % <uint64_t>batches))
        if wrong != NULL:
            return wrong
    return NULL


cdef int32_t mend(uint8_t *data, int32_t size, uint64_t chance) noexcept nogil:
    """Whole entries in both, as they would be after most kinds of damage."""
    cdef int32_t offsets_size, rest
    if size < 2:
        return size
    offsets_size = (get16(data) & 0x7fff) % (size - 1)
    offsets_size -= offsets_size % OFFSET_ENTRY
    rest = size - 2 - offsets_size
    put16(data, <short>offsets_size)
    return 2 + offsets_size + rest - rest % TIME_ENTRY


def target(str folder, int64_t base_offset) -> Target:
    """`folder` holds one segment with its three files; the indexes are overwritten."""
    global segment, files, batches
    cdef Target made = Target()
    cdef bytes name = os.fsencode(folder)
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int error = 0
    size = os.stat(f"{folder}/{base_offset:020d}.log").st_size
    segment = segment_load(name, base_offset, size, 0, 0, &error)
    files = segment_pin(segment, &error)
    if files == NULL:
        raise OSError(error, os.strerror(error))
    if segment_index_fd(segment, files, 0) < 0 or segment_index_fd(segment, files, 1) < 0:
        raise OSError("the indexes cannot be opened")
    scan_start(&scan, files.log_fd, 0, size)
    while batches < BATCHES_MOST and scan_next(&scan, &positions[batches], &info) == 1:
        firsts[batches] = info.base_offset
        lasts[batches] = info.base_offset + info.last_offset_delta
        batches += 1
    made.run = run
    made.mend = mend
    return made
