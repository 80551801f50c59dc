# Offsets by time (ListOffsets). The caller is registered with `reclaim`.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.log_state cimport PartitionLog

cdef enum:
    TIME_TOO_LONG = -2

cdef struct TimeQuery:
    # asked: the first record at or after the log start whose timestamp is >= target or, with
    # `greatest`, that carries the greatest timestamp of the log
    int greatest
    int64_t target
    int64_t left            # bytes that may be walked for it
    int quick               # 1: more than that is refused; 0: a batch's header then answers
    # found
    int64_t offset
    int64_t timestamp
    int32_t leader_epoch
    # private
    int64_t log_start_offset
    int64_t end_offset

# 1 found, 0 none, -1 error, TIME_TOO_LONG: not without walking more than `left`.
cdef int log_find_time(PartitionLog *log, TimeQuery *query) noexcept nogil
