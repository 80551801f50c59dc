"""Which appends a reactor has in hand, by log.

A log carries the round of the queue that used it last and its place there, in one number, so that
it is found again without a search. Two reactors that touch the same log overwrite each other's
mark: then it gets a second place.
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset
from fastlog_ext.partition_log cimport partition_log_append, partition_log_append_chain
from fastlog_ext.stats cimport ALLOCATIONS, count
from fastlog_ext.system cimport add64, load64_relaxed, store64_relaxed

cdef enum:
    BATCHES_MOST = 256          # as many as one write of a log takes
    BYTES_MOST = 262144         # of one log
    BYTES_MOST_IN_ALL = 1048576
    PLACE_BITS = 20

cdef int64_t rounds = 0


cdef void append_queue_open(AppendQueue *queue, Counters *counters) noexcept nogil:
    memset(queue, 0, sizeof(AppendQueue))
    queue.counters = counters
    queue.round = add64(&rounds, 1)


cdef void append_queue_close(AppendQueue *queue) noexcept nogil:
    free(queue.logs)
    queue.logs = NULL
    queue.log_capacity = 0


cdef QueuedLog *new_place(AppendQueue *queue, PartitionLog *log) noexcept nogil:
    """NULL: no memory for one, or no number."""
    cdef int32_t capacity
    cdef void *grown
    cdef QueuedLog *place
    if queue.log_count == queue.log_capacity:
        capacity = queue.log_capacity * 2 if queue.log_capacity else 64
        if capacity > 1 << PLACE_BITS:
            return NULL
        grown = realloc(queue.logs, capacity * sizeof(QueuedLog))
        if grown == NULL:
            return NULL
        count(queue.counters, ALLOCATIONS, 1)
        queue.logs = <QueuedLog *>grown
        queue.log_capacity = capacity
    place = &queue.logs[queue.log_count]
    place.log = log
    place.newest = NULL
    store64_relaxed(&log.queue_place, queue.round << PLACE_BITS | queue.log_count)
    queue.log_count += 1
    return place


cdef QueuedLog *place_of(AppendQueue *queue, PartitionLog *log) noexcept nogil:
    cdef int64_t mark = load64_relaxed(&log.queue_place)
    if mark >> PLACE_BITS == queue.round:
        return &queue.logs[mark & ((1 << PLACE_BITS) - 1)]
    return new_place(queue, log)


cdef void append_queue_add(AppendQueue *queue, PartitionLog *log,
                           AppendRequest *request) noexcept nogil:
    cdef QueuedLog *place = place_of(queue, log)
    if place == NULL:
        append_queue_write(queue)           # what was queued goes first
        partition_log_append(log, request)
        return
    if place.newest == NULL:
        place.oldest = request
    request.next = place.newest
    place.newest = request
    queue.batches += 1
    queue.bytes += request.info.size


cdef int append_queue_full(const AppendQueue *queue) noexcept nogil:
    cdef int64_t bytes_most = min(<int64_t>BYTES_MOST * queue.log_count, BYTES_MOST_IN_ALL)
    return queue.batches >= BATCHES_MOST or (queue.bytes >= bytes_most and queue.batches > 0)


cdef void append_queue_write(AppendQueue *queue) noexcept nogil:
    cdef QueuedLog *place
    cdef int32_t number
    for number in range(queue.log_count):
        place = &queue.logs[number]
        partition_log_append_chain(place.log, place.newest, place.oldest)
    queue.log_count = 0
    queue.batches = 0
    queue.bytes = 0
    queue.round = add64(&rounds, 1)
