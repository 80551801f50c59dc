# What the data plane tells the control plane in words: a bounded queue, filled by any thread.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.system cimport pthread_mutex_t

cdef enum:
    EVENT_CAPACITY = 1024
    EVENT_TEXT = 240

cdef struct Event:
    const char *kind            # static text
    char text[EVENT_TEXT]

cdef struct EventQueue:
    pthread_mutex_t lock
    Event *ring
    int32_t first
    int32_t count
    int64_t dropped
    int notify_fd               # an eventfd of the control plane

cdef int events_open(EventQueue *queue, int notify_fd) noexcept nogil
cdef void events_close(EventQueue *queue) noexcept nogil
cdef void events_put(EventQueue *queue, const char *kind, const char *text) noexcept nogil
cdef list events_take(EventQueue *queue)
