# The appends of a reactor's turn, by log: each log that was touched gets them at once, so that what
# many requests bring for a partition is one write.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.partition_log cimport AppendRequest, PartitionLog
from fastlog_ext.stats cimport Counters

cdef struct QueuedLog:
    PartitionLog *log       # whoever queued keeps it retained
    AppendRequest *newest   # a chain by `next`
    AppendRequest *oldest

cdef struct AppendQueue:
    QueuedLog *logs
    int32_t log_count
    int32_t log_capacity
    int32_t batches
    int64_t bytes
    int64_t round           # unique in the process: which of its fillings this is
    Counters *counters

cdef void append_queue_open(AppendQueue *queue, Counters *counters) noexcept nogil
cdef void append_queue_close(AppendQueue *queue) noexcept nogil
cdef void append_queue_add(AppendQueue *queue, PartitionLog *log,
                           AppendRequest *request) noexcept nogil
# There is enough for good writes: more would only leave the processor's cache.
cdef int append_queue_full(const AppendQueue *queue) noexcept nogil
# Everything queued is written, or about to be by a thread that is writing that log.
cdef void append_queue_write(AppendQueue *queue) noexcept nogil
