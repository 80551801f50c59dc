# A walk over the records of a batch, in place or through a bounded decoder, which keeps nothing of
# them. For batches whose header is sound; the records may be anything.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from fastlog_ext.batch_format cimport (
    ATTRIBUTE_CODEC_MASK, ATTRIBUTE_LOG_APPEND_TIME, BATCH_HEADER_SIZE, BatchInfo)
from fastlog_ext.codecs cimport (
    CODEC_NONE, Decoder, decoder_close, decoder_open, decoder_read)
from fastlog_ext.varint cimport zigzag_decode

cdef enum:
    WALK_WINDOW = 16 * 1024     # decoded bytes held while walking a compressed batch

cdef enum:
    WALK_ENDED = 1              # no bytes, or fewer than a length promised
    WALK_ENDLESS = 2            # a varint that goes on for too long

# What a walk gives of one record. `position` counts decoded bytes from the start of the records.
cdef struct WalkedRecord:
    int64_t timestamp
    int32_t offset_delta
    int32_t key_size            # < 0: null

# A window onto the records: the batch's own bytes, or what a decoder last produced. Reads past
# the end or a decoder that fails set `failed` and yield zeros from then on.
cdef struct Walk:
    const uint8_t *at
    const uint8_t *end
    const uint8_t *start        # of the window
    int64_t before              # decoded bytes ahead of the window
    int failed                  # an enum value below, or 0
    int length_failed           # ... in the length of an uncompressed record
    int decoder_error           # as decoder_read says it: -1 corrupt or too much, -2 memory
    int compressed
    int64_t first_timestamp
    int64_t append_time         # every record's timestamp, if append_timed
    int append_timed
    Decoder decoder
    uint8_t *window

cdef inline int walk_open(Walk *walk, const uint8_t *data, const BatchInfo *info,
                          int64_t decoded_max) noexcept nogil:
    cdef int codec = info.attributes & ATTRIBUTE_CODEC_MASK
    cdef int result
    walk.at = walk.start = data + BATCH_HEADER_SIZE
    walk.end = data + info.size
    walk.before = 0
    walk.failed = walk.length_failed = walk.decoder_error = 0
    walk.compressed = codec != CODEC_NONE
    walk.first_timestamp = info.first_timestamp
    walk.append_timed = (info.attributes & ATTRIBUTE_LOG_APPEND_TIME) != 0
    walk.append_time = info.max_timestamp
    if codec == CODEC_NONE:
        return 0
    walk.window = <uint8_t *>malloc(WALK_WINDOW)
    if walk.window == NULL:
        return -2
    result = decoder_open(&walk.decoder, codec, walk.at, walk.end - walk.at, decoded_max)
    if result != 0:
        free(walk.window)
        return result
    walk.at = walk.end = walk.start = walk.window
    return 0

cdef inline void walk_close(Walk *walk) noexcept nogil:
    if walk.compressed:
        decoder_close(&walk.decoder)
        free(walk.window)

# Brings the next window. 0: there is none.
cdef inline int walk_refill(Walk *walk) noexcept nogil:
    cdef int64_t got
    if not walk.compressed or walk.failed:
        return 0
    got = decoder_read(&walk.decoder, walk.window, WALK_WINDOW)
    if got <= 0:
        walk.decoder_error = <int>got
        return 0
    walk.before += walk.end - walk.start
    walk.start = walk.at = walk.window
    walk.end = walk.window + got
    return 1

cdef inline int64_t walk_position(const Walk *walk) noexcept nogil:
    return walk.before + (walk.at - walk.start)

cdef inline int walk_byte(Walk *walk) noexcept nogil:
    cdef int byte
    if walk.at == walk.end and not walk_refill(walk):
        walk.failed = WALK_ENDED
        return 0
    byte = walk.at[0]
    walk.at += 1
    return byte

cdef inline uint64_t walk_unsigned(Walk *walk, int bits) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef int byte
    if walk.at != walk.end and walk.at[0] < 0x80:       # nearly always
        walk.at += 1
        return (walk.at - 1)[0]
    while shift < bits:
        byte = walk_byte(walk)
        value |= <uint64_t>(byte & 0x7f) << shift
        if byte < 0x80:
            return value
        shift += 7
    walk.failed = WALK_ENDLESS
    return 0

cdef inline int32_t walk_varint(Walk *walk) noexcept nogil:
    return <int32_t>zigzag_decode(<uint32_t>walk_unsigned(walk, 35))

cdef inline int64_t walk_varlong(Walk *walk) noexcept nogil:
    return zigzag_decode(walk_unsigned(walk, 70))

cdef inline void walk_skip(Walk *walk, int64_t size) noexcept nogil:
    while size > walk.end - walk.at:
        size -= walk.end - walk.at
        walk.at = walk.end
        if not walk_refill(walk):
            walk.failed = WALK_ENDED
            return
    walk.at += size

# A length-prefixed field that must end at or before `stop`; its length, < 0 for null.
cdef inline int32_t walk_field(Walk *walk, int64_t stop) noexcept nogil:
    cdef int32_t size = walk_varint(walk)
    if size > 0:
        if size > stop - walk_position(walk):
            walk.failed = WALK_ENDED
            return 0
        walk_skip(walk, size)
    return size

# 1: one record read and left behind. 0: it is malformed (or what brings it failed: decoder_error).
cdef inline int walk_record(Walk *walk, WalkedRecord *record) noexcept nogil:
    cdef int32_t length = walk_varint(walk)
    cdef int64_t stop = walk_position(walk) + length
    cdef int64_t delta
    cdef int32_t headers
    if walk.failed:
        walk.length_failed = 0 if walk.compressed else walk.failed
        return 0
    walk_byte(walk)                             # attributes: unused
    delta = walk_varlong(walk)
    record.timestamp = (walk.append_time if walk.append_timed
                        else <int64_t>(<uint64_t>walk.first_timestamp + <uint64_t>delta))
    record.offset_delta = walk_varint(walk)
    record.key_size = walk_field(walk, stop)
    walk_field(walk, stop)
    headers = walk_varint(walk)
    if headers < 0:
        return 0
    while headers > 0 and not walk.failed:
        if walk_field(walk, stop) < 0:
            return 0
        walk_field(walk, stop)
        headers -= 1
    return not walk.failed and walk_position(walk) == stop

# Whether nothing is left behind the last record.
cdef inline int walk_ended(Walk *walk) noexcept nogil:
    return walk.at == walk.end and not walk_refill(walk) and walk.decoder_error == 0
