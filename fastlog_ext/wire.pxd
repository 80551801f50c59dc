# The frame's head, and the primitives of the flexible encoding (KIP-482), for the two requests of
# the hot path.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from fastlog_ext.cursor cimport (
    Cursor, cursor_fail, cursor_get16, cursor_get32, cursor_get_uvarint, cursor_left, cursor_skip,
    cursor_take)
from fastlog_ext.endian cimport put16, put32

cdef enum:
    TAGS_MOST = 64          # tagged fields in one struct; Kafka itself has at most five

cdef struct RequestHead:
    int16_t api_key
    int16_t version
    int32_t correlation_id
    int flexible

cdef struct Text:
    const uint8_t *data     # NULL: null
    int32_t size

# Reads the request header (v1, or v2 when `flexible_from` says so). What follows is the body.
cdef void read_head(Cursor *cursor, int16_t flexible_from, RequestHead *head) noexcept nogil
cdef void skip_tags(Cursor *cursor) noexcept nogil
cdef void read_text(Cursor *cursor, int flexible, Text *out) noexcept nogil
# The count of an array whose elements take at least `least` bytes each. Fails when they cannot be
# there, and when it is null, which no array of these requests may be; then it is -1.
cdef int32_t read_count(Cursor *cursor, int flexible, int32_t least) noexcept nogil
# The length of bytes or records; -1: null.
cdef int32_t read_length(Cursor *cursor, int flexible) noexcept nogil

cdef inline uint8_t *put_uvarint(uint8_t *out, uint32_t value) noexcept nogil:
    while value >= 0x80:
        out[0] = <uint8_t>(value | 0x80)
        value >>= 7
        out += 1
    out[0] = <uint8_t>value
    return out + 1

cdef inline uint8_t *put_count(uint8_t *out, int flexible, int32_t count) noexcept nogil:
    """An array's count, or the length of bytes; -1: null."""
    if flexible:
        return put_uvarint(out, <uint32_t>(count + 1))
    put32(out, count)
    return out + 4

cdef inline uint8_t *put_text(uint8_t *out, int flexible, const uint8_t *data,
                              int32_t size) noexcept nogil:
    """At most size + 5 bytes. NULL data: null."""
    if data == NULL:
        if flexible:
            return put_uvarint(out, 0)
        put16(out, -1)
        return out + 2
    if flexible:
        out = put_uvarint(out, <uint32_t>(size + 1))
    else:
        put16(out, <int16_t>size)
        out += 2
    memcpy(out, data, size)
    return out + size

cdef inline uint8_t *put_no_tags(uint8_t *out, int flexible) noexcept nogil:
    if flexible:
        out[0] = 0
        return out + 1
    return out
