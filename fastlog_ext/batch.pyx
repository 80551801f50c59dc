"""Record batches v2: their headers, what a leader checks of them, what it stamps on them.

A batch is judged from its header and its checksum alone, unless a policy needs to see the records:
then they are walked in place, or through a bounded decoder when they are compressed, and nothing is
kept of them. The Python edge at the end serves the tests, the tools and the embedded engine; its
view of records is `batch_records`.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MAX, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from fastlog_ext.batch_walk cimport (
    WALK_ENDLESS, Walk, WalkedRecord, walk_close, walk_ended, walk_open, walk_record)
from fastlog_ext.codecs cimport CODEC_COUNT, CODEC_ZSTD
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.endian cimport get16, get32, get64, put16, put32, put64

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

cdef const char *NO_KEY = b"A compacted topic does not accept a message without a key"
cdef const char *OUT_OF_RANGE = b"The timestamp of the message is out of range"
cdef const char *CLAIMS_APPEND_TIME = (
    b"Invalid timestamp type: producers should not set it to LogAppendTime")


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


cdef int batch_correct(uint8_t *data, const BatchInfo *info) noexcept nogil:
    if (get64(data + BATCH_MAX_TIMESTAMP) == info.max_timestamp
            and get16(data + BATCH_ATTRIBUTES) == info.attributes):
        return 0
    put16(data + BATCH_ATTRIBUTES, info.attributes & KNOWN_ATTRIBUTES)
    put64(data + BATCH_MAX_TIMESTAMP, info.max_timestamp)
    put32(data + BATCH_CRC, <int32_t>checksum(data, info))
    return 1


# ---- validating


cdef inline void accept(BatchVerdict *verdict) noexcept nogil:
    verdict.error = 0
    verdict.record_index = -1
    verdict.message = NULL
    verdict.decoded = 0


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


cdef int batch_first(const uint8_t *data, int64_t size) noexcept nogil:
    cdef int found = another_batch(data, size)
    if found > 0 and data[BATCH_MAGIC] == MAGIC_CURRENT and (
            data[BATCH_ATTRIBUTES + 1] & ATTRIBUTE_TRANSACTIONAL):
        return BATCH_TRANSACTIONAL
    return found


cdef int batch_check_frame(const uint8_t *data, int64_t size, int allow_zstd,
                           BatchVerdict *verdict) noexcept nogil:
    cdef int found = another_batch(data, size)
    cdef int codec
    cdef int64_t batch_size
    accept(verdict)
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
    if not allow_zstd and codec >= CODEC_ZSTD:
        if codec == CODEC_ZSTD:
            refuse(verdict, UNSUPPORTED_COMPRESSION, b"zstd needs Produce version 7 or later")
        else:
            refuse(verdict, UNKNOWN_SERVER_ERROR, b"Unknown compression type")
        return 0
    batch_size = BATCH_SIZE_PREFIX + <int64_t>get32(data + BATCH_LENGTH)
    found = another_batch(data + batch_size, size - batch_size)
    if found < 0:
        refuse(verdict, CORRUPT_MESSAGE, b"Malformed bytes follow the batch")
    elif found:
        refuse(verdict, INVALID_RECORD, b"Each partition takes exactly one record batch")
    return verdict.error == 0


cdef int check_size(const uint8_t *data, const BatchPolicy *policy,
                    BatchVerdict *verdict) noexcept nogil:
    cdef int64_t batch_size = BATCH_SIZE_PREFIX + <int64_t>get32(data + BATCH_LENGTH)
    if get64(data + BATCH_BASE_OFFSET) != 0:
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
    return verdict.error == 0


cdef inline int beyond(int64_t timestamp, int64_t now, int64_t limit) noexcept nogil:
    return limit < INT64_MAX - now and timestamp > now + limit


cdef inline int must_walk(const BatchPolicy *policy, const BatchInfo *info) noexcept nogil:
    if policy.walk_records or policy.refuse_null_keys:
        return 1
    if info.attributes & ATTRIBUTE_LOG_APPEND_TIME:     # not for clients; see record_refusal
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


# Why a sound record cannot be taken, or NULL.
cdef inline const char *record_refusal(const WalkedRecord *record, const BatchPolicy *policy,
                                       const BatchInfo *info) noexcept nogil:
    if policy.refuse_null_keys and record.key_size < 0:
        return NO_KEY
    if not policy.log_append_time and record.timestamp != NO_TIMESTAMP:
        return OUT_OF_RANGE if timestamp_refused(record.timestamp, policy) else NULL
    return CLAIMS_APPEND_TIME if info.attributes & ATTRIBUTE_LOG_APPEND_TIME else NULL


cdef void refuse_record(BatchVerdict *verdict, int32_t index, const char *message) noexcept nogil:
    if verdict.error == 0:
        verdict.record_index = index
    if verdict.error != INVALID_TIMESTAMP:              # outweighs the other
        refuse(verdict, INVALID_RECORD if message == NO_KEY else INVALID_TIMESTAMP, message)


cdef void refuse_walk(const Walk *walk, BatchVerdict *verdict) noexcept nogil:
    verdict.record_index = -1
    if walk.length_failed == WALK_ENDLESS:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"A record's length is malformed")
    elif walk.decoder_error == 0:
        refuse(verdict, INVALID_RECORD, b"The batch's records are malformed")
    elif walk.decoder_error == -2:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"Out of memory")
    elif walk.decoder.produced > walk.decoder.limit:
        refuse(verdict, MESSAGE_TOO_LARGE, b"The batch's records expand beyond every limit")
    else:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"The batch's records cannot be decompressed")


cdef void check_records(Walk *walk, const BatchPolicy *policy, BatchInfo *info,
                        BatchVerdict *verdict) noexcept nogil:
    cdef int64_t greatest = NO_TIMESTAMP
    cdef int gaps = 0
    cdef int32_t i
    cdef const char *message
    cdef WalkedRecord record
    for i in range(info.record_count):
        if not walk_record(walk, &record):
            refuse_walk(walk, verdict)
            return
        gaps |= record.offset_delta != i
        if record.timestamp > greatest:
            greatest = record.timestamp
        message = record_refusal(&record, policy, info)
        if message != NULL:
            refuse_record(verdict, i, message)
    if not walk_ended(walk):
        refuse_walk(walk, verdict)
    elif verdict.error != 0:
        return
    elif gaps and walk.compressed:      # uncompressed, Kafka takes the records for consecutive
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"A compressed batch's offsets must be consecutive")
    elif not policy.log_append_time:    # which is stamped over both
        info.max_timestamp = greatest
        if info.attributes & ATTRIBUTE_LOG_APPEND_TIME:
            info.attributes &= KNOWN_ATTRIBUTES & ~ATTRIBUTE_LOG_APPEND_TIME


cdef void batch_check_content(const uint8_t *data, const BatchPolicy *policy, BatchInfo *info,
                              BatchVerdict *verdict) noexcept nogil:
    cdef Walk walk
    accept(verdict)
    if not check_size(data, policy, verdict):
        return
    read_header(data, info)
    if not batch_crc_ok(data, info):
        refuse(verdict, CORRUPT_MESSAGE, b"The batch's checksum does not match")
        return
    if not check_header(info, verdict) or not must_walk(policy, info):
        return
    if walk_open(&walk, data, info, policy.decoded_max) != 0:
        refuse(verdict, UNKNOWN_SERVER_ERROR, b"Out of memory")
        return
    check_records(&walk, policy, info, verdict)
    if walk.compressed:
        verdict.decoded = walk.decoder.produced
    walk_close(&walk)


cdef int batch_is_walked(const uint8_t *data, int64_t size,
                         const BatchPolicy *policy) noexcept nogil:
    cdef BatchInfo info
    if size < BATCH_HEADER_SIZE:
        return 0
    read_header(data, &info)
    return must_walk(policy, &info)


cdef void batch_validate(const uint8_t *data, int64_t size, const BatchPolicy *policy,
                         BatchInfo *info, BatchVerdict *verdict) noexcept nogil:
    if batch_check_frame(data, size, policy.allow_zstd, verdict):
        batch_check_content(data, policy, info, verdict)


cdef int32_t batch_refused_records(const uint8_t *data, const BatchInfo *info,
                                   const BatchPolicy *policy, RefusedRecord *found,
                                   int32_t limit) noexcept nogil:
    cdef Walk walk
    cdef WalkedRecord record
    cdef int32_t i
    cdef int32_t count = 0
    if walk_open(&walk, data, info, policy.decoded_max) != 0:
        return 0
    for i in range(info.record_count):
        if count == limit or not walk_record(&walk, &record):
            break
        found[count].index = i
        found[count].message = record_refusal(&record, policy, info)
        count += found[count].message != NULL
    walk_close(&walk)
    return count


# ---- searching


cdef void end_search(Walk *walk, int64_t *left) noexcept nogil:
    if walk.compressed:
        left[0] -= walk.decoder.produced
    walk_close(walk)


cdef int batch_find_timestamp(const uint8_t *data, const BatchInfo *info, int64_t target,
                              int64_t *left, int64_t *offset, int64_t *timestamp) noexcept nogil:
    cdef Walk walk
    cdef WalkedRecord record
    cdef int32_t i
    cdef int found = 0
    if walk_open(&walk, data, info, left[0]) != 0:
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
    end_search(&walk, left)
    return found


cdef int batch_find_max_timestamp(const uint8_t *data, const BatchInfo *info, int64_t *left,
                                  int64_t *offset, int64_t *timestamp) noexcept nogil:
    cdef Walk walk
    cdef WalkedRecord record
    cdef int32_t i
    cdef int found = 0
    if walk_open(&walk, data, info, left[0]) != 0:
        return -1
    for i in range(info.record_count):
        if not walk_record(&walk, &record):
            found = -1
            break
        if not found or record.timestamp > timestamp[0]:
            offset[0] = <int64_t>(<uint64_t>info.base_offset + <uint64_t>record.offset_delta)
            timestamp[0] = record.timestamp
            found = 1
    end_search(&walk, left)
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
             int64_t now_ms=0, int64_t decoded_max=BATCH_DECODED_MAX, bint every_record=False):
    """What a leader answers to a client's `data`: (error, record index or -1, message or None).
    every_record: a tuple of the indexes of all the records that cannot be taken instead."""
    cdef Py_buffer view
    cdef RefusedRecord *found = NULL
    cdef int32_t count = 0
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
    policy.decoded_max = decoded_max
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    with nogil:
        batch_validate(<const uint8_t *>view.buf, view.len, &policy, &info, &verdict)
        if every_record and verdict.record_index >= 0:
            found = <RefusedRecord *>malloc(info.record_count * sizeof(RefusedRecord))
            if found != NULL:
                count = batch_refused_records(<const uint8_t *>view.buf, &info, &policy, found,
                                              info.record_count)
    PyBuffer_Release(&view)
    message = None if verdict.message == NULL else verdict.message.decode()
    if not every_record:
        return verdict.error, verdict.record_index, message
    indexes = tuple([found[i].index for i in range(count)])
    free(found)
    return verdict.error, indexes, message


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
    cdef int64_t left = BATCH_DECODED_MAX
    cdef bint greatest = target is None
    cdef int result = -1
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    with nogil:
        if batch_parse(<const uint8_t *>view.buf, view.len, &info) == 0:
            if greatest:
                result = batch_find_max_timestamp(<const uint8_t *>view.buf, &info, &left, &offset,
                                                  &timestamp)
            else:
                result = batch_find_timestamp(<const uint8_t *>view.buf, &info, wanted, &left,
                                              &offset, &timestamp)
    PyBuffer_Release(&view)
    if result < 0:
        raise CorruptBatch("the batch or its records are malformed")
    return (offset, timestamp) if result else None
