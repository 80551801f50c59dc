# Response slots: bytes and file ranges, in the order of the requests, out by gathered sends and
# sendfile.
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.partition_log cimport LogRead
from fastlog_ext.plane cimport Connection, Reactor, Response

# A slot at the end of the connection's queue. It pins the connection until it is ready. NULL: out
# of memory.
cdef Response *response_begin(Connection *connection) noexcept nogil
# Room for `size` more bytes; the caller writes and adds to response.size. NULL: out of memory, or
# answers that nobody reads hold all that requests may.
cdef uint8_t *response_reserve(Response *response, int64_t size) noexcept nogil
# Takes over what malloc gave as all of the answer. 0 or ENOMEM (the memory stays with the caller).
cdef int response_adopt(Response *response, uint8_t *bytes, int64_t size) noexcept nogil
# Takes over the pin of `read.files`. 0 or ENOMEM (the pin stays with the caller).
cdef int response_add_file(Response *response, const LogRead *read) noexcept nogil
# Now it may leave. Frees it if the connection is gone.
cdef void response_ready(Response *response) noexcept nogil
# Drops what was encoded so far.
cdef void response_clear(Response *response) noexcept nogil
# What it holds, in memory and files.
cdef int64_t response_total(Response *response) noexcept nogil
# Sends what is ready: 0 all that could be sent has been; 1 the budget of this turn is used up; -1
# failed.
cdef int responses_send(Connection *connection) noexcept nogil
# 1: there are answers under way, and none of them waits for others.
cdef int responses_are_due(Connection *connection) noexcept nogil
cdef void responses_drop(Connection *connection) noexcept nogil     # the connection has been closed
cdef void responses_destroy(Reactor *reactor) noexcept nogil
# The connection has something to do in this turn.
cdef void mark_dirty(Connection *connection) noexcept nogil
cdef void unpin_connection(Connection *connection) noexcept nogil
