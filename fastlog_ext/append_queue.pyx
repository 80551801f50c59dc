"""Which logs a reactor has queued appends on.

A log carries the number of the last round in which it was listed, so that it is listed once a
round without a search. Two reactors that touch the same log overwrite each other's mark: then it is
listed twice, and the second drain finds nothing.
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset
from fastlog_ext.partition_log cimport partition_log_drain, partition_log_queue
from fastlog_ext.stats cimport ALLOCATIONS, count
from fastlog_ext.system cimport add64, load64_relaxed, store64_relaxed

cdef enum:
    BATCHES_MOST = 256      # as many as one write of a log takes
    BYTES_MOST = 262144

cdef int64_t rounds = 0


cdef void append_queue_open(AppendQueue *queue, Counters *counters) noexcept nogil:
    memset(queue, 0, sizeof(AppendQueue))
    queue.counters = counters
    queue.round = add64(&rounds, 1)


cdef void append_queue_close(AppendQueue *queue) noexcept nogil:
    free(queue.logs)
    queue.logs = NULL
    queue.log_capacity = 0


cdef int list_log(AppendQueue *queue, PartitionLog *log) noexcept nogil:
    """0: it is listed. -1: no memory."""
    cdef int32_t capacity
    cdef void *grown
    if load64_relaxed(&log.queue_round) == queue.round:
        return 0
    if queue.log_count == queue.log_capacity:
        capacity = queue.log_capacity * 2 if queue.log_capacity else 64
        grown = realloc(queue.logs, capacity * sizeof(PartitionLog *))
        if grown == NULL:
            return -1
        count(queue.counters, ALLOCATIONS, 1)
        queue.logs = <PartitionLog **>grown
        queue.log_capacity = capacity
    store64_relaxed(&log.queue_round, queue.round)
    queue.logs[queue.log_count] = log
    queue.log_count += 1
    return 0


cdef void append_queue_add(AppendQueue *queue, PartitionLog *log,
                           AppendRequest *request) noexcept nogil:
    queue.batches += 1
    queue.bytes += request.info.size
    partition_log_queue(log, request)
    if list_log(queue, log):
        partition_log_drain(log)


cdef int append_queue_full(const AppendQueue *queue) noexcept nogil:
    return queue.batches >= BATCHES_MOST or queue.bytes >= BYTES_MOST


cdef void append_queue_write(AppendQueue *queue) noexcept nogil:
    cdef int32_t number
    for number in range(queue.log_count):
        partition_log_drain(queue.logs[number])
    queue.log_count = 0
    queue.batches = 0
    queue.bytes = 0
    queue.round = add64(&rounds, 1)
