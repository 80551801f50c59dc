# New connections: accepted by the reactor that owns the listeners, given to the least loaded.
from fastlog_ext.plane cimport Reactor

# watches the plane's listeners. 0 or errno
cdef int acceptor_open(Reactor *reactor) noexcept nogil
cdef void acceptor_run(Reactor *reactor, int listener) noexcept nogil
cdef void acceptor_close(Reactor *reactor) noexcept nogil           # closes the listeners
