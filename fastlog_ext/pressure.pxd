# Tells all reactors that somebody waits for memory; what they do then is in expiry.pyx.
from libc.stdint cimport int32_t
from fastlog_ext.mailbox cimport mailbox_post
from fastlog_ext.plane cimport Plane, Reactor
from fastlog_ext.system cimport exchange32

# On any reactor. Posted once until it has been dealt with.
cdef inline void memory_press(Plane *plane) noexcept nogil:
    cdef int32_t number
    cdef Reactor *reactor
    for number in range(plane.reactor_count):
        reactor = &plane.reactors[number]
        if exchange32(&reactor.pressed, 1) == 0:
            mailbox_post(&reactor.mailbox, &reactor.press_mail)
