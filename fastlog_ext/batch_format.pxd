# The layout of a record batch of magic 2: where the fields of its header stand (big-endian), what
# the bits of its attributes mean, and the header as read.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t

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
    BATCH_DECODED_MAX = 1 << 28     # bytes that a batch's records may expand to, unless told

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
