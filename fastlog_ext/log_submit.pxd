# An append for a thread that waits: tools, tests, embedding programs. Never a reactor.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.log_state cimport AppendRequest, PartitionLog
from fastlog_ext.system cimport pthread_cond_t, pthread_mutex_t

cdef struct WaitingAppend:
    AppendRequest request
    pthread_mutex_t lock
    pthread_cond_t finished
    int32_t is_done

# Kafka's error code, 0: request.info holds what was read. `data` may be corrected in place.
cdef int16_t validate_as_leader(PartitionLog *log, uint8_t *data, int64_t size,
                                AppendRequest *request) noexcept nogil
cdef int16_t validate_verbatim(const uint8_t *data, int64_t size,
                               AppendRequest *request) noexcept nogil
# Returns when the request is done; the results are in it.
cdef void append_and_wait(PartitionLog *log, WaitingAppend *waiting) noexcept nogil
