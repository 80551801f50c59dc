"""Fetch: read, answer, or wait.

A fetch that finds too little waits on the high watermark of each of its partitions. The first wake
posts it to its reactor, which takes the other waiters off their lists; those that are being woken
at that very moment still touch the request, so it goes on (or is reused) only when `waiting` has
come to zero, which the last wake says by a second piece of mail. `waiting` starts one above the
number of waiters; that one is the reactor's.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from fastlog_ext.cold_reads cimport cold_begin, cold_end, cold_place, cold_start
from fastlog_ext.connection_life cimport connection_starve
from fastlog_ext.fetch_request cimport (
    FetchPartition, FetchRequest, FetchTopic, fetch_encode, fetch_parse, fetch_set_nth)
from fastlog_ext.fetch_sessions cimport (
    fetch_session_choose, fetch_session_release, fetch_session_take)
from fastlog_ext.hints cimport hint_find, hints_fit
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.partition_log cimport (
    READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, LogView, PartitionLog, ReadHint,
    partition_log_check_epoch, partition_log_epoch_end, partition_log_read, partition_log_release,
    partition_log_retain, partition_log_view)
from fastlog_ext.plane cimport Connection, Reactor, Response
from fastlog_ext.responses cimport response_begin, response_clear, response_ready
from fastlog_ext.segment cimport segment_unpin
from fastlog_ext.stats cimport FETCHES_PARKED, FETCH_REQUESTS, WAKEUPS, count
from fastlog_ext.system cimport add32, add64, exchange32, load32_seq, store32
from fastlog_ext.timers cimport Timer, timer_cancel, timer_set
from fastlog_ext.topics cimport Topic, topic_by_id, topic_by_name
from fastlog_ext.waiters cimport Waiter, waiters_add, waiters_remove

cdef enum:
    OFFSET_OUT_OF_RANGE = 1
    UNKNOWN_TOPIC_OR_PARTITION = 3
    NOT_LEADER_OR_FOLLOWER = 6
    UNKNOWN_TOPIC_ID = 100
    TOPIC_BY_ID_FROM = 13
    KEPT_FRAME = 65536          # a copy of a frame that a free request may keep
    KEPT_PARTITIONS = 1024      # and places for partitions
    FREE_REQUESTS = 64          # that a reactor keeps
    UNCOUNTED = 16384           # bytes of a request that waits


cdef FetchRequest *take_request(Reactor *reactor) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>reactor.free_fetches
    if request != NULL:
        reactor.free_fetches = request.next
        return request
    request = <FetchRequest *>malloc(sizeof(FetchRequest))
    if request == NULL:
        return NULL
    memset(request, 0, sizeof(FetchRequest))
    request.reactor = reactor
    request.woken.owner = request
    request.woken.deliver = deliver_woken
    request.drained.owner = request
    request.drained.deliver = deliver_drained
    request.timer.owner = request
    request.timer.fire = timed_out
    return request


cdef void free_request(FetchRequest *request) noexcept nogil:
    free(request.frame)
    free(request.set.topics)
    free(request.set.partitions)
    free(request)


cdef void drop_reads(FetchRequest *request) noexcept nogil:
    cdef int32_t number
    for number in range(request.set.partition_count):
        if request.set.partitions[number].read.size > 0:
            segment_unpin(request.set.partitions[number].read.files)
            request.set.partitions[number].read.size = 0


cdef void drop_logs(FetchRequest *request) noexcept nogil:
    cdef FetchPartition *partition
    cdef int32_t number
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        if partition.retained:
            partition.retained = 0
            partition_log_release(partition.log)


cdef void give_back(FetchRequest *request) noexcept nogil:
    drop_reads(request)
    drop_logs(request)
    fetch_session_release(request)
    request.set.partition_count = 0
    if request.set.partition_capacity > KEPT_PARTITIONS:
        free(request.set.partitions)
        request.set.partitions = NULL
        request.set.partition_capacity = 0
    if request.set.topic_capacity > KEPT_PARTITIONS:
        free(request.set.topics)
        request.set.topics = NULL
        request.set.topic_capacity = 0
    if request.charged:
        add64(&request.reactor.plane.budget.used, -request.charged)
        request.response.connection.held_bytes -= request.charged
        request.charged = 0
    if request.frame_capacity > KEPT_FRAME:
        free(request.frame)
        request.frame = NULL
        request.frame_capacity = 0
    keep_free(request)


cdef void keep_free(FetchRequest *request) noexcept nogil:
    cdef FetchRequest *free_ones = <FetchRequest *>request.reactor.free_fetches
    request.behind = free_ones.behind + 1 if free_ones != NULL else 0
    if request.behind >= FREE_REQUESTS:
        free_request(request)
        return
    request.next = free_ones
    request.reactor.free_fetches = request


cdef void fetches_destroy(Reactor *reactor) noexcept nogil:
    cdef FetchRequest *request
    while reactor.free_fetches != NULL:
        request = <FetchRequest *>reactor.free_fetches
        reactor.free_fetches = request.next
        free_request(request)


cdef void charge(FetchRequest *request) noexcept nogil:
    """What is more than a little counts as memory in flight for as long as it waits, also of what
    its connection may hold."""
    cdef int64_t bytes = (request.frame_capacity
                          + request.set.topic_capacity * <int64_t>sizeof(FetchTopic)
                          + request.set.partition_capacity * <int64_t>sizeof(FetchPartition))
    if bytes > UNCOUNTED:
        request.charged = bytes
        add64(&request.reactor.plane.budget.used, bytes)
        request.response.connection.held_bytes += bytes


cdef const char *fetch_start(Connection *connection, const uint8_t *frame,
                             int64_t size) noexcept nogil:
    cdef Reactor *reactor = connection.reactor
    cdef FetchRequest *request = take_request(reactor)
    cdef const char *reason
    if request == NULL:
        return "out of memory for a Fetch request"
    reason = fetch_parse(request, frame, size)
    if reason == NULL:
        request.response = response_begin(connection)
        if request.response == NULL:
            reason = "out of memory for a response"
    if reason != NULL:
        request.set.partition_count = 0
        give_back(request)
        return reason
    count(&reactor.counters, FETCH_REQUESTS, 1)
    charge(request)
    request.error = fetch_session_take(request)
    if request.error:
        request.set.partition_count = 0
    connection.in_session = request.session != NULL
    request.warmed = 0
    request.unaided = 0
    request.expired = request.max_wait_ms <= 0 or reactor.stopping
    request.deadline_ms = reactor.now_ms + request.max_wait_ms
    if request.max_bytes > reactor.plane.max_fetch_bytes:
        request.max_bytes = reactor.plane.max_fetch_bytes
    if request.min_bytes > request.max_bytes:
        request.min_bytes = request.max_bytes
    find_logs(request)
    hints_fit(connection, request.set.partition_count)
    resume(request)
    return NULL


cdef void find_logs(FetchRequest *request) noexcept nogil:
    """Logs and errors, once for the life of the request: what is parked keeps its logs."""
    cdef FetchPartition *partition
    cdef Topic *topic = NULL
    cdef int32_t number
    cdef int32_t topic_number = -1
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        partition.log = NULL
        partition.error = 0
        if partition.topic != topic_number:
            topic_number = partition.topic
            topic = find_topic(request, &request.set.topics[topic_number])
        if topic == NULL:
            partition.error = UNKNOWN_TOPIC_OR_PARTITION
            if request.head.version >= TOPIC_BY_ID_FROM:
                partition.error = UNKNOWN_TOPIC_ID
        elif partition.index < 0 or partition.index >= topic.partition_count:
            partition.error = UNKNOWN_TOPIC_OR_PARTITION
        else:
            partition.log = topic.partitions[partition.index]
            # A replica is served only as one of the partition's known replicas, and there are none
            # yet.
            if request.replica_id >= 0:
                partition.log = NULL
            if partition.log == NULL:
                partition.error = NOT_LEADER_OR_FOLLOWER


cdef Topic *find_topic(FetchRequest *request, FetchTopic *topic) noexcept nogil:
    if request.head.version >= TOPIC_BY_ID_FROM:
        return topic_by_id(request.reactor.plane.topics, topic.name)
    return topic_by_name(request.reactor.plane.topics, topic.name, <int16_t>topic.name_size)


cdef int16_t check_epochs(FetchPartition *partition) noexcept nogil:
    """KIP-320: is the reader's idea of the leader right, and does its log agree with ours?"""
    cdef LogView view
    cdef int32_t epoch
    cdef int64_t end_offset
    cdef int16_t error = partition_log_check_epoch(partition.log, partition.leader_epoch)
    if error or partition.last_fetched_epoch < 0:
        return error
    partition_log_epoch_end(partition.log, partition.last_fetched_epoch, &epoch, &end_offset)
    partition_log_view(partition.log, &view)
    if epoch == -1 or end_offset == -1 or partition.offset < view.log_start_offset:
        return OFFSET_OUT_OF_RANGE
    if epoch < partition.last_fetched_epoch or end_offset < partition.offset:
        partition.diverges = 1
        partition.diverging_epoch = epoch
        partition.diverging_offset = end_offset
        partition.read.view = view
    return 0


cdef int64_t read_partition(FetchRequest *request, FetchPartition *partition, int64_t left,
                            int whole_first) noexcept nogil:
    """Returns how much there is to answer, which may be more than one segment yields."""
    cdef Connection *connection = request.response.connection
    cdef int64_t limit = partition.max_bytes if partition.max_bytes < left else left
    cdef int64_t there
    cdef int cached
    cdef ReadHint place
    cdef const ReadHint *hint = cold_place(partition, &place)
    if hint == NULL:
        hint = hint_find(connection, partition.log)
    partition.read.size = 0
    partition.diverges = 0
    partition.error = check_epochs(partition)
    if partition.error or partition.diverges:
        return 0
    cached = cold_begin(request, partition)
    partition_log_read(
        partition.log, partition.offset, limit if limit > 0 else 0, whole_first,
        READ_TO_LAST_STABLE if request.read_committed else READ_TO_HIGH_WATERMARK,
        hint, &partition.read)
    if cached and cold_end(request, partition, limit):
        return 0
    partition.error = partition.read.error
    if partition.error:
        partition.read.size = 0
        return 0
    there = partition.read.available if partition.read.available < limit else limit
    return there if there > partition.read.size else partition.read.size


cdef int read_all(FetchRequest *request) noexcept nogil:
    """1: to be answered now. KIP-74: the first batch found goes out whole, then the limits hold.
    What is unknown does not hasten the answer, unless there is nothing else."""
    cdef FetchPartition *partition
    cdef int64_t left = request.max_bytes
    cdef int64_t there = 0
    cdef int whole_first = 1
    cdef int now = 0
    cdef int known = 0
    cdef int32_t place
    request.cold = 0
    for place in range(request.set.partition_count):
        partition = fetch_set_nth(&request.set, place)
        if partition.log == NULL:
            now |= partition.error == NOT_LEADER_OR_FOLLOWER
            continue
        known = 1
        there += read_partition(request, partition, left, whole_first)
        if partition.error or partition.diverges:
            now = 1
        if partition.read.size > 0:
            whole_first = 0
            left = left - partition.read.size if left > partition.read.size else 0
    if request.cold and request.warmed and not whole_first:
        request.cold = 0                # what has come goes out; the rest is for the next request
        now = 1
    return now or not known or request.expired or there >= request.min_bytes


cdef void resume(FetchRequest *request) noexcept nogil:
    """Nobody else holds the request: answer it, or park it again."""
    cdef Connection *connection = request.response.connection
    cdef int enough
    if connection.closed:
        finish(request)
        return
    request.expired |= request.reactor.stopping
    while True:
        enough = read_all(request)
        if request.cold and not request.unaided:
            drop_reads(request)
            if cold_start(request, resume):
                return
            request.unaided = 1         # until it has waited
        elif enough:
            break
        else:
            drop_reads(request)
            if park(request):
                return
    fetch_session_choose(request)
    if fetch_encode(request):
        drop_reads(request)
        response_clear(request.response)
        finish(request)
        connection_starve(connection)
        return
    finish(request)


cdef void finish(FetchRequest *request) noexcept nogil:
    cdef Response *response = request.response
    if request.session != NULL:
        response.connection.in_session = 0
    give_back(request)
    response_ready(response)


cdef void cancel(void *owner) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>owner
    request.expired = 1
    if request.parked:
        unpark(request)


cdef void join_parked(FetchRequest *request) noexcept nogil:
    cdef Reactor *reactor = request.reactor
    request.previous = NULL
    request.next = <FetchRequest *>reactor.parked
    if request.next != NULL:
        request.next.previous = request
    reactor.parked = request


cdef void leave_parked(FetchRequest *request) noexcept nogil:
    if request.previous == NULL:
        request.reactor.parked = request.next
    else:
        request.previous.next = request.next
    if request.next != NULL:
        request.next.previous = request.previous


cdef int park(FetchRequest *request) noexcept nogil:
    """1: it waits. 0: something has come meanwhile (or it cannot wait), read again."""
    cdef FetchPartition *partition
    cdef int32_t number
    cdef int result = 0
    if timer_set(&request.reactor.timers, &request.timer, request.deadline_ms):
        request.expired = 1
        return 0
    request.response.owner = request
    request.response.cancel = cancel
    request.parked = 1
    request.warmed = 0
    request.unaided = 0
    request.delivered = 0
    request.all_drained = 0
    store32(&request.posted, 0)
    store32(&request.waiting, request.set.partition_count + 1)
    join_parked(request)
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        if partition.log == NULL:
            add32(&request.waiting, -1)
            continue
        if not partition.retained:      # all of them: the next look is in another turn
            partition_log_retain(partition.log)
            partition.retained = 1
        if result == 0:
            result = list_waiter(request, partition)
        if not partition.listed:
            add32(&request.waiting, -1)
    if result:
        # Woken before it slept. Its own mail brings it back even when a wake has been posted
        # already.
        request.expired |= result < 0
        if exchange32(&request.posted, 1) == 0:
            mailbox_post(&request.reactor.mailbox, &request.woken)
    else:
        count(&request.reactor.counters, FETCHES_PARKED, 1)
    return 1


cdef int list_waiter(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    cdef int result
    partition.waiter.threshold = partition.read.view.high_watermark
    if partition.offset > partition.waiter.threshold:
        partition.waiter.threshold = partition.offset
    partition.waiter.wake = wake
    partition.waiter.owner = request
    partition.listed = 1
    result = waiters_add(&partition.log.fetch_waiters, &partition.waiter,
                         &partition.log.published_high_watermark)
    if result:
        partition.listed = 0
    return result


cdef void wake(Waiter *waiter) noexcept nogil:
    """On whichever thread moved the high watermark. The countdown is its last touch of the
    request."""
    cdef FetchRequest *request = <FetchRequest *>waiter.owner
    cdef Reactor *reactor = request.reactor
    if exchange32(&request.posted, 1) == 0:
        mailbox_post(&reactor.mailbox, &request.woken)
    if add32(&request.waiting, -1) == 0:
        mailbox_post(&reactor.mailbox, &request.drained)


cdef void unpark(FetchRequest *request) noexcept nogil:
    cdef FetchPartition *partition
    cdef int32_t number
    cdef int32_t gone = 1
    request.parked = 0
    timer_cancel(&request.reactor.timers, &request.timer)
    leave_parked(request)
    request.response.cancel = NULL
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        if partition.listed:
            gone += waiters_remove(&partition.log.fetch_waiters, &partition.waiter)
            partition.listed = 0
    if add32(&request.waiting, -gone) == 0:
        request.all_drained = 1
    settle(request)


cdef void settle(FetchRequest *request) noexcept nogil:
    """Goes on once no other thread can touch the request and none of its mail is on its way."""
    if request.all_drained and (request.delivered or load32_seq(&request.posted) == 0):
        resume(request)


cdef void deliver_woken(Mail *mail) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>mail.owner
    request.delivered = 1
    count(&request.reactor.counters, WAKEUPS, 1)
    if request.parked:
        unpark(request)
    else:
        settle(request)


cdef void deliver_drained(Mail *mail) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>mail.owner
    request.all_drained = 1
    settle(request)


cdef void timed_out(Timer *timer) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>timer.owner
    request.expired = 1
    unpark(request)


cdef void fetches_answer_parked(Reactor *reactor) noexcept nogil:
    cdef FetchRequest *request
    while reactor.parked != NULL:
        request = <FetchRequest *>reactor.parked
        request.expired = 1
        unpark(request)
