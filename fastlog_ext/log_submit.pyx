"""Batches of a caller that waits: validated as a leader or replica does, then appended together."""
from libc.stdint cimport INT32_MAX, INT64_MAX, int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from fastlog_ext.batch cimport (
    BATCH_DECODED_MAX, BatchPolicy, BatchVerdict, batch_correct, batch_crc_ok, batch_parse,
    batch_validate)
from fastlog_ext.log_append cimport partition_log_append_chain
from fastlog_ext.log_state cimport ORIGIN_REPLICA, AppendRequest
from fastlog_ext.system cimport (
    load32, load64, pthread_cond_destroy, pthread_cond_init, pthread_cond_signal,
    pthread_cond_t, pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init,
    pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock, wall_clock_ms)

cdef struct Waiting:
    pthread_mutex_t lock
    pthread_cond_t finished
    int64_t left            # appends that are not done


cdef void append_finished(AppendRequest *request) noexcept nogil:
    cdef Waiting *waiting = <Waiting *>request.owner
    pthread_mutex_lock(&waiting.lock)
    waiting.left -= 1
    if waiting.left == 0:
        pthread_cond_signal(&waiting.finished)      # under the lock: the waiter destroys it next
    pthread_mutex_unlock(&waiting.lock)


cdef void append_and_wait(PartitionLog *log, AppendRequest *requests,
                          int64_t count) noexcept nogil:
    """All that carry no error yet."""
    cdef Waiting waiting
    cdef AppendRequest *newest = NULL
    cdef AppendRequest *oldest = NULL
    cdef int64_t number
    pthread_mutex_init(&waiting.lock, NULL)
    pthread_cond_init(&waiting.finished, NULL)
    waiting.left = 0
    for number in range(count):
        if not requests[number].error:
            waiting.left += 1
            requests[number].owner = &waiting
            requests[number].done = append_finished
            requests[number].next = newest
            newest = &requests[number]
            if oldest == NULL:
                oldest = newest
    if newest != NULL:
        partition_log_append_chain(log, newest, oldest)
    pthread_mutex_lock(&waiting.lock)
    while waiting.left:
        pthread_cond_wait(&waiting.finished, &waiting.lock)
    pthread_mutex_unlock(&waiting.lock)
    pthread_cond_destroy(&waiting.finished)
    pthread_mutex_destroy(&waiting.lock)


cdef int16_t validate_as_leader(PartitionLog *log, uint8_t *data, int64_t size,
                                AppendRequest *request) noexcept nogil:
    cdef BatchPolicy policy
    cdef BatchVerdict verdict
    policy.max_message_bytes = load32(&log.max_message_bytes)
    policy.refuse_null_keys = <signed char>load32(&log.compacted)
    policy.log_append_time = <signed char>load32(&log.timestamp_type)
    policy.timestamp_before_max_ms = load64(&log.timestamp_before_max_ms)
    policy.timestamp_after_max_ms = load64(&log.timestamp_after_max_ms)
    policy.walk_records = (policy.refuse_null_keys or policy.timestamp_before_max_ms != INT64_MAX
                           or policy.timestamp_after_max_ms != INT64_MAX)
    policy.allow_zstd = 1
    policy.now_ms = wall_clock_ms()
    policy.decoded_max = BATCH_DECODED_MAX
    batch_validate(data, size, &policy, &request.info, &verdict)
    if not verdict.error:
        batch_correct(data, &request.info)
    return verdict.error


cdef int16_t validate_verbatim(const uint8_t *data, int64_t size,
                               AppendRequest *request) noexcept nogil:
    """The leader took it already; this is against damage on the way."""
    if (batch_parse(data, size, &request.info) != 0 or request.info.size != size
            or request.info.magic != 2 or request.info.last_offset_delta < 0
            or not batch_crc_ok(data, &request.info)):
        return 2
    return 0


cdef int take_copy(AppendRequest *request, object batch) except -1:
    """Of its bytes, which are stamped in place."""
    cdef const uint8_t[::1] source = batch
    cdef int64_t size = source.shape[0]
    if size == 0 or size > INT32_MAX:
        request.error = 2
        return 0
    request.info.size = <int32_t>size
    request.data = <uint8_t *>malloc(size)
    if request.data == NULL:
        raise MemoryError
    memcpy(request.data, &source[0], size)
    return 0


cdef void validate(PartitionLog *log, AppendRequest *request) noexcept nogil:
    if request.error:
        return
    if request.origin == ORIGIN_REPLICA:
        request.error = validate_verbatim(request.data, request.info.size, request)
    else:
        request.error = validate_as_leader(log, request.data, request.info.size, request)


cdef list append_all(PartitionLog *log, list batches, signed char origin, int32_t leader_epoch):
    cdef int64_t count = len(batches)
    cdef int64_t number
    cdef AppendRequest *requests = <AppendRequest *>calloc(count + 1, sizeof(AppendRequest))
    if requests == NULL:
        raise MemoryError
    try:
        for number in range(count):
            requests[number].origin = origin
            requests[number].leader_epoch = leader_epoch
            requests[number].base_offset = requests[number].append_time_ms = -1
            take_copy(&requests[number], batches[number])
        with nogil:
            for number in range(count):
                validate(log, &requests[number])
            append_and_wait(log, requests, count)
        return [(requests[number].error, requests[number].base_offset,
                 requests[number].append_time_ms) for number in range(count)]
    finally:
        for number in range(count):
            free(requests[number].data)
        free(requests)
