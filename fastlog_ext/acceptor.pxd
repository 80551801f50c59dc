# New connections: accepted by the reactor that owns the listeners, given to the least loaded.
from fastlog_ext.plane cimport Reactor

cdef int acceptor_open(Reactor *reactor) noexcept nogil             # watches the plane's listeners. 0 or errno
cdef void acceptor_run(Reactor *reactor, int listener) noexcept nogil
cdef void acceptor_close(Reactor *reactor) noexcept nogil           # closes the listeners
