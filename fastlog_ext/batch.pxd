# Record batch v2 (magic 2): the unit that is validated, stamped, stored and served.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.batch_format cimport *     # offered to those who cimport this

cdef struct BatchPolicy:
    int32_t max_message_bytes
    int8_t walk_records             # 1: walk (decompress) the records
    int8_t refuse_null_keys         # compacted topic
    int8_t log_append_time          # message.timestamp.type
    int8_t allow_zstd               # Produce v7 and later
    int64_t timestamp_before_max_ms
    int64_t timestamp_after_max_ms
    int64_t now_ms
    int64_t decoded_max             # bytes that compressed records may expand to

cdef struct BatchVerdict:
    int16_t error                   # Kafka's error code, 0 = accepted
    int32_t record_index            # the first offending record, or -1: the whole batch
    const char *message             # static text, or NULL
    int64_t decoded                 # bytes that were decompressed for it

cdef struct RefusedRecord:
    int32_t index
    const char *message             # static text

cdef enum:
    BATCH_TRANSACTIONAL = 2

# Reads the header of the batch at the head of `data`. Bounds only: 0, or CORRUPT_MESSAGE (2) when
# fewer than 61 bytes, a length below 49, or a length beyond `size`.
cdef int batch_parse(const uint8_t *data, int64_t size, BatchInfo *info) noexcept nogil
cdef int batch_crc_ok(const uint8_t *data, const BatchInfo *info) noexcept nogil
# What the head of `data` is: -1 malformed, 0 no whole batch, 1 a batch, BATCH_TRANSACTIONAL.
cdef int batch_first(const uint8_t *data, int64_t size) noexcept nogil
# What can be told without the log: that a client's `records` field is one batch of magic 2 in a
# codec that its request may use. An incomplete rest is allowed and ignored, as Kafka does. 1, or 0:
# refused.
cdef int batch_check_frame(const uint8_t *data, int64_t size, int allow_zstd,
                           BatchVerdict *verdict) noexcept nogil
# After batch_check_frame: sizes, CRC, counts, codec, policy. Accepted: the batch is the first
# info.size bytes of `data`, and info is what is to be stored, for batch_correct to bring the header
# to where the client's differs: the greatest timestamp where records were walked, and a timestamp
# type that is not the topic's. Refused: info may be unset unless verdict.record_index >= 0.
cdef void batch_check_content(const uint8_t *data, const BatchPolicy *policy, BatchInfo *info,
                              BatchVerdict *verdict) noexcept nogil
# Whether that walks the records. `data` and `size` as in batch_check_frame, which came first.
cdef int batch_is_walked(const uint8_t *data, int64_t size,
                         const BatchPolicy *policy) noexcept nogil
# Both checks.
cdef void batch_validate(const uint8_t *data, int64_t size, const BatchPolicy *policy,
                         BatchInfo *info, BatchVerdict *verdict) noexcept nogil
# After a verdict that names a record: the first `limit` records that cannot be taken, in order, by
# another walk. Returns how many were written to `found`.
cdef int32_t batch_refused_records(const uint8_t *data, const BatchInfo *info,
                                   const BatchPolicy *policy, RefusedRecord *found,
                                   int32_t limit) noexcept nogil
cdef void batch_stamp(uint8_t *data, int64_t base_offset, int32_t leader_epoch) noexcept nogil
# Sets the attribute and the greatest timestamp, then the CRC; does not touch info.
cdef void batch_stamp_append_time(uint8_t *data, const BatchInfo *info,
                                  int64_t now_ms) noexcept nogil
# After a verdict of acceptance: brings the header to info, then the CRC. 1 if they differed.
cdef int batch_correct(uint8_t *data, const BatchInfo *info) noexcept nogil

# The first record in the batch with timestamp >= target (records walked, decompressed in bounded
# steps). `left`: bytes that may be decompressed; those that were are taken from it, and a batch of
# more leaves it negative. 1 found, 0 none, -1 corrupt or more.
cdef int batch_find_timestamp(const uint8_t *data, const BatchInfo *info, int64_t target,
                              int64_t *left, int64_t *offset, int64_t *timestamp) noexcept nogil
# The first record that carries the batch's greatest timestamp. Same results.
cdef int batch_find_max_timestamp(const uint8_t *data, const BatchInfo *info, int64_t *left,
                                  int64_t *offset, int64_t *timestamp) noexcept nogil
