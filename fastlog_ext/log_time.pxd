# Offsets by time (ListOffsets). The caller is registered with `reclaim`. 1 found, 0 none, -1 error.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.log_state cimport PartitionLog

# The first record at or after the log start whose timestamp is >= target.
cdef int log_offset_for_timestamp(PartitionLog *log, int64_t target, int64_t *offset,
                                  int64_t *timestamp,
                                  int32_t *leader_epoch) noexcept nogil
# The first record that carries the greatest timestamp of the log.
cdef int log_offset_of_max_timestamp(PartitionLog *log, int64_t *offset, int64_t *timestamp,
                                     int32_t *leader_epoch) noexcept nogil
