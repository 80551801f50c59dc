# A bounded reader of untrusted bytes. It can only fail, never overrun: after the first failure
# every further read fails too and yields zero, so that a parser may read a whole structure and
# check `failed` once before it acts on what it read. (Loops over a count read from the bytes must
# check it at each turn.)
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from fastlog_ext.endian cimport get16, get32, get64
from fastlog_ext.varint cimport zigzag_decode

cdef struct Cursor:
    const uint8_t *at
    const uint8_t *end
    int failed

cdef inline void cursor_init(Cursor *c, const uint8_t *data, int64_t size) noexcept nogil:
    c.at = data
    c.end = data + (size if size > 0 else 0)
    c.failed = 0

cdef inline void cursor_fail(Cursor *c) noexcept nogil:
    c.failed = 1
    c.at = c.end

cdef inline int64_t cursor_left(const Cursor *c) noexcept nogil:
    return c.end - c.at

cdef inline int8_t cursor_get8(Cursor *c) noexcept nogil:
    if c.at >= c.end:
        cursor_fail(c)
        return 0
    c.at += 1
    return <int8_t>(c.at - 1)[0]

cdef inline int16_t cursor_get16(Cursor *c) noexcept nogil:
    if c.end - c.at < 2:
        cursor_fail(c)
        return 0
    c.at += 2
    return get16(c.at - 2)

cdef inline int32_t cursor_get32(Cursor *c) noexcept nogil:
    if c.end - c.at < 4:
        cursor_fail(c)
        return 0
    c.at += 4
    return get32(c.at - 4)

cdef inline int64_t cursor_get64(Cursor *c) noexcept nogil:
    if c.end - c.at < 8:
        cursor_fail(c)
        return 0
    c.at += 8
    return get64(c.at - 8)

# The bytes read past, or NULL (failed) when `size` is negative or more than what is left.
cdef inline const uint8_t *cursor_take(Cursor *c, int64_t size) noexcept nogil:
    if size < 0 or size > c.end - c.at:
        cursor_fail(c)
        return NULL
    c.at += size
    return c.at - size

cdef inline void cursor_skip(Cursor *c, int64_t size) noexcept nogil:
    cursor_take(c, size)

# At most 5 bytes; bits beyond the 32nd are dropped, as Kafka's own readers do.
cdef inline uint32_t cursor_get_uvarint(Cursor *c) noexcept nogil:
    cdef uint32_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while c.at < c.end and shift < 35:
        byte = c.at[0]
        c.at += 1
        value |= <uint32_t>(byte & 0x7f) << shift
        if byte < 0x80:
            return value
        shift += 7
    cursor_fail(c)
    return 0

# At most 10 bytes; bits beyond the 64th are dropped.
cdef inline uint64_t cursor_get_uvarlong(Cursor *c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while c.at < c.end and shift < 70:
        byte = c.at[0]
        c.at += 1
        value |= <uint64_t>(byte & 0x7f) << shift
        if byte < 0x80:
            return value
        shift += 7
    cursor_fail(c)
    return 0

cdef inline int32_t cursor_get_varint(Cursor *c) noexcept nogil:
    return <int32_t>zigzag_decode(cursor_get_uvarint(c))

cdef inline int64_t cursor_get_varlong(Cursor *c) noexcept nogil:
    return zigzag_decode(cursor_get_uvarlong(c))
