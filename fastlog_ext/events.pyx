"""The event queue. An attacker's garbage must not fill memory: past its capacity it only counts."""
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport strncpy
from fastlog_ext.system cimport (
    ENOMEM, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
    write)


cdef int events_open(EventQueue *queue, int notify_fd) noexcept nogil:
    queue.first = 0
    queue.count = 0
    queue.dropped = 0
    queue.notify_fd = notify_fd
    queue.ring = <Event *>malloc(EVENT_CAPACITY * sizeof(Event))
    if queue.ring == NULL:
        return ENOMEM
    return pthread_mutex_init(&queue.lock, NULL)


cdef void events_close(EventQueue *queue) noexcept nogil:
    if queue.ring != NULL:
        free(queue.ring)
        queue.ring = NULL
        pthread_mutex_destroy(&queue.lock)


cdef void events_put(EventQueue *queue, const char *kind, const char *text) noexcept nogil:
    cdef Event *event
    cdef uint64_t one = 1
    pthread_mutex_lock(&queue.lock)
    if queue.count == EVENT_CAPACITY:
        queue.dropped += 1
        pthread_mutex_unlock(&queue.lock)
        return
    event = &queue.ring[(queue.first + queue.count) % EVENT_CAPACITY]
    event.kind = kind
    strncpy(event.text, text, EVENT_TEXT - 1)
    event.text[EVENT_TEXT - 1] = 0
    queue.count += 1
    pthread_mutex_unlock(&queue.lock)
    write(queue.notify_fd, &one, sizeof(one))


cdef list events_take(EventQueue *queue):
    cdef Event event
    cdef int taken
    result = []
    while True:
        with nogil:
            pthread_mutex_lock(&queue.lock)
            taken = queue.count
            if taken:
                event = queue.ring[queue.first]
                queue.first = (queue.first + 1) % EVENT_CAPACITY
                queue.count -= 1
            elif queue.dropped:
                taken = -1
                event.text[0] = 0
            pthread_mutex_unlock(&queue.lock)
        if taken == 0:
            return result
        if taken < 0:
            with nogil:
                pthread_mutex_lock(&queue.lock)
                lost = queue.dropped
                queue.dropped = 0
                pthread_mutex_unlock(&queue.lock)
            result.append(("events_dropped", str(lost)))
            return result
        result.append((event.kind.decode("ascii"), event.text.decode("utf-8", "replace")))
