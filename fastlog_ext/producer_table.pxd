# The producers of a partition by their id, at places that stay valid until they are removed; the
# order in which they came; and which of them have an open transaction. Not thread-safe.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t

cdef enum:
    PRODUCER_BATCHES = 5            # batches remembered of each producer

cdef struct ProducerBatch:
    int64_t last_offset
    int64_t timestamp               # greatest of the batch; the append time under LogAppendTime
    int32_t last_sequence
    int32_t offset_delta            # last offset - first offset

cdef struct ProducerEntry:
    int64_t producer_id
    ProducerEntry *next             # all entries, in the order in which they came
    ProducerEntry *previous
    ProducerEntry *next_open        # those with an open transaction, by its first offset
    ProducerEntry *previous_open
    int64_t transaction_offset      # first offset of the open transaction, or -1
    int64_t last_timestamp
    int32_t coordinator_epoch       # of the last marker, or -1
    int16_t epoch                   # -1: none
    int8_t first                    # place of the oldest batch in the ring
    int8_t batch_count
    ProducerBatch batches[PRODUCER_BATCHES]

cdef struct ProducerTable:
    void *entries                   # private
    int64_t count
    int64_t capacity
    int64_t last_map_offset         # offset after the last batch applied
    int64_t last_snapshot_offset
    ProducerEntry *oldest           # for iteration by `next`
    ProducerEntry *newest
    ProducerEntry *first_open       # private
    ProducerEntry *last_open

cdef int producer_table_init(ProducerTable *table) noexcept nogil
cdef void producer_table_destroy(ProducerTable *table) noexcept nogil
cdef void producer_clear(ProducerTable *table) noexcept nogil
# NULL: unknown.
cdef ProducerEntry *producer_find(ProducerTable *table, int64_t producer_id) noexcept nogil
# An empty entry of an unknown producer. NULL: out of memory.
cdef ProducerEntry *producer_add(ProducerTable *table, int64_t producer_id) noexcept nogil
cdef void producer_remove(ProducerTable *table, ProducerEntry *entry) noexcept nogil
# First offset of the earliest open transaction, or -1.
cdef int64_t producer_first_unstable_offset(ProducerTable *table) noexcept nogil
cdef void producer_open_transaction(ProducerTable *table, ProducerEntry *entry,
                                    int64_t offset) noexcept nogil
cdef void producer_close_transaction(ProducerTable *table, ProducerEntry *entry) noexcept nogil
