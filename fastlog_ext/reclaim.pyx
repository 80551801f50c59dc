"""Epoch reclamation by quiescent states (QSBR).

Every removal takes a ticket from one process-wide counter; a thread that is online publishes the
counter's value at its last quiescent point. A removed object is free to go once no online thread
shows a value below its ticket. A slot's owner pays one load and one store a turn; nobody ever
waits.
"""
from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libc.stdlib cimport free, malloc
from fastlog_ext.system cimport (
    fence_seq, load64, load64_seq, store64, store64_seq, add64, cas64, pthread_mutex_t,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock)

cdef enum:
    SLOTS = 1024
    SLOT_STRIDE = 64        # a cache line each: a reactor's turn must not disturb its neighbours'
    OFFLINE = -1

cdef struct Deferred:
    Deferred *next
    int64_t ticket
    void *object
    void (*free_object)(void *) noexcept nogil

cdef uint8_t slot_memory[(SLOTS + 1) * SLOT_STRIDE]
cdef uint8_t *slots = slot_memory + (SLOT_STRIDE - (<uintptr_t>slot_memory) % SLOT_STRIDE)
cdef int64_t counter = 1
cdef int64_t slots_used = 0         # slots ever taken lie below this
cdef int64_t pending = 0
cdef pthread_mutex_t lock           # the deferred list; never held across a call of free_object
cdef Deferred *oldest = NULL
cdef Deferred *newest = NULL
pthread_mutex_init(&lock, NULL)


cdef inline ReclaimSlot *slot_at(int64_t number) noexcept nogil:
    return <ReclaimSlot *>(slots + number * SLOT_STRIDE)


cdef ReclaimSlot *reclaim_register() noexcept nogil:
    cdef int64_t number, used
    cdef ReclaimSlot *slot
    for number in range(SLOTS):
        slot = slot_at(number)
        if load64(&slot.taken) == 0 and cas64(&slot.taken, 0, 1):
            store64_seq(&slot.epoch, OFFLINE)
            used = load64_seq(&slots_used)
            while used <= number and not cas64(&slots_used, used, number + 1):
                used = load64_seq(&slots_used)
            reclaim_online(slot)
            return slot
    return NULL


cdef void reclaim_unregister(ReclaimSlot *slot) noexcept nogil:
    store64_seq(&slot.epoch, OFFLINE)
    store64_seq(&slot.taken, 0)


cdef void reclaim_online(ReclaimSlot *slot) noexcept nogil:
    store64_seq(&slot.epoch, load64_seq(&counter))
    # Pairs with the fence in reclaim_collect: either it sees this slot online, or the loads that
    # follow here see the pointers as they were after the removal.
    fence_seq()


cdef void reclaim_offline(ReclaimSlot *slot) noexcept nogil:
    store64(&slot.epoch, OFFLINE)


cdef void reclaim_quiescent(ReclaimSlot *slot) noexcept nogil:
    store64(&slot.epoch, load64(&counter))


cdef void reclaim_defer(void *object, void (*free_object)(void *) noexcept nogil) noexcept nogil:
    global oldest, newest
    cdef Deferred *entry = <Deferred *>malloc(sizeof(Deferred))
    if entry == NULL:
        # leaked: freeing it now could be wrong, and nothing here may wait
        return
    entry.next = NULL
    entry.object = object
    entry.free_object = free_object
    pthread_mutex_lock(&lock)
    entry.ticket = add64(&counter, 1)
    if newest == NULL:
        oldest = entry
    else:
        newest.next = entry
    newest = entry
    pthread_mutex_unlock(&lock)
    add64(&pending, 1)


cdef int64_t oldest_epoch() noexcept nogil:
    """The smallest value that an online thread shows; the counter's own when all are offline."""
    cdef int64_t smallest = load64_seq(&counter)
    cdef int64_t number, epoch
    fence_seq()
    for number in range(load64_seq(&slots_used)):
        epoch = load64_seq(&slot_at(number).epoch)
        if epoch != OFFLINE and load64_seq(&slot_at(number).taken) and epoch < smallest:
            smallest = epoch
    return smallest


cdef int64_t reclaim_collect() noexcept nogil:
    global oldest, newest
    cdef Deferred *ready
    cdef Deferred *last = NULL
    cdef Deferred *entry
    cdef int64_t limit, freed = 0
    if load64(&pending) == 0:
        return 0
    limit = oldest_epoch()
    pthread_mutex_lock(&lock)
    ready = oldest
    entry = oldest
    while entry != NULL and entry.ticket <= limit:
        last = entry
        entry = entry.next
    if last == NULL:
        ready = NULL
    else:
        last.next = NULL
        oldest = entry
        if entry == NULL:
            newest = NULL
    pthread_mutex_unlock(&lock)
    while ready != NULL:
        entry = ready
        ready = ready.next
        entry.free_object(entry.object)
        free(entry)
        freed += 1
    if freed:
        add64(&pending, -freed)
    return freed


cdef int64_t reclaim_pending() noexcept nogil:
    return load64(&pending)


def collect() -> int:
    """Frees what can be freed now; returns how many objects were."""
    cdef int64_t freed
    with nogil:
        freed = reclaim_collect()
    return freed


def pending_count() -> int:
    return reclaim_pending()
