# Walks the batch headers of a file below a limit, a few KiB at a time.
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.batch cimport BatchInfo

cdef enum:
    SCAN_WINDOW = 4096
    SCAN_FAILED = -2

cdef struct BatchScan:
    int fd
    int64_t position        # of the next batch
    int64_t limit
    int64_t window_start
    int64_t window_size
    uint8_t window[SCAN_WINDOW]

cdef void scan_start(BatchScan *scan, int fd, int64_t position, int64_t limit) noexcept nogil
# 1: header of the batch at *position, and on to the next. 0: the end. -1: not a whole batch.
# SCAN_FAILED: I/O error.
cdef int scan_next(BatchScan *scan, int64_t *position, BatchInfo *info) noexcept nogil
