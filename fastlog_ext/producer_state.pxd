# What a partition remembers of its idempotent producers: the last five batches of each (KIP-98), Kafka's
# .snapshot files, expiry. Not thread-safe: it belongs to the partition's writer.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t
from fastlog_ext.batch cimport BatchInfo

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

cdef struct ProducerCheck:
    int16_t error                   # 45, 47, ... or 0
    int8_t duplicate                # 1: answer with the offset and time of the original
    int64_t duplicate_base_offset
    int64_t duplicate_last_offset
    int64_t duplicate_timestamp     # log append time of the original or -1

cdef int producer_table_init(ProducerTable *table) noexcept nogil
cdef void producer_table_destroy(ProducerTable *table) noexcept nogil
# For a client's append at the leader; call before offsets are assigned. No effect on the table.
cdef void producer_check(ProducerTable *table, const BatchInfo *info, ProducerCheck *check) noexcept nogil
# After offsets are assigned (info.base_offset is the real one): remember. Also for replay and followers,
# which do not check. Control batches (markers) end the producer's transaction; only for these is `batch`
# read, and may otherwise be NULL. Returns 0 or ENOMEM.
cdef int producer_update(ProducerTable *table, const BatchInfo *info, const unsigned char *batch,
                         int64_t now_ms) noexcept nogil
# First offset of the earliest open transaction, or -1.
cdef int64_t producer_first_unstable_offset(ProducerTable *table) noexcept nogil
# Forgets producers whose last batch's timestamp is `expiration_ms` old, unless a transaction is open.
cdef void producer_expire(ProducerTable *table, int64_t now_ms, int64_t expiration_ms) noexcept nogil
cdef void producer_clear(ProducerTable *table) noexcept nogil
# Kafka's NNN.snapshot in `folder` (written to a temporary name, synced, renamed; the folder itself is not
# synced). 0 or errno.
cdef int producer_write_snapshot(ProducerTable *table, const char *folder, int64_t offset) noexcept nogil
# Replaces the table's content. 0, errno, or -1: malformed or CRC mismatch (delete it and use an older one).
cdef int producer_load_snapshot(ProducerTable *table, const char *path, int64_t now_ms, int64_t expiration_ms) noexcept nogil
# NULL: unknown.
cdef ProducerEntry *producer_find(ProducerTable *table, int64_t producer_id) noexcept nogil
# (producer id, epoch, last sequence, last timestamp, coordinator epoch, open transaction's offset or -1) each.
cdef list producer_list(ProducerTable *table)
