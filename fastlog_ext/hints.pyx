"""A small direct-mapped table: a collision costs one index search, nothing else."""
from libc.stdint cimport int32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from fastlog_ext.partition_log cimport (
    PartitionLog, ReadHint, partition_log_release, partition_log_retain)
from fastlog_ext.plane cimport Connection, HintSlot

cdef enum:
    FEWEST = 8
    MOST = 4096


cdef inline HintSlot *slot_of(Connection *connection, PartitionLog *log) noexcept nogil:
    cdef uint64_t key = <uint64_t><uintptr_t>log * <uint64_t>0x9E3779B97F4A7C15
    return &connection.hints[(key >> 40) & (connection.hint_count - 1)]


cdef void hints_fit(Connection *connection, int32_t partitions) noexcept nogil:
    cdef HintSlot *old = connection.hints
    cdef HintSlot *slots
    cdef int32_t old_count = connection.hint_count
    cdef int32_t size = FEWEST
    cdef int32_t number
    while size < 2 * partitions and size < MOST:
        size *= 2
    if size <= old_count:
        return
    slots = <HintSlot *>calloc(size, sizeof(HintSlot))
    if slots == NULL:
        return
    connection.hints = slots
    connection.hint_count = size
    for number in range(old_count):
        if old[number].log != NULL:
            hint_keep(connection, old[number].log, &old[number].hint)
            partition_log_release(old[number].log)
    free(old)


cdef const ReadHint *hint_find(Connection *connection, PartitionLog *log) noexcept nogil:
    cdef HintSlot *slot
    if connection.hints == NULL:
        return NULL
    slot = slot_of(connection, log)
    return &slot.hint if slot.log == log else NULL


cdef void hint_keep(Connection *connection, PartitionLog *log, const ReadHint *hint) noexcept nogil:
    cdef HintSlot *slot
    if connection.hints == NULL or not hint.valid:
        return
    slot = slot_of(connection, log)
    if slot.log != log:
        if slot.log != NULL:
            partition_log_release(slot.log)
        partition_log_retain(log)
        slot.log = log
    slot.hint = hint[0]
