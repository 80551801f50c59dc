# A new active segment. Only with the writer's role. 0 or errno.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.log_state cimport PartitionLog

cdef int log_needs_roll(PartitionLog *log, int64_t pending_bytes, const BatchInfo *info,
                        int64_t last_offset,
                        int64_t now_ms) noexcept nogil
# 1: whether the next batch needs a roll is known only once `pending` others are applied.
cdef int log_roll_undecided(PartitionLog *log, int pending) noexcept nogil
cdef int log_roll(PartitionLog *log, int64_t base_offset, int64_t now_ms) noexcept nogil
cdef int64_t log_jitter(PartitionLog *log) noexcept nogil
