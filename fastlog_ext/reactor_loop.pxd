# One reactor: its turn, its thread's function, its end.
from libc.stdint cimport int32_t
from fastlog_ext.plane cimport Plane, Reactor

cdef int reactor_open(Reactor *reactor, Plane *plane, int32_t number) noexcept nogil    # 0 or errno
# after its thread has ended
cdef void reactor_free(Reactor *reactor) noexcept nogil
# argument: the Reactor
cdef void *reactor_main(void *argument) noexcept nogil
cdef void reactor_stop(Reactor *reactor) noexcept nogil                                 # any thread
