# Closing connections that are idle, that ask for nothing, or whose requests do not come to an end.
from libc.stdint cimport int64_t
from fastlog_ext.plane cimport Reactor

cdef void expiry_open(Reactor *reactor) noexcept nogil
# There is a connection to keep an eye on.
cdef void expiry_expect(Reactor *reactor) noexcept nogil
