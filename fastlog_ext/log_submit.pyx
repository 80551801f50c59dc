"""One batch of a caller that waits: validated as a leader or replica does, appended, awaited."""
from libc.stdint cimport INT64_MAX, int16_t, int64_t, uint8_t
from fastlog_ext.batch cimport (
    BatchPolicy, BatchVerdict, batch_correct, batch_crc_ok, batch_parse, batch_validate)
from fastlog_ext.log_append cimport partition_log_append
from fastlog_ext.system cimport (
    load32, load64, pthread_cond_destroy, pthread_cond_init, pthread_cond_signal,
    pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, wall_clock_ms)


cdef void append_finished(AppendRequest *request) noexcept nogil:
    cdef WaitingAppend *waiting = <WaitingAppend *>request.owner
    pthread_mutex_lock(&waiting.lock)
    waiting.is_done = 1
    pthread_cond_signal(&waiting.finished)      # under the lock: the waiter destroys it next
    pthread_mutex_unlock(&waiting.lock)


cdef void append_and_wait(PartitionLog *log, WaitingAppend *waiting) noexcept nogil:
    pthread_mutex_init(&waiting.lock, NULL)
    pthread_cond_init(&waiting.finished, NULL)
    waiting.is_done = 0
    waiting.request.owner = waiting
    waiting.request.done = append_finished
    partition_log_append(log, &waiting.request)
    pthread_mutex_lock(&waiting.lock)
    while not waiting.is_done:
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
