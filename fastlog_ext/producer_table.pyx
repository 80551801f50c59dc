"""The table of a partition's producers, and the list of those with an open transaction."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from fastlog_ext.secret_hash cimport secret_hash
from fastlog_ext.system cimport ENOMEM

cdef enum:
    SMALLEST_CAPACITY = 16


# --- the table: open addressing over pointers, which stay valid until their entry is removed ---

cdef inline int64_t slot_of(const ProducerTable *table, int64_t producer_id) noexcept nogil:
    return <int64_t>secret_hash(<uint64_t>producer_id, NULL, 0) & (table.capacity - 1)


cdef ProducerEntry *producer_find(ProducerTable *table, int64_t producer_id) noexcept nogil:
    cdef ProducerEntry **slots = <ProducerEntry **>table.entries
    cdef int64_t slot
    if table.count == 0:
        return NULL
    slot = slot_of(table, producer_id)
    while slots[slot] != NULL:
        if slots[slot].producer_id == producer_id:
            return slots[slot]
        slot = (slot + 1) & (table.capacity - 1)
    return NULL


cdef inline void place(ProducerTable *table, ProducerEntry *entry) noexcept nogil:
    cdef ProducerEntry **slots = <ProducerEntry **>table.entries
    cdef int64_t slot = slot_of(table, entry.producer_id)
    while slots[slot] != NULL:
        slot = (slot + 1) & (table.capacity - 1)
    slots[slot] = entry


cdef int resize(ProducerTable *table, int64_t capacity) noexcept nogil:
    cdef ProducerEntry *entry
    cdef void *slots = calloc(capacity, sizeof(ProducerEntry *))
    if slots == NULL:
        return ENOMEM
    free(table.entries)
    table.entries = slots
    table.capacity = capacity
    entry = table.oldest
    while entry != NULL:
        place(table, entry)
        entry = entry.next
    return 0


cdef ProducerEntry *producer_add(ProducerTable *table, int64_t producer_id) noexcept nogil:
    cdef ProducerEntry *entry
    if 2 * (table.count + 1) > table.capacity:
        if resize(table, max(table.capacity * 2, <int64_t>SMALLEST_CAPACITY)) != 0:
            return NULL
    entry = <ProducerEntry *>calloc(1, sizeof(ProducerEntry))
    if entry == NULL:
        return NULL
    entry.producer_id = producer_id
    entry.epoch = -1
    entry.coordinator_epoch = -1
    entry.last_timestamp = -1
    entry.transaction_offset = -1
    entry.previous = table.newest
    if table.newest == NULL:
        table.oldest = entry
    else:
        table.newest.next = entry
    table.newest = entry
    table.count += 1
    place(table, entry)
    return entry


cdef void remove_slot(ProducerTable *table, const ProducerEntry *entry) noexcept nogil:
    """Closes the gap, so that no search stops too early."""
    cdef ProducerEntry **slots = <ProducerEntry **>table.entries
    cdef int64_t mask = table.capacity - 1
    cdef int64_t gap = slot_of(table, entry.producer_id)
    cdef int64_t slot
    while slots[gap] != entry:
        gap = (gap + 1) & mask
    slot = gap
    while True:
        slot = (slot + 1) & mask
        if slots[slot] == NULL:
            break
        if ((slot - slot_of(table, slots[slot].producer_id)) & mask) >= ((slot - gap) & mask):
            slots[gap] = slots[slot]
            gap = slot
    slots[gap] = NULL


cdef void producer_remove(ProducerTable *table, ProducerEntry *entry) noexcept nogil:
    producer_close_transaction(table, entry)
    remove_slot(table, entry)
    if entry.previous == NULL:
        table.oldest = entry.next
    else:
        entry.previous.next = entry.next
    if entry.next == NULL:
        table.newest = entry.previous
    else:
        entry.next.previous = entry.previous
    table.count -= 1
    free(entry)


cdef int producer_table_init(ProducerTable *table) noexcept nogil:
    memset(table, 0, sizeof(ProducerTable))     # nothing is allocated before the first producer
    return 0


cdef void producer_table_destroy(ProducerTable *table) noexcept nogil:
    producer_clear(table)
    free(table.entries)
    table.entries = NULL
    table.capacity = 0


cdef void producer_clear(ProducerTable *table) noexcept nogil:
    cdef ProducerEntry *entry = table.oldest
    cdef ProducerEntry *following
    while entry != NULL:
        following = entry.next
        free(entry)
        entry = following
    table.oldest = table.newest = table.first_open = table.last_open = NULL
    table.count = 0
    if table.entries != NULL:
        memset(table.entries, 0, table.capacity * sizeof(ProducerEntry *))


# --- open transactions ---

cdef void producer_open_transaction(ProducerTable *table, ProducerEntry *entry,
                                    int64_t offset) noexcept nogil:
    """Transactions begin in the order of their offsets: the place is at or near the end."""
    cdef ProducerEntry *before = table.last_open
    entry.transaction_offset = offset
    while before != NULL and before.transaction_offset > offset:
        before = before.previous_open
    entry.previous_open = before
    entry.next_open = table.first_open if before == NULL else before.next_open
    if before == NULL:
        table.first_open = entry
    else:
        before.next_open = entry
    if entry.next_open == NULL:
        table.last_open = entry
    else:
        entry.next_open.previous_open = entry


cdef void producer_close_transaction(ProducerTable *table, ProducerEntry *entry) noexcept nogil:
    if entry.transaction_offset < 0:
        return
    entry.transaction_offset = -1
    if entry.previous_open == NULL:
        table.first_open = entry.next_open
    else:
        entry.previous_open.next_open = entry.next_open
    if entry.next_open == NULL:
        table.last_open = entry.previous_open
    else:
        entry.next_open.previous_open = entry.previous_open
    entry.next_open = entry.previous_open = NULL


cdef int64_t producer_first_unstable_offset(ProducerTable *table) noexcept nogil:
    return -1 if table.first_open == NULL else table.first_open.transaction_offset
