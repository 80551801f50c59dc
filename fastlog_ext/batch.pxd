# Record batch v2 (magic 2): the unit that is validated, stamped, stored and served.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from fastlog_ext.endian cimport get16, get32, get64

cdef enum:
    BATCH_BASE_OFFSET = 0
    BATCH_LENGTH = 8                # of what follows this field
    BATCH_LEADER_EPOCH = 12
    BATCH_MAGIC = 16
    BATCH_CRC = 17                  # CRC-32C of everything from BATCH_ATTRIBUTES to the end
    BATCH_ATTRIBUTES = 21
    BATCH_LAST_OFFSET_DELTA = 23
    BATCH_FIRST_TIMESTAMP = 27
    BATCH_MAX_TIMESTAMP = 35
    BATCH_PRODUCER_ID = 43
    BATCH_PRODUCER_EPOCH = 51
    BATCH_BASE_SEQUENCE = 53
    BATCH_RECORD_COUNT = 57
    BATCH_HEADER_SIZE = 61
    BATCH_SIZE_PREFIX = 12          # base offset and length: size = BATCH_SIZE_PREFIX + length

cdef enum:
    ATTRIBUTE_CODEC_MASK = 0x07
    ATTRIBUTE_LOG_APPEND_TIME = 0x08
    ATTRIBUTE_TRANSACTIONAL = 0x10
    ATTRIBUTE_CONTROL = 0x20
    ATTRIBUTE_DELETE_HORIZON = 0x40

cdef enum:
    BATCH_DECODED_MAX = 1 << 30     # a batch whose records expand beyond this is refused

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

# The caller holds BATCH_HEADER_SIZE bytes. Nothing is checked.
cdef inline void batch_read_header(const uint8_t *data, BatchInfo *info) noexcept nogil:
    info.base_offset = get64(data + BATCH_BASE_OFFSET)
    info.size = <int32_t>(BATCH_SIZE_PREFIX + <uint32_t>get32(data + BATCH_LENGTH))
    info.leader_epoch = get32(data + BATCH_LEADER_EPOCH)
    info.crc = <uint32_t>get32(data + BATCH_CRC)
    info.attributes = get16(data + BATCH_ATTRIBUTES)
    info.magic = <int8_t>data[BATCH_MAGIC]
    info.last_offset_delta = get32(data + BATCH_LAST_OFFSET_DELTA)
    info.first_timestamp = get64(data + BATCH_FIRST_TIMESTAMP)
    info.max_timestamp = get64(data + BATCH_MAX_TIMESTAMP)
    info.producer_id = get64(data + BATCH_PRODUCER_ID)
    info.producer_epoch = get16(data + BATCH_PRODUCER_EPOCH)
    info.base_sequence = get32(data + BATCH_BASE_SEQUENCE)
    info.record_count = get32(data + BATCH_RECORD_COUNT)

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
