"""Requests that the control plane answers.

Such a request is a barrier: it leaves when nothing before it is unanswered, and nothing after it is
parsed until it is answered. So a connection has one at most, and the copy of its frame is all that
it holds while it waits.

A peer that has sent more behind its request is busy with many: those who wait for one answer come
before it, except now and then, so that neither waits for ever. Among these, addresses have their
turns, so that one with thousands of connections is one of some that wait.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from fastlog_ext.connection_life cimport connection_end, connection_starve
from fastlog_ext.endian cimport put32
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.plane cimport (
    HANDOFF_QUEUES, Connection, Handoff, HandoffQueue, HandoffQueues, Plane, Response)
from fastlog_ext.responses cimport response_adopt, response_begin, response_ready
from fastlog_ext.stats cimport OTHER_REQUESTS, count
from fastlog_ext.system cimport ENOMEM, add64, pthread_mutex_lock, pthread_mutex_unlock, write

cdef enum:
    PATIENT_EACH = 8            # one in so many is of a peer that has sent more


cdef int handoff_start(Connection *connection, const uint8_t *frame, int64_t size) noexcept nogil:
    cdef Plane *plane = connection.reactor.plane
    cdef Handoff *handoff = <Handoff *>malloc(sizeof(Handoff) + size)
    cdef uint64_t one = 1
    if handoff == NULL:
        return ENOMEM
    handoff.response = response_begin(connection)
    if handoff.response == NULL:
        free(handoff)
        return ENOMEM
    handoff.mail.owner = handoff
    handoff.mail.deliver = deliver
    handoff.next = NULL
    handoff.connection = connection
    handoff.answer = NULL
    handoff.frame_size = size
    memcpy(handoff.frame, frame, size)
    connection.barrier = 1
    add64(&plane.budget.used, size)     # until it is answered
    count(&connection.reactor.counters, OTHER_REQUESTS, 1)
    pthread_mutex_lock(&plane.handoff_lock)
    append(&plane.handoffs[connection.parsed < connection.filled], connection.address_queue,
           handoff)
    pthread_mutex_unlock(&plane.handoff_lock)
    write(plane.request_fd, &one, sizeof(one))
    return 0


cdef void append(HandoffQueues *queues, int32_t number, Handoff *handoff) noexcept nogil:
    cdef HandoffQueue *queue = &queues.queues[number]
    queues.waiting |= <uint64_t>1 << number
    if queue.last == NULL:
        queue.first = handoff
    else:
        queue.last.next = handoff
    queue.last = handoff


cdef Handoff *pop(HandoffQueues *queues) noexcept nogil:
    cdef HandoffQueue *queue
    cdef Handoff *handoff
    if queues.waiting == 0:
        return NULL
    while not (queues.waiting >> queues.turn) & 1:
        queues.turn = (queues.turn + 1) % HANDOFF_QUEUES
    queue = &queues.queues[queues.turn]
    handoff = queue.first
    queue.first = handoff.next
    if handoff.next == NULL:
        queue.last = NULL
        queues.waiting &= ~(<uint64_t>1 << queues.turn)
    handoff.next = NULL
    queues.turn = (queues.turn + 1) % HANDOFF_QUEUES
    return handoff


cdef Handoff *handoff_take(Plane *plane) noexcept nogil:
    cdef Handoff *handoff
    cdef int rather
    pthread_mutex_lock(&plane.handoff_lock)
    plane.handoffs_taken += 1
    rather = plane.handoffs_taken % PATIENT_EACH == 0
    handoff = pop(&plane.handoffs[rather])
    if handoff == NULL:
        handoff = pop(&plane.handoffs[not rather])
    pthread_mutex_unlock(&plane.handoff_lock)
    return handoff


cdef void handoff_answer(Handoff *handoff, uint8_t *answer, int64_t size) noexcept nogil:
    handoff.answer = answer
    handoff.answer_size = size
    mailbox_post(&handoff.connection.reactor.mailbox, &handoff.mail)


cdef void deliver(Mail *mail) noexcept nogil:
    cdef Handoff *handoff = <Handoff *>mail.owner
    cdef Connection *connection = handoff.connection
    cdef Response *response = handoff.response
    cdef int refused = handoff.answer == NULL
    cdef int no_memory = 0
    connection.barrier = 0
    add64(&connection.reactor.plane.budget.used, -handoff.frame_size)
    if not refused:
        put32(handoff.answer, <int32_t>handoff.answer_size)
        no_memory = response_adopt(response, handoff.answer, handoff.answer_size + 4)
        if no_memory:
            free(handoff.answer)
    free(handoff)
    response_ready(response)
    if no_memory:
        connection_starve(connection)
    elif refused:
        connection_end(connection)      # once what it was owed before has left
