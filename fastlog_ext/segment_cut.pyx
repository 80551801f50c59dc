"""Cuts a segment's end off; see segment_cut.pxd."""
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.files cimport copy_prefix, truncate_to
from fastlog_ext.index cimport index_count, index_floor, index_get, index_truncate
from fastlog_ext.segment cimport (
    Segment, segment_activate, segment_create_file, segment_index_fd)
from fastlog_ext.system cimport (
    close, fence_seq, last_errno, load32_seq, rename, snprintf, store64_seq, unlink)

cdef enum:
    PATH_LIMIT = 4200


cdef int replace_log(Segment *segment, int64_t size) noexcept nogil:
    """A copy of the prefix takes the file's place; those who pinned the old one keep its bytes. The
    name is one that recovery (ours and Kafka's) deletes when it finds it."""
    cdef char copied[PATH_LIMIT]
    cdef char path[PATH_LIMIT]
    cdef int error
    cdef int fd = segment_create_file(segment, b".log.cleaned")
    if fd < 0:
        return -fd
    snprintf(copied, PATH_LIMIT, b"%s.log.cleaned", segment.path)
    snprintf(path, PATH_LIMIT, b"%s.log", segment.path)
    error = copy_prefix(segment.files.log_fd, fd, size)
    if not error and rename(copied, path) != 0:
        error = last_errno()
    close(fd)
    if error:
        unlink(copied)
        return error
    return segment_activate(segment)


cdef int cut_indexes(Segment *segment, int64_t relative) noexcept nogil:
    cdef int64_t key, kept
    cdef int32_t value
    cdef int found
    cdef int fd = segment_index_fd(segment, segment.files, 0)
    if fd < 0:
        return -fd
    kept = -1
    if index_floor(&segment.offsets, fd, relative - 1, &key, &value, &kept) < 0:
        return last_errno()
    found = index_truncate(&segment.offsets, fd, kept + 1)
    if found:
        return found
    fd = segment_index_fd(segment, segment.files, 1)
    if fd < 0:
        return -fd
    kept = index_count(&segment.times)
    segment.last_indexed_timestamp = -1
    while kept > 0:                     # by offset, while the index is ordered by both
        found = index_get(&segment.times, fd, kept - 1, &key, &value)
        if found != 1:
            return last_errno()
        if value < relative:
            segment.last_indexed_timestamp = key
            break
        kept -= 1
    return index_truncate(&segment.times, fd, kept)


cdef int segment_cut(Segment *segment, int64_t size, int64_t offset) noexcept nogil:
    # Pins on a sealed segment may be on files that the cap closed since, where nobody can count
    # them.
    cdef int replace = segment.sealed
    cdef int error = segment_activate(segment) if replace else 0
    if error:
        return error
    store64_seq(&segment.size, size)
    segment.allocated = 0
    error = cut_indexes(segment, offset - segment.base_offset)
    if error:
        return error
    segment.bytes_since_index = 0
    fence_seq()
    # The log's generation was raised before: who pins from now on looks again at what it found.
    if not replace and load32_seq(&segment.files.references) == 1:
        return truncate_to(segment.files.log_fd, size)
    return replace_log(segment, size)
