# Record batch v2 (magic 2): the unit that is validated, stamped, stored and served.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from fastlog_ext.batch_format cimport *     # offered to those who cimport this

cdef struct BatchInfo:
    int64_t base_offset
    int32_t size                    # whole batch, prefix included
    int32_t leader_epoch
    uint32_t crc
    int16_t attributes
    int8_t magic
    int32_t last_offset_delta
    int64_t first_timestamp
    int64_t max_timestamp
    int64_t producer_id
    int16_t producer_epoch
    int32_t base_sequence
    int32_t record_count

cdef struct BatchPolicy:
    int32_t max_message_bytes
    int8_t walk_records             # 1: walk (decompress) the records
    int8_t refuse_null_keys         # compacted topic
    int8_t log_append_time          # message.timestamp.type
    int8_t allow_zstd               # Produce v7 and later
    int64_t timestamp_before_max_ms
    int64_t timestamp_after_max_ms
    int64_t now_ms

cdef struct BatchVerdict:
    int16_t error                   # Kafka's error code, 0 = accepted
    int32_t record_index            # the first offending record, or -1: the whole batch
    const char *message             # static text, or NULL

# Reads the header of the batch at the head of `data`. Bounds only: 0, or CORRUPT_MESSAGE (2) when
# fewer than 61 bytes, a length below 49, or a length beyond `size`.
cdef int batch_parse(const uint8_t *data, int64_t size, BatchInfo *info) noexcept nogil
cdef int batch_crc_ok(const uint8_t *data, const BatchInfo *info) noexcept nogil
# All that a leader checks of a client's `records` field: exactly one batch, magic, CRC, counts,
# codec, policy. Accepted: the batch is the first info.size bytes of `data` (an incomplete rest is
# allowed and ignored, as Kafka does), and info is what it says, except that info.max_timestamp is
# the true one where records were walked. Refused: info may be unset.
cdef void batch_validate(const uint8_t *data, int64_t size, const BatchPolicy *policy,
                         BatchInfo *info, BatchVerdict *verdict) noexcept nogil
cdef void batch_stamp(uint8_t *data, int64_t base_offset, int32_t leader_epoch) noexcept nogil
# Sets the attribute and the greatest timestamp, then the CRC; does not touch info.
cdef void batch_stamp_append_time(uint8_t *data, const BatchInfo *info,
                                  int64_t now_ms) noexcept nogil
# After batch_validate: brings the header's greatest timestamp to info's, then the CRC. 1 if it
# differed.
cdef int batch_correct_max_timestamp(uint8_t *data, const BatchInfo *info) noexcept nogil

# The first record in the batch with timestamp >= target (records walked, decompressed in bounded
# steps). 1 found, 0 none, -1 corrupt.
cdef int batch_find_timestamp(const uint8_t *data, const BatchInfo *info, int64_t target,
                              int64_t *offset, int64_t *timestamp) noexcept nogil
# The first record that carries the batch's greatest timestamp. Same results.
cdef int batch_find_max_timestamp(const uint8_t *data, const BatchInfo *info,
                                  int64_t *offset, int64_t *timestamp) noexcept nogil
