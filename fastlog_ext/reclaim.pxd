# Epoch reclamation (quiescent states): an object that was reachable through an atomically published
# pointer is freed only when every registered thread has passed a quiescent point after its removal.
from libc.stdint cimport int64_t

cdef struct ReclaimSlot:
    int64_t epoch       # the epoch this thread last saw; -1 while it holds no reference (offline)
    int64_t taken

# A thread that reads published pointers owns one slot. Offline while it blocks (epoll_wait).
cdef ReclaimSlot *reclaim_register() noexcept nogil          # NULL: no slot free
cdef void reclaim_unregister(ReclaimSlot *slot) noexcept nogil
cdef void reclaim_online(ReclaimSlot *slot) noexcept nogil
cdef void reclaim_offline(ReclaimSlot *slot) noexcept nogil
cdef void reclaim_quiescent(ReclaimSlot *slot) noexcept nogil
# Frees `object` by free_object(object) once no thread can hold it. Never waits.
cdef void reclaim_defer(void *object, void (*free_object)(void *) noexcept nogil) noexcept nogil
cdef int64_t reclaim_collect() noexcept nogil                # how many were freed
cdef int64_t reclaim_pending() noexcept nogil
