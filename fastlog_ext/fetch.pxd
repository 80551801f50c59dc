# Fetch, versions 4 to 18, without sessions (KIP-227 allows a broker to grant none).
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.plane cimport Connection, Reactor

# NULL, or why the frame is malformed (the connection is the caller's to close).
cdef const char *fetch_start(Connection *connection, const uint8_t *frame,
                             int64_t size) noexcept nogil
# all of them, with what there is
cdef void fetches_answer_parked(Reactor *reactor) noexcept nogil
cdef void fetches_destroy(Reactor *reactor) noexcept nogil          # the free list
