# Variable-length integers as Kafka writes them: base 128, least significant group first; signed
# ones are zigzag-coded. Encoding and sizes only: decoding untrusted bytes is `cursor`.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    VARINT_MAX_SIZE = 5
    VARLONG_MAX_SIZE = 10

cdef inline uint64_t zigzag_encode(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)

cdef inline int64_t zigzag_decode(uint64_t value) noexcept nogil:
    return <int64_t>((value >> 1) ^ (0 - (value & 1)))

cdef inline int uvarint_size(uint64_t value) noexcept nogil:
    cdef int size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size

cdef inline int varint_size(int64_t value) noexcept nogil:
    return uvarint_size(zigzag_encode(value))

# The caller has room for VARLONG_MAX_SIZE bytes, or for the exact size. Returns what follows.
cdef inline uint8_t *uvarint_put(uint8_t *at, uint64_t value) noexcept nogil:
    while value >= 0x80:
        at[0] = <uint8_t>(value | 0x80)
        value >>= 7
        at += 1
    at[0] = <uint8_t>value
    return at + 1

# An int32 zigzagged in 64 bits gives the same bytes as in 32: one function serves varint and
# varlong.
cdef inline uint8_t *varint_put(uint8_t *at, int64_t value) noexcept nogil:
    return uvarint_put(at, zigzag_encode(value))
