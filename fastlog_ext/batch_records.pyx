"""Python's view of what a batch holds: reading its records, and building a batch of records."""

from collections import namedtuple

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from fastlog_ext.batch_format cimport (
    ATTRIBUTE_CODEC_MASK, ATTRIBUTE_CONTROL, ATTRIBUTE_LOG_APPEND_TIME, ATTRIBUTE_TRANSACTIONAL,
    BATCH_ATTRIBUTES, BATCH_BASE_OFFSET, BATCH_BASE_SEQUENCE, BATCH_CRC, BATCH_DECODED_MAX,
    BATCH_FIRST_TIMESTAMP, BATCH_HEADER_SIZE, BATCH_LAST_OFFSET_DELTA, BATCH_LEADER_EPOCH,
    BATCH_LENGTH, BATCH_MAGIC, BATCH_MAX_TIMESTAMP, BATCH_PRODUCER_EPOCH, BATCH_PRODUCER_ID,
    BATCH_RECORD_COUNT, BATCH_SIZE_PREFIX)
from fastlog_ext.codecs cimport (
    CODEC_COUNT, CODEC_NONE, COMPRESSION_DEFAULT_LEVEL, codec_bound, codec_compress)
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.cursor cimport (
    Cursor, cursor_get8, cursor_get_varint, cursor_get_varlong, cursor_init, cursor_left,
    cursor_take)
from fastlog_ext.endian cimport get16, get32, get64, put16, put32, put64
from fastlog_ext.varint cimport varint_put, varint_size

from fastlog_ext.codecs import decompress

cdef enum:
    MAGIC_CURRENT = 2
    NO_TIMESTAMP = -1

BatchHeader = namedtuple("BatchHeader", (
    "base_offset", "size", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta",
    "first_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence",
    "record_count"))
Record = namedtuple("Record", ("offset", "timestamp", "key", "value", "headers"))


class CorruptBatch(ValueError):
    """The bytes are not a batch, or its records do not decode."""


# What of the header the records of a batch need, or give.
cdef struct Frame:
    int64_t base_offset
    int64_t size
    int16_t attributes
    int32_t last_offset_delta
    int64_t first_timestamp
    int64_t max_timestamp
    int32_t record_count


cdef int read_frame(const uint8_t *data, int64_t size, Frame *frame) except -1:
    if size >= BATCH_HEADER_SIZE:
        frame.base_offset = get64(data + BATCH_BASE_OFFSET)
        frame.size = BATCH_SIZE_PREFIX + <int64_t>get32(data + BATCH_LENGTH)
        frame.attributes = get16(data + BATCH_ATTRIBUTES)
        frame.first_timestamp = get64(data + BATCH_FIRST_TIMESTAMP)
        frame.max_timestamp = get64(data + BATCH_MAX_TIMESTAMP)
        frame.record_count = get32(data + BATCH_RECORD_COUNT)
        if BATCH_HEADER_SIZE <= frame.size <= size and data[BATCH_MAGIC] == MAGIC_CURRENT:
            return 0
    raise CorruptBatch("not a whole record batch")


cdef bytes take_bytes(Cursor *c, int32_t size):
    cdef const uint8_t *taken
    if size < 0:
        return None
    taken = cursor_take(c, size)
    if taken == NULL:
        raise CorruptBatch("a record ends early")
    return PyBytes_FromStringAndSize(<const char *>taken, size)


cdef object take_record(Cursor *c, const Frame *frame):
    cdef int32_t length = cursor_get_varint(c)
    cdef const uint8_t *stop
    cdef int64_t timestamp
    cdef int64_t offset
    cdef int32_t count
    if c.failed or length < 0 or length > cursor_left(c):
        raise CorruptBatch("a record ends early")
    stop = c.at + length
    cursor_get8(c)
    timestamp = <int64_t>(<uint64_t>frame.first_timestamp + <uint64_t>cursor_get_varlong(c))
    if frame.attributes & ATTRIBUTE_LOG_APPEND_TIME:
        timestamp = frame.max_timestamp
    offset = <int64_t>(<uint64_t>frame.base_offset + <uint64_t>cursor_get_varint(c))
    key = take_bytes(c, cursor_get_varint(c))
    value = take_bytes(c, cursor_get_varint(c))
    count = cursor_get_varint(c)
    headers = []
    while count > 0 and not c.failed:
        name = take_bytes(c, cursor_get_varint(c))
        if name is None:
            raise CorruptBatch("a header without a key")
        headers.append((name.decode(errors="replace"), take_bytes(c, cursor_get_varint(c))))
        count -= 1
    if c.failed or count < 0 or c.at != stop:
        raise CorruptBatch("a record is malformed")
    return Record(offset, timestamp, key, value, tuple(headers))


def records(data, int64_t limit=BATCH_DECODED_MAX) -> list:
    """The records of the batch at the head of `data`, decompressed to at most `limit` bytes.

    Header keys are text (invalid UTF-8 is replaced). The checksum is not looked at. CorruptBatch.
    """
    cdef Py_buffer view
    cdef Frame frame
    cdef Cursor cursor
    cdef int32_t i
    cdef int codec
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        read_frame(<const uint8_t *>view.buf, view.len, &frame)
        codec = frame.attributes & ATTRIBUTE_CODEC_MASK
        body = None
        if codec == CODEC_NONE:
            cursor_init(&cursor, <const uint8_t *>view.buf + BATCH_HEADER_SIZE,
                        frame.size - BATCH_HEADER_SIZE)
        else:
            try:
                body = decompress(codec, memoryview(data)[BATCH_HEADER_SIZE:frame.size], limit)
            except ValueError as error:
                raise CorruptBatch(str(error)) from None
            cursor_init(&cursor, <const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        result = []
        for i in range(frame.record_count):
            result.append(take_record(&cursor, &frame))
        if cursor_left(&cursor) != 0:
            raise CorruptBatch("bytes are left behind the last record")
        return result
    finally:
        PyBuffer_Release(&view)


# A growing block of bytes.
cdef struct Output:
    uint8_t *data
    int64_t size
    int64_t capacity


cdef int output_reserve(Output *out, int64_t more) except -1:
    cdef int64_t capacity = out.capacity
    cdef uint8_t *grown
    if out.size + more <= capacity:
        return 0
    capacity = max(2 * capacity, out.size + more, <int64_t>4096)
    grown = <uint8_t *>realloc(out.data, <size_t>capacity)
    if grown == NULL:
        raise MemoryError
    out.data = grown
    out.capacity = capacity
    return 0


cdef inline void output_varint(Output *out, int64_t value) noexcept:
    out.size = varint_put(out.data + out.size, value) - out.data


cdef inline int output_field(Output *out, bytes field) except -1:
    cdef int64_t size
    if field is None:
        output_varint(out, -1)
        return 0
    size = PyBytes_GET_SIZE(field)
    output_varint(out, size)
    memcpy(out.data + out.size, PyBytes_AS_STRING(field), <size_t>size)
    out.size += size
    return 0


cdef inline int64_t field_size(bytes field) noexcept:
    if field is None:
        return 1
    return varint_size(PyBytes_GET_SIZE(field)) + PyBytes_GET_SIZE(field)


cdef inline bytes as_bytes(value):
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    return bytes(memoryview(value))


cdef int output_record(Output *out, int64_t timestamp_delta, int64_t offset_delta, bytes key,
                       bytes value, headers) except -1:
    cdef int64_t size
    cdef list pairs = []
    cdef bytes first, second
    size = (1 + varint_size(timestamp_delta) + varint_size(offset_delta) + field_size(key)
            + field_size(value))
    if headers:
        for name, content in headers:
            first = as_bytes(name)
            second = as_bytes(content)
            pairs.append((first, second))
            size += field_size(first) + field_size(second)
    size += varint_size(len(pairs))
    if size > 0x7fffffff:
        raise ValueError("a record of 2 GiB or more")
    output_reserve(out, size + 5)
    output_varint(out, size)
    out.data[out.size] = 0
    out.size += 1
    output_varint(out, timestamp_delta)
    output_varint(out, offset_delta)
    output_field(out, key)
    output_field(out, value)
    output_varint(out, len(pairs))
    for name, content in pairs:
        output_field(out, name)
        output_field(out, content)
    return 0


# Fills the frame's timestamps, count and last delta from what it writes.
cdef int output_records(Output *out, items, Frame *frame) except -1:
    cdef int64_t delta, timestamp
    cdef int64_t size
    frame.record_count = 0
    frame.last_offset_delta = -1
    for item in items:
        size = len(item)
        delta = <int64_t>frame.last_offset_delta + 1
        headers = ()
        if size == 5:
            offset, when, key, value, headers = item
            delta = offset - frame.base_offset
        elif size == 4:
            when, key, value, headers = item
        else:
            when, key, value = item
        if delta <= frame.last_offset_delta or delta > 0x7fffffff:
            raise ValueError("offsets must ascend from the base offset")
        timestamp = when
        if frame.record_count == 0:
            frame.first_timestamp = timestamp
            frame.max_timestamp = timestamp
        elif timestamp > frame.max_timestamp:
            frame.max_timestamp = timestamp
        timestamp = <int64_t>(<uint64_t>timestamp - <uint64_t>frame.first_timestamp)
        output_record(out, timestamp, delta, as_bytes(key), as_bytes(value), headers)
        frame.last_offset_delta = <int32_t>delta
        frame.record_count += 1
    return 0


# All but the producer, the leader epoch and the checksum.
cdef void write_frame(uint8_t *at, const Frame *frame) noexcept nogil:
    put64(at + BATCH_BASE_OFFSET, frame.base_offset)
    put32(at + BATCH_LENGTH, <int32_t>(frame.size - BATCH_SIZE_PREFIX))
    at[BATCH_MAGIC] = MAGIC_CURRENT
    put16(at + BATCH_ATTRIBUTES, frame.attributes)
    put32(at + BATCH_LAST_OFFSET_DELTA, frame.last_offset_delta)
    put64(at + BATCH_FIRST_TIMESTAMP, frame.first_timestamp)
    put64(at + BATCH_MAX_TIMESTAMP, frame.max_timestamp)
    put32(at + BATCH_RECORD_COUNT, frame.record_count)


cdef bytes finish(Output *out, Frame *frame, int codec, int level):
    cdef int64_t room = codec_bound(codec, out.size)
    cdef int64_t body
    cdef bytes result
    cdef uint8_t *at
    cdef uint8_t *packed = NULL
    if room < 0 or room > 0x7fffffff - BATCH_HEADER_SIZE:
        raise ValueError("a batch of about 2 GiB or more")
    if codec != CODEC_NONE:
        packed = <uint8_t *>malloc(<size_t>room)
        if packed == NULL:
            raise MemoryError
        with nogil:
            body = codec_compress(codec, out.data, out.size, packed, room, level)
        if body < 0:
            free(packed)
            raise ValueError("the codec refused this input or level")
    else:
        body = out.size
    frame.size = <int32_t>(BATCH_HEADER_SIZE + body)
    result = PyBytes_FromStringAndSize(NULL, frame.size)
    at = <uint8_t *>PyBytes_AS_STRING(result)
    memcpy(at + BATCH_HEADER_SIZE, packed if packed != NULL else out.data, <size_t>body)
    free(packed)
    write_frame(at, frame)
    return result


def build(records, *, int codec=0, int64_t base_offset=0, int64_t producer_id=-1,
          int16_t producer_epoch=-1, int32_t base_sequence=-1, int timestamp_type=0,
          int32_t leader_epoch=-1, bint transactional=False, bint control=False, level=None,
          last_offset_delta=None, max_timestamp=None) -> bytes:
    """One record batch of `records`: (timestamp ms, key, value[, headers]) at consecutive
    offsets, or `Record` with its own offset from `base_offset` on. Headers are (key, value) pairs.

    Keys and values are bytes-like, text (as UTF-8) or None. `last_offset_delta` and `max_timestamp`
    are taken from the records unless given. ValueError: offsets that do not ascend, 2 GiB or more.
    """
    cdef Output out
    cdef Frame frame
    cdef bytes result
    cdef uint8_t *at
    if not 0 <= codec < CODEC_COUNT:
        raise ValueError(f"unknown codec {codec}")
    memset(&frame, 0, sizeof(frame))
    memset(&out, 0, sizeof(out))
    frame.base_offset = base_offset
    frame.attributes = <int16_t>(
        codec | (ATTRIBUTE_LOG_APPEND_TIME if timestamp_type else 0)
        | (ATTRIBUTE_TRANSACTIONAL if transactional else 0) | (ATTRIBUTE_CONTROL if control else 0))
    frame.first_timestamp = frame.max_timestamp = NO_TIMESTAMP
    try:
        output_reserve(&out, 1)
        output_records(&out, records, &frame)
        if last_offset_delta is not None:
            frame.last_offset_delta = last_offset_delta
        if max_timestamp is not None:
            frame.max_timestamp = max_timestamp
        result = finish(&out, &frame, codec, COMPRESSION_DEFAULT_LEVEL if level is None else level)
    finally:
        free(out.data)
    at = <uint8_t *>PyBytes_AS_STRING(result)
    put32(at + BATCH_LEADER_EPOCH, leader_epoch)
    put64(at + BATCH_PRODUCER_ID, producer_id)
    put16(at + BATCH_PRODUCER_EPOCH, producer_epoch)
    put32(at + BATCH_BASE_SEQUENCE, base_sequence)
    put32(at + BATCH_CRC, <int32_t>crc32c(0, at + BATCH_ATTRIBUTES, frame.size - BATCH_ATTRIBUTES))
    return result
