# Appends combine: whoever finds the log free becomes its writer and drains what others queued
# meanwhile.
from libc.stdint cimport int64_t
from fastlog_ext.log_state cimport AppendRequest, PartitionLog

cdef void partition_log_append(PartitionLog *log, AppendRequest *request) noexcept nogil
# The same in two steps, for who has several batches: queue them all, then drain once, soon. Another
# thread may write what is queued before that.
cdef void partition_log_queue(PartitionLog *log, AppendRequest *request) noexcept nogil
cdef void partition_log_drain(PartitionLog *log) noexcept nogil
# The writer's role for a control operation (truncate, roll, close): waits for its turn, so never on
# a reactor.
cdef void log_acquire(PartitionLog *log) noexcept nogil
cdef void log_release(PartitionLog *log) noexcept nogil     # drains what was queued meanwhile
