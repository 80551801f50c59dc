"""Waiters on a published offset.

No wake is lost: a waker stores the offset and then reads `count`; a waiter raises `count` and then
reads the offset, both in one total order, so at least one of them sees the other.
"""
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.insist cimport insist
from fastlog_ext.system cimport (
    add32, fence_seq, load32, load32_seq, load64_seq, store32, pthread_mutex_destroy,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock)

cdef enum:
    IDLE = 0
    LISTED = 1
    WAKING = 2


cdef int waiter_list_init(WaiterList *waiters) noexcept nogil:
    waiters.first = NULL
    waiters.count = 0
    waiters.closed = 0
    return pthread_mutex_init(&waiters.lock, NULL)


cdef void waiter_list_destroy(WaiterList *waiters) noexcept nogil:
    pthread_mutex_destroy(&waiters.lock)


cdef void unlink_waiter(WaiterList *waiters, Waiter *waiter) noexcept nogil:
    """With the lock held."""
    cdef int32_t count
    if waiter.previous == NULL:
        waiters.first = waiter.next
    else:
        waiter.previous.next = waiter.next
    if waiter.next != NULL:
        waiter.next.previous = waiter.previous
    waiter.next = NULL
    waiter.previous = NULL
    count = add32(&waiters.count, -1)
    insist(count >= 0, b"a waiter left twice")


cdef int waiters_add(WaiterList *waiters, Waiter *waiter, int64_t *published) noexcept nogil:
    pthread_mutex_lock(&waiters.lock)
    if waiters.closed:
        pthread_mutex_unlock(&waiters.lock)
        return -1
    waiter.previous = NULL
    waiter.next = waiters.first
    if waiter.next != NULL:
        waiter.next.previous = waiter
    waiters.first = waiter
    store32(&waiter.state, LISTED)
    add32(&waiters.count, 1)
    if load64_seq(published) > waiter.threshold:
        unlink_waiter(waiters, waiter)
        store32(&waiter.state, IDLE)
        pthread_mutex_unlock(&waiters.lock)
        return 1
    pthread_mutex_unlock(&waiters.lock)
    return 0


cdef int waiters_remove(WaiterList *waiters, Waiter *waiter) noexcept nogil:
    cdef int removed = 0
    pthread_mutex_lock(&waiters.lock)
    if load32(&waiter.state) == LISTED:     # a waker lets go of it without the lock
        unlink_waiter(waiters, waiter)
        store32(&waiter.state, IDLE)
        removed = 1
    pthread_mutex_unlock(&waiters.lock)
    return removed


cdef Waiter *take_waiters(WaiterList *waiters, int64_t published, int everyone) noexcept nogil:
    """Unlinks those that are due into a list of their own, oldest first. With the lock held."""
    cdef Waiter *waiter = waiters.first
    cdef Waiter *following
    cdef Waiter *taken = NULL
    while waiter != NULL:
        following = waiter.next
        if everyone or waiter.threshold < published:
            unlink_waiter(waiters, waiter)
            store32(&waiter.state, WAKING)
            waiter.next = taken     # the list is newest first, so this turns it round
            taken = waiter
        waiter = following
    return taken


cdef void wake_taken(Waiter *taken) noexcept nogil:
    cdef Waiter *waiter
    while taken != NULL:
        waiter = taken
        taken = waiter.next         # wake may free the waiter or list it again
        waiter.next = NULL
        store32(&waiter.state, IDLE)
        waiter.wake(waiter)


cdef void waiters_wake(WaiterList *waiters, int64_t published) noexcept nogil:
    cdef Waiter *taken
    fence_seq()
    if load32_seq(&waiters.count) == 0:
        return
    pthread_mutex_lock(&waiters.lock)
    taken = take_waiters(waiters, published, 0)
    pthread_mutex_unlock(&waiters.lock)
    wake_taken(taken)


cdef void waiters_close(WaiterList *waiters) noexcept nogil:
    cdef Waiter *taken
    pthread_mutex_lock(&waiters.lock)
    waiters.closed = 1
    taken = take_waiters(waiters, 0, 1)
    pthread_mutex_unlock(&waiters.lock)
    wake_taken(taken)
