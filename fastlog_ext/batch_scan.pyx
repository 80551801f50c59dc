"""Walks batch headers by pread, never past a limit."""
from libc.stdint cimport int64_t
from fastlog_ext.batch cimport BATCH_HEADER_SIZE, BatchInfo, batch_parse
from fastlog_ext.files cimport read_at


cdef void scan_start(BatchScan *scan, int fd, int64_t position, int64_t limit) noexcept nogil:
    scan.fd = fd
    scan.position = position
    scan.limit = limit
    scan.window_start = position
    scan.window_size = 0


cdef int scan_next(BatchScan *scan, int64_t *position, BatchInfo *info) noexcept nogil:
    cdef int64_t inside = scan.position - scan.window_start
    if scan.position >= scan.limit:
        return 0
    if scan.position + BATCH_HEADER_SIZE > scan.limit:
        return -1
    if inside + BATCH_HEADER_SIZE > scan.window_size:
        scan.window_start = scan.position
        scan.window_size = read_at(scan.fd, scan.window,
                                   min(<int64_t>SCAN_WINDOW,
                                       scan.limit - scan.position), scan.position)
        if scan.window_size < 0:
            scan.window_size = 0
            return SCAN_FAILED
        inside = 0
        if scan.window_size < BATCH_HEADER_SIZE:
            return -1
    # batch_parse reads the header only; the size it is told is that of the file below the limit.
    if batch_parse(scan.window + inside, scan.limit - scan.position, info) != 0:
        return -1
    position[0] = scan.position
    scan.position += info.size
    return 1
