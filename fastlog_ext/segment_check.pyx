"""Checks batches before they are served for the first time; see segment_check.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from fastlog_ext.batch cimport BATCH_ATTRIBUTES, BatchInfo
from fastlog_ext.batch_scan cimport BatchScan, scan_next, scan_start
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.files cimport read_at
from fastlog_ext.system cimport load64, pthread_mutex_lock, pthread_mutex_unlock, store64

cdef enum:
    PIECE = 64 * 1024           # stays in the processor's cache between the copy and the checksum
    AT_ONCE = 1024 * 1024       # a reader waits for so much, then gets it
    SUPPORTED_MAGIC = 2


cdef int64_t known_end(Segment *segment, int64_t position) noexcept nogil:
    """How far the batches from `position` on are known to be good."""
    cdef int64_t end = position
    pthread_mutex_lock(&segment.check_lock)
    if segment.checked_from <= position < segment.checked_to:
        end = segment.checked_to
    pthread_mutex_unlock(&segment.check_lock)
    return end


cdef void note_good(Segment *segment, int64_t start, int64_t end) noexcept nogil:
    """One range is remembered: sequential readers extend it, others check again."""
    pthread_mutex_lock(&segment.check_lock)
    end = min(end, segment.unchecked)
    if start <= segment.checked_to and end >= segment.checked_from:
        segment.checked_from = min(start, segment.checked_from)
        segment.checked_to = max(end, segment.checked_to)
    else:
        segment.checked_from = start
        segment.checked_to = end
    if segment.checked_from == 0 and segment.checked_to == segment.unchecked:
        store64(&segment.unchecked, 0)
        segment.checked_to = 0
    pthread_mutex_unlock(&segment.check_lock)


cdef int good(int fd, uint8_t *piece, int64_t position, const BatchInfo *info) noexcept nogil:
    """1, 0: a wrong checksum, -1: I/O error."""
    cdef uint32_t crc = 0
    cdef int64_t done = BATCH_ATTRIBUTES
    cdef int64_t count
    while done < info.size:
        count = min(info.size - done, <int64_t>PIECE)
        if read_at(fd, piece, count, position + done) != count:
            return -1
        crc = crc32c(crc, piece, count)
        done += count
    return crc == info.crc


cdef int64_t walk(Segment *segment, int fd, uint8_t *piece, int64_t start, int64_t end,
                  int64_t limit) noexcept nogil:
    """The end of the good batches that begin before `end`; -1: I/O error."""
    cdef BatchScan scan
    cdef BatchInfo info
    cdef int64_t position = start
    cdef int64_t at = start
    cdef int64_t least = segment.base_offset
    cdef int found
    scan_start(&scan, fd, start, limit)
    while at < end:
        found = scan_next(&scan, &position, &info)
        if found == 1:
            found = (info.magic == SUPPORTED_MAGIC and info.last_offset_delta >= 0
                     and info.base_offset >= least)
            if found:
                found = good(fd, piece, position, &info)
            if found == -1:
                return -1
        elif found == -2:
            return -1
        if found != 1:
            store64(&segment.bad_position, at)
            return at
        least = info.base_offset + info.last_offset_delta + 1
        at = position + info.size
    return at


cdef int64_t segment_check(Segment *segment, SegmentFiles *files, int64_t position, int64_t size,
                           int64_t limit) noexcept nogil:
    cdef int64_t end = position + size
    cdef int64_t start, checked
    cdef uint8_t piece[PIECE]
    if position >= load64(&segment.unchecked):
        return end
    start = known_end(segment, position)
    if start >= end:
        return end
    if start > position:
        return start                # the next read goes on where this one ends
    checked = walk(segment, files.log_fd, piece, start,
                   min(min(end, start + AT_ONCE), load64(&segment.unchecked)), limit)
    if checked > start:
        note_good(segment, start, checked)
    return min(checked, end)


cdef void check_forget(Segment *segment, int64_t size) noexcept nogil:
    pthread_mutex_lock(&segment.check_lock)
    if segment.unchecked > size:
        store64(&segment.unchecked, size)
    segment.checked_from = min(segment.checked_from, size)
    segment.checked_to = min(segment.checked_to, size)
    if segment.bad_position >= size:
        store64(&segment.bad_position, -1)
    pthread_mutex_unlock(&segment.check_lock)
