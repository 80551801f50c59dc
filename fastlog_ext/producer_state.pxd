# What a partition remembers of its idempotent producers: the last five batches of each (KIP-98),
# Kafka's .snapshot files, expiry. Not thread-safe: it belongs to the partition's writer.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.producer_table cimport (
    PRODUCER_BATCHES, ProducerBatch, ProducerEntry, ProducerTable, producer_clear, producer_find,
    producer_first_unstable_offset,     # of the earliest open transaction, or -1
    producer_table_destroy, producer_table_init)

cdef struct ProducerCheck:
    int16_t error                   # 45, 47, ... or 0
    int8_t duplicate                # 1: answer with the offset and time of the original
    int64_t duplicate_base_offset
    int64_t duplicate_last_offset
    int64_t duplicate_timestamp     # the greatest of the original batch

# For a client's append at the leader; call before offsets are assigned. No effect on the table.
cdef void producer_check(ProducerTable *table, const BatchInfo *info,
                         ProducerCheck *check) noexcept nogil
# The same in two steps, for a batch behind others that are accepted and not applied yet: a copy of
# what is known of the producer (nothing: an entry that accepts anything), to which they are added.
cdef void producer_preview(ProducerTable *table, int64_t producer_id,
                           ProducerEntry *entry) noexcept nogil
cdef void producer_preview_check(const ProducerEntry *entry, const BatchInfo *info,
                                 ProducerCheck *check) noexcept nogil
# Not for control batches.
cdef void producer_preview_add(ProducerEntry *entry, const BatchInfo *info) noexcept nogil
# After offsets are assigned (info.base_offset is the real one): remember. Also for replay and
# followers, which do not check. Control batches (markers) end the producer's transaction; only for
# these is `batch` read, and may otherwise be NULL. Returns 0 or ENOMEM.
cdef int producer_update(ProducerTable *table, const BatchInfo *info, const unsigned char *batch,
                         int64_t now_ms) noexcept nogil
# Forgets producers whose last batch's timestamp is `expiration_ms` old, unless a transaction is
# open (as Kafka: by the batch's own timestamp, not by when it came).
cdef void producer_expire(ProducerTable *table, int64_t now_ms,
                          int64_t expiration_ms) noexcept nogil
# Kafka's NNN.snapshot in `folder` (written to a temporary name, synced, renamed; the folder itself
# is not synced). 0 or errno.
cdef int producer_write_snapshot(ProducerTable *table, const char *folder,
                                 int64_t offset) noexcept nogil
# Replaces the table's content. 0, errno, or -1: malformed or CRC mismatch (delete it and use an
# older one).
cdef int producer_load_snapshot(ProducerTable *table, const char *path, int64_t now_ms,
                                int64_t expiration_ms) noexcept nogil
# (producer id, epoch, last sequence, last timestamp, coordinator epoch, open transaction's offset
# or -1) each.
cdef list producer_list(ProducerTable *table)
