# Where the readers of a connection stopped, by log.
from fastlog_ext.partition_log cimport PartitionLog, ReadHint
from fastlog_ext.plane cimport Connection
from libc.stdint cimport int32_t

cdef void hints_fit(Connection *connection, int32_t partitions) noexcept nogil
# or NULL
cdef const ReadHint *hint_find(Connection *connection, PartitionLog *log) noexcept nogil
cdef void hint_keep(Connection *connection, PartitionLog *log, const ReadHint *hint) noexcept nogil
