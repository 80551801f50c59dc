# Threads that wait for a published offset to pass a threshold, without polling. Intrusive: the node
# belongs to the waiter, so that the log knows nothing of connections.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.system cimport pthread_mutex_t

ctypedef void (*wake_function)(Waiter *waiter) noexcept nogil

cdef struct Waiter:
    Waiter *next
    Waiter *previous
    int64_t threshold       # woken when the published value is > threshold
    # called at most once for each add, by the waking thread, with no lock held
    wake_function wake
    int32_t state           # 0 idle, 1 listed, 2 being woken
    void *owner

cdef struct WaiterList:
    pthread_mutex_t lock
    Waiter *first
    int32_t count           # read without the lock: 0 means that nobody waits
    int32_t closed          # private

cdef int waiter_list_init(WaiterList *waiters) noexcept nogil
cdef void waiter_list_destroy(WaiterList *waiters) noexcept nogil
# 0: listed, wake will be called once unless removed first. 1: `*published` has passed already, not
# listed. -1: the list is closed (its log was removed), not listed.
cdef int waiters_add(WaiterList *waiters, Waiter *waiter, int64_t *published) noexcept nogil
# 1: removed, wake will not be called. 0: wake was, is being, or will be called exactly once.
cdef int waiters_remove(WaiterList *waiters, Waiter *waiter) noexcept nogil
cdef void waiters_wake(WaiterList *waiters, int64_t published) noexcept nogil
cdef void waiters_close(WaiterList *waiters) noexcept nogil  # wakes all; later adds return -1
