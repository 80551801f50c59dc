"""Produce: from a parsed request to appends, to the answer.

Its batches are looked at first; where that takes long, another thread does it (produce_check.pyx).

A request's parts end on any thread, in any order. One atomic count, which starts one above the
number of parts, decides who goes on: the reactor itself when it is the last, else whoever is, by
mail to the reactor.

What one turn parses is only collected: `produce_flush` writes it, by log, and then drops the
reactor's own count of each request. It runs at the end of the turn, or earlier when there is enough
for a good write, or when a Fetch behind a Produce must see what that appended.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from fastlog_ext.append_queue cimport (
    append_queue_add, append_queue_full, append_queue_write)
from fastlog_ext.batch cimport (
    BATCH_TRANSACTIONAL, BatchVerdict, batch_check_frame, batch_first)
from fastlog_ext.buffers cimport Buffer, buffer_release, buffer_retain
from fastlog_ext.connection_life cimport connection_close, connection_starve
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.partition_log cimport (
    LOG_ONLINE, LogView, ORIGIN_CLIENT, AppendRequest, PartitionLog,
    partition_log_release, partition_log_retain, partition_log_view)
from fastlog_ext.plane cimport Connection, Reactor, Response
from fastlog_ext.produce_check cimport produce_check, produce_check_beside
from fastlog_ext.produce_request cimport (
    ProducePartition, ProduceRequest, ProduceTopic, produce_encode, produce_parse)
from fastlog_ext.responses cimport (
    mark_dirty, response_begin, response_clear, response_ready)
from fastlog_ext.stats cimport (
    ALLOCATIONS, BATCHES_REFUSED, PRODUCES_PARKED, PRODUCE_REQUESTS, count)
from fastlog_ext.system cimport (
    add32, add64, load32, load32_relaxed, load64, load64_relaxed, store32, wall_clock_ms)
from fastlog_ext.timers cimport Timer, timer_cancel, timer_set
from fastlog_ext.topics cimport Topic, topic_by_id, topic_by_name
from fastlog_ext.waiters cimport Waiter, waiters_add, waiters_remove

cdef enum:
    UNKNOWN_TOPIC_OR_PARTITION = 3
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    RECORD_LIST_TOO_LARGE = 18
    INVALID_REQUIRED_ACKS = 21
    INVALID_TXN_STATE = 48
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    KAFKA_STORAGE_ERROR = 56
    UNKNOWN_TOPIC_ID = 100
    CORRUPT_MESSAGE = 2
    TOPIC_BY_ID_FROM = 13
    ZSTD_FROM = 7
    KEPT_PARTITIONS = 1024      # places that a free request may keep,
    KEPT_REQUESTS = 64          # if it is one of the first so many; the others
    KEPT_FEW = 16
    UNCOUNTED = 16384           # bytes of a request, beside its frame


cdef ProduceRequest *take_request(Reactor *reactor) noexcept nogil:
    cdef ProduceRequest *request = <ProduceRequest *>reactor.free_produces
    if request != NULL:
        reactor.free_produces = request.next
        return request
    request = <ProduceRequest *>malloc(sizeof(ProduceRequest))
    if request == NULL:
        return NULL
    count(&reactor.counters, ALLOCATIONS, 1)
    memset(request, 0, sizeof(ProduceRequest))
    request.reactor = reactor
    request.mail.owner = request
    request.mail.deliver = deliver
    request.timer.owner = request
    request.timer.fire = timed_out
    return request


cdef void release_input(ProduceRequest *request) noexcept nogil:
    buffer_release(request.input)
    request.input = NULL
    request.response.connection.held_bytes -= request.held


cdef void give_back(ProduceRequest *request) noexcept nogil:
    cdef ProduceRequest *free_ones = <ProduceRequest *>request.reactor.free_produces
    cdef int32_t number, kept
    for number in range(request.partition_count):
        if request.partitions[number].log != NULL:
            partition_log_release(request.partitions[number].log)
        free(request.partitions[number].refused)
    request.partition_count = 0
    request.behind = free_ones.behind + 1 if free_ones != NULL else 0
    kept = KEPT_PARTITIONS if request.behind < KEPT_REQUESTS else KEPT_FEW
    if request.partition_capacity > kept:
        free(request.partitions)
        request.partitions = NULL
        request.partition_capacity = 0
    if request.topic_capacity > kept:
        free(request.topics)
        request.topics = NULL
        request.topic_capacity = 0
    if request.charged:
        add64(&request.reactor.plane.budget.used, -request.charged)
        request.charged = 0
    if request.input != NULL:
        release_input(request)
    request.next = free_ones
    request.reactor.free_produces = request


cdef void produce_destroy(Reactor *reactor) noexcept nogil:
    cdef ProduceRequest *request
    while reactor.free_produces != NULL:
        request = <ProduceRequest *>reactor.free_produces
        reactor.free_produces = request.next
        free(request.topics)
        free(request.names)
        free(request.partitions)
        free(request)


cdef void charge(ProduceRequest *request) noexcept nogil:
    """Its frame is counted; of many partitions without records the rest is what takes memory."""
    cdef int64_t bytes = (request.topic_capacity * <int64_t>sizeof(ProduceTopic)
                          + request.partition_capacity * <int64_t>sizeof(ProducePartition))
    if bytes > UNCOUNTED:
        request.charged = bytes
        add64(&request.reactor.plane.budget.used, bytes)


cdef const char *produce_start(Connection *connection, Buffer *buffer, uint8_t *frame,
                               int64_t size) noexcept nogil:
    cdef ProduceRequest *request = take_request(connection.reactor)
    cdef const char *reason
    if request == NULL:
        return "out of memory for a Produce request"
    reason = produce_parse(request, frame, size)
    if reason == NULL:
        request.response = response_begin(connection)
        if request.response == NULL:
            reason = "out of memory for a response"
    if reason != NULL:
        request.partition_count = 0
        give_back(request)
        return reason
    count(&connection.reactor.counters, PRODUCE_REQUESTS, 1)
    charge(request)
    buffer_retain(buffer)
    request.input = buffer
    request.held = size + request.charged
    connection.held_bytes += request.held
    connection.appending += 1
    request.committing = 0
    request.refused_records = 0
    request.decoded = 0
    request.looked = 0
    request.now_ms = wall_clock_ms()
    prepare_all(request)
    if produce_check_beside(request):
        request.checking = 1
        connection.barrier = 1
    else:
        append_all(request)
    return NULL


cdef int16_t refusal_of_all(const ProduceRequest *request) noexcept nogil:
    """Why no part of the request is served, or 0. Kafka asks first whether a client without a
    transactional id sends transactional records, and fails on a batch that it cannot even find."""
    cdef int32_t number
    cdef int first
    for number in range(request.partition_count):
        first = batch_first(request.partitions[number].records, request.partitions[number].size)
        if first < 0:
            return CORRUPT_MESSAGE
        if first == BATCH_TRANSACTIONAL:
            return 0 if request.transactional else TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return 0


cdef void prepare_all(ProduceRequest *request) noexcept nogil:
    cdef ProduceTopic *topic
    cdef Topic *found
    cdef ProducePartition *partition
    cdef int32_t number, last
    cdef int32_t first = 0
    cdef int16_t error = refusal_of_all(request)
    for number in range(request.topic_count):
        topic = &request.topics[number]
        if request.head.version >= TOPIC_BY_ID_FROM:
            found = topic_by_id(request.reactor.plane.topics, topic.name)
        else:
            found = topic_by_name(request.reactor.plane.topics, topic.name,
                                  <int16_t>topic.name_size)
        last = first + topic.partition_count
        while first < last:
            partition = &request.partitions[first]
            partition.error = error
            if error == CORRUPT_MESSAGE:
                partition.message = b"A batch's length or magic is invalid"
            elif not error:
                prepare(request, partition, found)
            first += 1


cdef void checked(ProduceRequest *request) noexcept nogil:
    """Back on the reactor: its records have been looked at."""
    cdef Connection *connection = request.response.connection
    request.checking = 0
    connection.barrier = 0
    mark_dirty(connection)
    append_all(request)


cdef void append_all(ProduceRequest *request) noexcept nogil:
    """Queues what has not been refused."""
    if submit_all(request):
        join_submitted(request)
    else:
        appended(request)
    if append_queue_full(&request.reactor.appends):
        produce_flush(request.reactor)


cdef int32_t submit_all(ProduceRequest *request) noexcept nogil:
    """Returns how many appends. All counts stand before the first of them can end."""
    cdef ProducePartition *partition
    cdef int32_t number
    cdef int32_t appends = 0
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        if partition.error:
            count(&request.reactor.counters, BATCHES_REFUSED, 1)
            if partition.log != NULL:
                set_log_start(partition)
            continue
        appends += 1
        partition.append.data = partition.records
        partition.append.origin = ORIGIN_CLIENT
        partition.append.leader_epoch = -1
        partition.append.done = one_appended
        partition.append.owner = request
    store32(&request.pending, appends + 1)
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        if partition.error == 0:
            append_queue_add(&request.reactor.appends, partition.log, &partition.append)
    return appends


cdef void join_submitted(ProduceRequest *request) noexcept nogil:
    cdef Reactor *reactor = request.reactor
    request.next = NULL
    if reactor.submitted == NULL:
        reactor.submitted = request
    else:
        (<ProduceRequest *>reactor.last_submitted).next = request
    reactor.last_submitted = request


cdef void produce_flush(Reactor *reactor) noexcept nogil:
    cdef ProduceRequest *request
    cdef ProduceRequest *following = <ProduceRequest *>reactor.submitted
    if following == NULL:
        return
    reactor.submitted = NULL
    append_queue_write(&reactor.appends)
    while following != NULL:
        request = following
        following = request.next            # whoever ends it gives it back
        if add32(&request.pending, -1) == 0:
            appended(request)


cdef void prepare(ProduceRequest *request, ProducePartition *partition,
                  Topic *topic) noexcept nogil:
    """Everything that can be refused before the log sees the batch."""
    cdef PartitionLog *log
    if topic == NULL:
        partition.error = UNKNOWN_TOPIC_OR_PARTITION
        if request.head.version >= TOPIC_BY_ID_FROM:
            partition.error = UNKNOWN_TOPIC_ID
        return
    if partition.index < 0 or partition.index >= topic.partition_count:
        partition.error = UNKNOWN_TOPIC_OR_PARTITION
        return
    check_request(request, partition)
    if partition.error:
        return
    log = topic.partitions[partition.index]
    if log == NULL:
        partition.error = NOT_LEADER_OR_FOLLOWER
        return
    partition_log_retain(log)
    partition.log = log
    produce_check(request, partition)


cdef void check_request(ProduceRequest *request, ProducePartition *partition) noexcept nogil:
    """What is wrong whatever the log."""
    cdef BatchVerdict verdict
    # Kafka never answers when the records are null; an empty field is an invalid record to it.
    if not batch_check_frame(partition.records, partition.size, request.head.version >= ZSTD_FROM,
                             &verdict):
        partition.error = verdict.error
        partition.message = verdict.message
    elif batch_first(partition.records, partition.size) == BATCH_TRANSACTIONAL:
        # No transaction coordinator yet: nothing could ever commit or abort what this would open.
        partition.error = INVALID_TXN_STATE
        partition.message = b"This broker does not serve transactions"
    elif request.acks < -1 or request.acks > 1:
        partition.error = INVALID_REQUIRED_ACKS


cdef void set_log_start(ProducePartition *partition) noexcept nogil:
    """Kafka tells where the log starts with those errors that it did not foresee."""
    cdef LogView view
    if partition.error in (CORRUPT_MESSAGE, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
                           MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, KAFKA_STORAGE_ERROR):
        return
    partition_log_view(partition.log, &view)
    partition.log_start_offset = view.log_start_offset


cdef void one_appended(AppendRequest *append) noexcept nogil:
    """On whichever thread wrote it."""
    cdef ProduceRequest *request = <ProduceRequest *>append.owner
    if add32(&request.pending, -1) == 0:
        mailbox_post(&request.reactor.mailbox, &request.mail)


cdef void deliver(Mail *mail) noexcept nogil:
    cdef ProduceRequest *request = <ProduceRequest *>mail.owner
    if request.checking:
        checked(request)
    elif request.committing:
        answer(request)
    else:
        appended(request)


cdef void appended(ProduceRequest *request) noexcept nogil:
    """All appends have ended: take their results, then wait for the replicas if asked to."""
    cdef ProducePartition *partition
    cdef int32_t number
    request.response.connection.appending -= 1
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        if partition.error:
            continue
        partition.error = partition.append.error
        if partition.error:
            partition.append.base_offset = -1
            partition.append.append_time_ms = -1
            set_log_start(partition)
        else:
            partition.log_start_offset = partition.append.log_start_offset
    if request.acks == -1:
        await_commit(request)
    else:
        answer(request)


cdef void abandoned(void *owner) noexcept nogil:
    """Its connection is gone: the records are there all the same, and it ends when they are
    committed."""


cdef inline int committed(ProducePartition *partition) noexcept nogil:
    return load64(&partition.log.published_high_watermark) > partition.append.last_offset


cdef void let_go_of_input(ProduceRequest *request) noexcept nogil:
    """What waits for replicas needs the topics' names only: the batches' buffer may go."""
    cdef int64_t size = 0
    cdef int32_t number
    cdef uint8_t *names
    for number in range(request.topic_count):
        size += request.topics[number].name_size
    names = <uint8_t *>realloc(request.names, size)
    if names == NULL:
        return                          # then it is held until the answer
    request.names = names
    for number in range(request.topic_count):
        memcpy(names, request.topics[number].name, request.topics[number].name_size)
        request.topics[number].name = names
        names += request.topics[number].name_size
    release_input(request)
    mark_dirty(request.response.connection)     # which may be read on now


cdef void await_commit(ProduceRequest *request) noexcept nogil:
    cdef ProducePartition *partition
    cdef int32_t number
    cdef int32_t listed = 0
    cdef int32_t idle
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        listed += partition.error == 0 and not committed(partition)
    if listed == 0:
        answer(request)
        return
    request.committing = 1
    request.response.cancel = abandoned
    if request.response.connection.ending:
        mark_dirty(request.response.connection)     # it does not end with us
    count(&request.reactor.counters, PRODUCES_PARKED, 1)
    # Counts every partition first, so that no wake can bring it to zero before the last is listed.
    store32(&request.pending, request.partition_count + 1)
    # Without memory for the timer it still ends with the commit, or with the log.
    timer_set(&request.reactor.timers, &request.timer, request.reactor.now_ms
              + (request.timeout_ms if request.timeout_ms > 0 else 0))
    let_go_of_input(request)
    for number in range(request.partition_count):
        list_waiter(request, &request.partitions[number])
    idle = 1
    for number in range(request.partition_count):
        idle += not request.partitions[number].listed
    if add32(&request.pending, -idle) == 0:
        answer(request)


cdef void list_waiter(ProduceRequest *request, ProducePartition *partition) noexcept nogil:
    cdef int result
    if partition.error or committed(partition):
        return
    partition.waiter.threshold = partition.append.last_offset
    partition.waiter.wake = one_committed
    partition.waiter.owner = request
    partition.listed = 1
    result = waiters_add(&partition.log.commit_waiters, &partition.waiter,
                         &partition.log.published_high_watermark)
    if result:
        partition.listed = 0
    if result < 0:
        partition.error = NOT_LEADER_OR_FOLLOWER


cdef void one_committed(Waiter *waiter) noexcept nogil:
    """On whichever thread moved the high watermark, or closed the log."""
    cdef ProduceRequest *request = <ProduceRequest *>waiter.owner
    if add32(&request.pending, -1) == 0:
        mailbox_post(&request.reactor.mailbox, &request.mail)


cdef void timed_out(Timer *timer) noexcept nogil:
    cdef ProduceRequest *request = <ProduceRequest *>timer.owner
    cdef ProducePartition *partition
    cdef int32_t number
    cdef int32_t removed = 0
    # `pending` cannot reach zero twice: each waiter is counted here or by its wake, never by both.
    for number in range(request.partition_count):
        partition = &request.partitions[number]
        if partition.listed and waiters_remove(&partition.log.commit_waiters, &partition.waiter):
            partition.listed = 0
            partition.error = REQUEST_TIMED_OUT
            removed += 1
    if removed and add32(&request.pending, -removed) == 0:
        answer(request)


cdef void check_committed(ProducePartition *partition) noexcept nogil:
    """Woken by the high watermark, or because the log was closed under it."""
    if partition.listed and partition.error == 0 and not committed(partition):
        partition.error = NOT_LEADER_OR_FOLLOWER
        if load32(&partition.log.state) != LOG_ONLINE:
            partition.error = KAFKA_STORAGE_ERROR


cdef void tell_refusal(ProducePartition *partition) noexcept nogil:
    if partition.also_refused:
        partition.error = partition.also_refused
        partition.message = partition.also_message
        partition.record_index = -1
        partition.refused_count = 0
        partition.append.base_offset = -1
        partition.append.append_time_ms = -1
        partition.log_start_offset = -1


cdef void answer(ProduceRequest *request) noexcept nogil:
    cdef Response *response = request.response
    cdef Connection *connection = response.connection
    cdef int failed = 0
    cdef int no_memory
    cdef int32_t number
    timer_cancel(&request.reactor.timers, &request.timer)
    if request.committing:
        for number in range(request.partition_count):
            check_committed(&request.partitions[number])
    for number in range(request.partition_count):
        tell_refusal(&request.partitions[number])
    if request.acks == 0:
        for number in range(request.partition_count):
            failed |= request.partitions[number].error != 0
    no_memory = request.acks != 0 and not connection.closed and produce_encode(request)
    if failed or no_memory:
        response_clear(response)
    give_back(request)
    response_ready(response)
    if no_memory:
        connection_starve(connection)
    elif failed:
        connection_close(connection)    # the client awaits no answer and must notice
