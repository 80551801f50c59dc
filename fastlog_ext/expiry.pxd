# Closing connections that are idle, that ask for nothing, or whose requests do not come to an end.
from libc.stdint cimport int64_t
from fastlog_ext.plane cimport Connection, Reactor

cdef void expiry_open(Reactor *reactor) noexcept nogil
# There is a connection to keep an eye on.
cdef void expiry_expect(Reactor *reactor) noexcept nogil
# 1: a request has begun, and only its peer can bring it on.
cdef int waits_for_the_rest(Connection *connection) noexcept nogil
# Closes it and says why; `reason` NULL: without a word.
cdef void expire(Connection *connection, const char *reason) noexcept nogil
