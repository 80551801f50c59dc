# A reactor's deadlines: a binary heap of intrusive nodes, touched by its own thread only.
from libc.stdint cimport int32_t, int64_t

ctypedef void (*timer_fire)(Timer *timer) noexcept nogil

cdef struct Timer:
    int64_t deadline_ms     # monotonic
    timer_fire fire
    void *owner
    int32_t place           # 1 + its place in the heap; 0: not set

cdef struct TimerHeap:
    Timer **items
    int32_t count
    int32_t capacity

cdef void timers_destroy(TimerHeap *heap) noexcept nogil
# 0 or ENOMEM
cdef int timer_set(TimerHeap *heap, Timer *timer, int64_t deadline_ms) noexcept nogil
# no effect if not set
cdef void timer_cancel(TimerHeap *heap, Timer *timer) noexcept nogil
# how many fired
cdef int timers_fire(TimerHeap *heap, int64_t now_ms) noexcept nogil
cdef int64_t timers_next(TimerHeap *heap) noexcept nogil                                # -1: none
