# The seam between a connection and what carries its bytes. A plain socket today; TLS or a simulated
# network fill in another table. All calls are non-blocking and work like their namesakes: -1 with
# errno kept in *error.
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.system cimport iovec

cdef struct Transport:
    int64_t (*recv)(void *state, uint8_t *out, int64_t size, int *error) noexcept nogil
    # more: 1 when further bytes of the same response follow at once
    int64_t (*send)(void *state, iovec *pieces, int count, int more, int *error) noexcept nogil
    int64_t (*send_file)(void *state, int file, int64_t position, int64_t size,
                         int *error) noexcept nogil
    void (*close)(void *state) noexcept nogil

# `state` is the descriptor itself, cast to a pointer.
cdef const Transport *socket_transport() noexcept nogil
