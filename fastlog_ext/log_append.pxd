# Appends combine: whoever finds the log free becomes its writer and drains what others queued
# meanwhile.
from libc.stdint cimport int64_t
from fastlog_ext.log_state cimport AppendRequest, PartitionLog

cdef void partition_log_append(PartitionLog *log, AppendRequest *request) noexcept nogil
# The same for several, linked by `next` from the newest to the oldest: they are written as one run
# where that can be, in the order of oldest to newest.
cdef void partition_log_append_chain(PartitionLog *log, AppendRequest *newest,
                                     AppendRequest *oldest) noexcept nogil
# The writer's role for a control operation (truncate, roll, close): waits for its turn, so never on
# a reactor.
cdef void log_acquire(PartitionLog *log) noexcept nogil
cdef void log_release(PartitionLog *log) noexcept nogil     # drains what was queued meanwhile
