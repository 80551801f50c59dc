"""Record batches v2: their headers, what a leader checks of them, what it stamps on them.

A batch is judged from its header and its checksum alone, unless a policy needs to see the records:
then they are walked in place, or through a bounded decoder when they are compressed, and nothing is
kept of them. The Python edge at the end serves the tests, the tools and the embedded engine; its
view of records is `batch_records`.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MAX, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from fastlog_ext.codecs cimport (
    CODEC_COUNT, CODEC_NONE, CODEC_ZSTD, Decoder, decoder_close, decoder_open, decoder_read)
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.endian cimport get16, get32, get64, put16, put32, put64
from fastlog_ext.varint cimport zigzag_decode

from fastlog_ext.batch_records import BatchHeader, CorruptBatch, Record, build, records


cdef enum:
    UNKNOWN_SERVER_ERROR = -1
    CORRUPT_MESSAGE = 2
    MESSAGE_TOO_LARGE = 10
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_COMPRESSION = 76
    INVALID_RECORD = 87

cdef enum:
    OLD_RECORD_MINIMUM = 14     # the smallest length any format of the past allows
    HEADER_TO_MAGIC = 17
    MAGIC_CURRENT = 2
    NO_TIMESTAMP = -1
    KNOWN_ATTRIBUTES = 0x7f
    WALK_WINDOW = 16 * 1024     # decoded bytes held while walking a compressed batch


# ---- the header


cdef inline void read_header(const uint8_t *data, BatchInfo *info) noexcept nogil:
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


cdef int batch_parse(const uint8_t *data, int64_t size, BatchInfo *info) noexcept nogil:
    cdef int64_t length
    if size < BATCH_HEADER_SIZE:
        return CORRUPT_MESSAGE
    length = get32(data + BATCH_LENGTH)
    if length < BATCH_HEADER_SIZE - BATCH_SIZE_PREFIX or length > size - BATCH_SIZE_PREFIX \
            or length > 0x7fffffff - BATCH_SIZE_PREFIX:
        return CORRUPT_MESSAGE
    read_header(data, info)
    return 0


cdef inline uint32_t checksum(const uint8_t *data, const BatchInfo *info) noexcept nogil:
    return crc32c(0, data + BATCH_ATTRIBUTES, info.size - BATCH_ATTRIBUTES)


cdef int batch_crc_ok(const uint8_t *data, const BatchInfo *info) noexcept nogil:
    return checksum(data, info) == info.crc


cdef void batch_stamp(uint8_t *data, int64_t base_offset, int32_t leader_epoch) noexcept nogil:
    put64(data + BATCH_BASE_OFFSET, base_offset)
    put32(data + BATCH_LEADER_EPOCH, leader_epoch)


cdef void batch_stamp_append_time(uint8_t *data, const BatchInfo *info,
                                  int64_t now_ms) noexcept nogil:
    put16(data + BATCH_ATTRIBUTES, (info.attributes & KNOWN_ATTRIBUTES) | ATTRIBUTE_LOG_APPEND_TIME)
    put64(data + BATCH_MAX_TIMESTAMP, now_ms)
    put32(data + BATCH_CRC, <int32_t>checksum(data, info))


cdef int batch_correct_max_timestamp(uint8_t *data, const BatchInfo *info) noexcept nogil:
    if get64(data + BATCH_MAX_TIMESTAMP) == info.max_timestamp:
        return 0
    put64(data + BATCH_MAX_TIMESTAMP, info.max_timestamp)
    put32(data + BATCH_CRC, <int32_t>checksum(data, info))
    return 1


# ---- walking the records

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
    int failed
    int decoder_error           # as decoder_read says it: -1 corrupt or too much, -2 memory
    int compressed
    int64_t first_timestamp
    int64_t append_time         # every record's timestamp, if append_timed
    int append_timed
    Decoder decoder
    uint8_t *window


cdef int walk_open(Walk *walk, const uint8_t *data, const BatchInfo *info) noexcept nogil:
    cdef int codec = info.attributes & ATTRIBUTE_CODEC_MASK
    cdef int result
    walk.at = walk.start = data + BATCH_HEADER_SIZE
    walk.end = data + info.size
    walk.before = 0
    walk.failed = walk.decoder_error = 0
    walk.compressed = codec != CODEC_NONE
    walk.first_timestamp = info.first_timestamp
    walk.append_timed = (info.attributes & ATTRIBUTE_LOG_APPEND_TIME) != 0
    walk.append_time = info.max_timestamp
    if codec == CODEC_NONE:
        return 0
    walk.window = <uint8_t *>malloc(WALK_WINDOW)
    if walk.window == NULL:
        return -2
    result = decoder_open(&walk.decoder, codec, walk.at, walk.end - walk.at, BATCH_DECODED_MAX)
    if result != 0:
        free(walk.window)
        return result
    walk.at = walk.end = walk.start = walk.window
    return 0


cdef void walk_close(Walk *walk) noexcept nogil:
    if walk.compressed:
        decoder_close(&walk.decoder)
        free(walk.window)


# Brings the next window. 0: there is none.
cdef int walk_refill(Walk *walk) noexcept nogil:
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
        walk.failed = 1
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
    walk.failed = 1
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
            walk.failed = 1
            return
    walk.at += size


# A length-prefixed field that must end at or before `stop`; its length, < 0 for null.
cdef inline int32_t walk_field(Walk *walk, int64_t stop) noexcept nogil:
    cdef int32_t size = walk_varint(walk)
    if size > 0:
        if size > stop - walk_position(walk):
            walk.failed = 1
            return 0
        walk_skip(walk, size)
    return size


# 1: one record read and left behind. 0: it is malformed (or what brings it failed: decoder_error).
cdef inline int walk_record(Walk *walk, WalkedRecord *record) noexcept nogil:
    cdef int32_t length = walk_varint(walk)
    cdef int64_t stop = walk_position(walk) + length
    cdef int64_t delta
    cdef int32_t headers
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


# ---- validating


cdef inline void refuse(BatchVerdict *verdict, int16_t error, const char *message) noexcept nogil:
    verdict.error = error
    verdict.message = message


# Whether a further batch begins at `data`; 0 none, 1 one, -1 malformed. An incomplete one is
# none: what is left of it is not stored.
cdef int another_batch(const uint8_t *data, int64_t size) noexcept nogil:
    cdef int64_t length
    if size < BATCH_SIZE_PREFIX:
        return 0
    length = get32(data + BATCH_LENGTH)
    if length < OLD_RECORD_MINIMUM:
        return -1
    if size < HEADER_TO_MAGIC:
        return 0
    if data[BATCH_MAGIC] > MAGIC_CURRENT:
        return -1
    return size >= BATCH_SIZE_PREFIX + length


# The `records` field as a whole: one batch of the current format.
cdef int check_frame(const uint8_t *data, int64_t size, const BatchPolicy *policy,
                     BatchVerdict *verdict) noexcept nogil:
    cdef int found = another_batch(data, size)
    cdef int codec
    cdef int64_t batch_size
    if found < 0:
        refuse(verdict, CORRUPT_MESSAGE, b"The batch's length or magic is invalid")
        return 0
    if found == 0:
        refuse(verdict, INVALID_RECORD, b"Each partition needs a whole record batch")
        return 0
    if data[BATCH_MAGIC] != MAGIC_CURRENT:
        refuse(verdict, INVALID_RECORD, b"Only record batches with magic 2 are accepted")
        return 0
    codec = data[BATCH_ATTRIBUTES + 1] & ATTRIBUTE_CODEC_MASK
    if not policy.allow_zstd and codec == CODEC_ZSTD:
        refuse(verdict, UNSUPPORTED_COMPRESSION, b"zstd needs Produce version 7 or later")
        return 0
    batch_size = BATCH_SIZE_PREFIX + <int64_t>get32(data + BATCH_LENGTH)
    found = another_batch(data + batch_size, size - batch_size)
    if found < 0:
        refuse(verdict, CORRUPT_MESSAGE, b"Malformed bytes follow the batch")
    elif found:
        refuse(verdict, INVALID_RECORD, b"Each partition takes exactly one record batch")
    elif get64(data + BATCH_BASE_OFFSET) != 0:
        refuse(verdict, INVALID_RECORD, b"The batch's base offset must be 0")
    elif batch_size > policy.max_message_bytes:
        refuse(verdict, MESSAGE_TOO_LARGE,
               b"The batch is larger than the topic's max.message.bytes")
    elif batch_size < BATCH_HEADER_SIZE or batch_size > 0x7fffffff:
        refuse(verdict, CORRUPT_MESSAGE, b"The batch is shorter than its header")
    return verdict.error == 0


cdef int check_header(const BatchInfo *info, BatchVerdict *verdict) noexcept nogil:
    if info.attributes & ATTRIBUTE_CODEC_MASK >= CODEC_COUNT:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"Unknown compression type")
    elif info.last_offset_delta < 0 or info.record_count <= 0:
        refuse(verdict, INVALID_RECORD, b"The batch has an invalid offset range or record count")
    elif info.record_count - 1 != info.last_offset_delta:
        refuse(verdict, INVALID_RECORD, b"The batch's offset range and record count differ")
    elif info.attributes & ATTRIBUTE_CONTROL:
        refuse(verdict, INVALID_RECORD, b"Clients are not allowed to write control records")
    elif info.producer_id >= 0 and info.base_sequence < 0:
        refuse(verdict, INVALID_RECORD, b"A batch with a producer id needs a sequence number")
    elif info.attributes & ATTRIBUTE_LOG_APPEND_TIME:
        refuse(verdict, INVALID_TIMESTAMP,
               b"Invalid timestamp type: producers should not set it to LogAppendTime")
        verdict.record_index = 0
    return verdict.error == 0


cdef inline int beyond(int64_t timestamp, int64_t now, int64_t limit) noexcept nogil:
    return limit < INT64_MAX - now and timestamp > now + limit


cdef inline int must_walk(const BatchPolicy *policy, const BatchInfo *info) noexcept nogil:
    if policy.walk_records or policy.refuse_null_keys:
        return 1
    if policy.log_append_time:
        return 0
    # The header bounds the latest timestamp. It does not bound the earliest: deltas may be
    # negative.
    return (policy.timestamp_before_max_ms != INT64_MAX
            or beyond(info.max_timestamp, policy.now_ms, policy.timestamp_after_max_ms)
            or beyond(info.first_timestamp, policy.now_ms, policy.timestamp_after_max_ms))


# In Java's arithmetic, which wraps.
cdef inline int timestamp_refused(int64_t timestamp, const BatchPolicy *policy) noexcept nogil:
    cdef int64_t age = <int64_t>(<uint64_t>policy.now_ms - <uint64_t>timestamp)
    return (age > policy.timestamp_before_max_ms
            or <int64_t>(0 - <uint64_t>age) > policy.timestamp_after_max_ms)


cdef void refuse_walk(const Walk *walk, BatchVerdict *verdict) noexcept nogil:
    verdict.record_index = -1
    if walk.decoder_error == 0:
        refuse(verdict, INVALID_RECORD, b"The batch's records are malformed")
    elif walk.decoder_error == -2:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"Out of memory")
    elif walk.decoder.produced > walk.decoder.limit:
        refuse(verdict, MESSAGE_TOO_LARGE, b"The batch's records expand beyond every limit")
    else:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"The batch's records cannot be decompressed")


cdef void check_records(Walk *walk, const BatchPolicy *policy, BatchInfo *info,
                        BatchVerdict *verdict) noexcept nogil:
    cdef int check_timestamps = not policy.log_append_time
    cdef int64_t greatest = NO_TIMESTAMP
    cdef int16_t error
    cdef int32_t i
    cdef WalkedRecord record
    for i in range(info.record_count):
        if not walk_record(walk, &record) or record.offset_delta != i:
            refuse_walk(walk, verdict)
            return
        if record.timestamp > greatest:
            greatest = record.timestamp
        error = 0
        if policy.refuse_null_keys and record.key_size < 0:
            error = INVALID_RECORD
        elif (check_timestamps and record.timestamp != NO_TIMESTAMP
                and timestamp_refused(record.timestamp, policy)):
            error = INVALID_TIMESTAMP
        if error != 0:
            if verdict.error == 0:
                verdict.record_index = i
            if verdict.error != INVALID_TIMESTAMP:      # outweighs the other
                refuse(verdict, error,
                       b"A compacted topic does not accept a message without a key"
                       if error == INVALID_RECORD
                       else b"The timestamp of the message is out of range")
    if not walk_ended(walk):
        refuse_walk(walk, verdict)
    elif verdict.error == 0:
        info.max_timestamp = greatest


cdef void batch_validate(const uint8_t *data, int64_t size, const BatchPolicy *policy,
                         BatchInfo *info, BatchVerdict *verdict) noexcept nogil:
    cdef Walk walk
    cdef int result
    verdict.error = 0
    verdict.record_index = -1
    verdict.message = NULL
    if not check_frame(data, size, policy, verdict):
        return
    read_header(data, info)
    if not batch_crc_ok(data, info):
        refuse(verdict, CORRUPT_MESSAGE, b"The batch's checksum does not match")
        return
    if not check_header(info, verdict) or not must_walk(policy, info):
        return
    result = walk_open(&walk, data, info)
    if result != 0:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"Out of memory")
        return
    check_records(&walk, policy, info, verdict)
    walk_close(&walk)


# ---- searching


cdef int batch_find_timestamp(const uint8_t *data, const BatchInfo *info, int64_t target,
                              int64_t *offset, int64_t *timestamp) noexcept nogil:
    cdef Walk walk
    cdef WalkedRecord record
    cdef int32_t i
    cdef int found = 0
    if walk_open(&walk, data, info) != 0:
        return -1
    for i in range(info.record_count):
        if not walk_record(&walk, &record):
            found = -1
            break
        if record.timestamp >= target:
            offset[0] = <int64_t>(<uint64_t>info.base_offset + <uint64_t>record.offset_delta)
            timestamp[0] = record.timestamp
            found = 1
            break
    walk_close(&walk)
    return found


cdef int batch_find_max_timestamp(const uint8_t *data, const BatchInfo *info,
                                  int64_t *offset, int64_t *timestamp) noexcept nogil:
    cdef Walk walk
    cdef WalkedRecord record
    cdef int32_t i
    cdef int found = 0
    if walk_open(&walk, data, info) != 0:
        return -1
    for i in range(info.record_count):
        if not walk_record(&walk, &record):
            found = -1
            break
        if not found or record.timestamp > timestamp[0]:
            offset[0] = <int64_t>(<uint64_t>info.base_offset + <uint64_t>record.offset_delta)
            timestamp[0] = record.timestamp
            found = 1
    walk_close(&walk)
    return found


# ---- the Python edge

cdef inline object header_tuple(const BatchInfo *info):
    return BatchHeader(
        info.base_offset, info.size, info.leader_epoch, info.magic, info.crc, info.attributes,
        info.last_offset_delta, info.first_timestamp, info.max_timestamp, info.producer_id,
        info.producer_epoch, info.base_sequence, info.record_count)


def parse(data):
    """The header of the batch at the head of `data`, the checksum not looked at. CorruptBatch."""
    cdef Py_buffer view
    cdef BatchInfo info
    cdef int result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    result = batch_parse(<const uint8_t *>view.buf, view.len, &info)
    PyBuffer_Release(&view)
    if result != 0:
        raise CorruptBatch("not a whole record batch")
    return header_tuple(&info)


def checksum_matches(data) -> bool:
    """Whether the batch at the head of `data` carries the CRC-32C of its bytes. CorruptBatch."""
    cdef Py_buffer view
    cdef BatchInfo info
    cdef int result, matches = 0
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    result = batch_parse(<const uint8_t *>view.buf, view.len, &info)
    if result == 0:
        matches = batch_crc_ok(<const uint8_t *>view.buf, &info)
    PyBuffer_Release(&view)
    if result != 0:
        raise CorruptBatch("not a whole record batch")
    return matches != 0


def validate(data, *, int32_t max_message_bytes=1048588, bint walk_records=False,
             bint refuse_null_keys=False, bint log_append_time=False, bint allow_zstd=True,
             int64_t timestamp_before_max_ms=INT64_MAX, int64_t timestamp_after_max_ms=INT64_MAX,
             int64_t now_ms=0):
    """What a leader answers to a client's `data`: (error, record index or -1, message or None)."""
    cdef Py_buffer view
    cdef BatchInfo info
    cdef BatchPolicy policy
    cdef BatchVerdict verdict
    policy.max_message_bytes = max_message_bytes
    policy.walk_records = walk_records
    policy.refuse_null_keys = refuse_null_keys
    policy.log_append_time = log_append_time
    policy.allow_zstd = allow_zstd
    policy.timestamp_before_max_ms = timestamp_before_max_ms
    policy.timestamp_after_max_ms = timestamp_after_max_ms
    policy.now_ms = now_ms
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    with nogil:
        batch_validate(<const uint8_t *>view.buf, view.len, &policy, &info, &verdict)
    PyBuffer_Release(&view)
    message = None if verdict.message == NULL else verdict.message.decode()
    return verdict.error, verdict.record_index, message


def stamp(data, int64_t base_offset, int32_t leader_epoch, append_time_ms=None) -> None:
    """Writes what a leader writes into the batch at the head of a writable buffer. CorruptBatch."""
    cdef uint8_t[::1] view = data
    cdef BatchInfo info
    if view.shape[0] == 0 or batch_parse(&view[0], view.shape[0], &info) != 0:
        raise CorruptBatch("not a whole record batch")
    batch_stamp(&view[0], base_offset, leader_epoch)
    if append_time_ms is not None:
        batch_stamp_append_time(&view[0], &info, append_time_ms)


def find_timestamp(data, target=None):
    """(offset, timestamp) of the first record at or after `target` ms, or, without a target, of the
    first that has the greatest timestamp. None: there is none. CorruptBatch."""
    cdef Py_buffer view
    cdef BatchInfo info
    cdef int64_t offset = -1, timestamp = -1, wanted = 0 if target is None else target
    cdef bint greatest = target is None
    cdef int result = -1
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    with nogil:
        if batch_parse(<const uint8_t *>view.buf, view.len, &info) == 0:
            if greatest:
                result = batch_find_max_timestamp(<const uint8_t *>view.buf, &info, &offset,
                                                  &timestamp)
            else:
                result = batch_find_timestamp(<const uint8_t *>view.buf, &info, wanted, &offset,
                                              &timestamp)
    PyBuffer_Release(&view)
    if result < 0:
        raise CorruptBatch("the batch or its records are malformed")
    return (offset, timestamp) if result else None
