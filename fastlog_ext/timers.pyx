"""Deadlines of a reactor."""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from fastlog_ext.growing cimport with_room
from fastlog_ext.system cimport ENOMEM


cdef void timers_destroy(TimerHeap *heap) noexcept nogil:
    free(heap.items)
    heap.items = NULL
    heap.count = 0
    heap.capacity = 0


cdef inline void put(TimerHeap *heap, int32_t place, Timer *timer) noexcept nogil:
    heap.items[place] = timer
    timer.place = place + 1


cdef void sift_up(TimerHeap *heap, int32_t place, Timer *timer) noexcept nogil:
    cdef int32_t parent
    while place > 0:
        parent = (place - 1) >> 1
        if heap.items[parent].deadline_ms <= timer.deadline_ms:
            break
        put(heap, place, heap.items[parent])
        place = parent
    put(heap, place, timer)


cdef void sift_down(TimerHeap *heap, int32_t place, Timer *timer) noexcept nogil:
    cdef int32_t child
    while True:
        child = 2 * place + 1
        if child >= heap.count:
            break
        if (child + 1 < heap.count
                and heap.items[child + 1].deadline_ms < heap.items[child].deadline_ms):
            child += 1
        if timer.deadline_ms <= heap.items[child].deadline_ms:
            break
        put(heap, place, heap.items[child])
        place = child
    put(heap, place, timer)


cdef int timer_set(TimerHeap *heap, Timer *timer, int64_t deadline_ms) noexcept nogil:
    cdef void *items
    timer_cancel(heap, timer)
    items = with_room(heap.items, &heap.capacity, heap.count, sizeof(Timer *), 64)
    if items == NULL:
        return ENOMEM
    heap.items = <Timer **>items
    timer.deadline_ms = deadline_ms
    heap.count += 1
    sift_up(heap, heap.count - 1, timer)
    return 0


cdef void timer_cancel(TimerHeap *heap, Timer *timer) noexcept nogil:
    cdef int32_t place = timer.place - 1
    cdef Timer *last
    if place < 0:
        return
    timer.place = 0
    heap.count -= 1
    last = heap.items[heap.count]
    if last == timer:
        return
    if place > 0 and heap.items[(place - 1) >> 1].deadline_ms > last.deadline_ms:
        sift_up(heap, place, last)
    else:
        sift_down(heap, place, last)


cdef int timers_fire(TimerHeap *heap, int64_t now_ms) noexcept nogil:
    cdef Timer *timer
    cdef int fired = 0
    while heap.count and heap.items[0].deadline_ms <= now_ms:
        timer = heap.items[0]
        timer_cancel(heap, timer)
        timer.fire(timer)
        fired += 1
    return fired


cdef int64_t timers_next(TimerHeap *heap) noexcept nogil:
    return heap.items[0].deadline_ms if heap.count else -1
