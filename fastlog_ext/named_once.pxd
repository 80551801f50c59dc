# Which partitions a request names again: Kafka takes the last of them for the only one.
from libc.stdint cimport int32_t, uint8_t, uint32_t

cdef enum:
    NAMED_AT_HAND = 32          # places that take no allocation

cdef struct NamedPlace:
    const uint8_t *name         # NULL: free
    int32_t size
    int32_t index
    int32_t number
    uint32_t hash

cdef struct NamedOnce:
    NamedPlace *places          # open-addressed, at most half full
    uint32_t mask
    NamedPlace[NAMED_AT_HAND] at_hand

# For at most `count` partitions. 0, or -1: out of memory.
cdef int named_begin(NamedOnce *named, int32_t count) noexcept nogil
# The number under which the partition has come before, or else `number`, which it has from now on.
# The names stay the caller's.
cdef int32_t named_put(NamedOnce *named, const uint8_t *name, int32_t size, int32_t index,
                       int32_t number) noexcept nogil
cdef void named_end(NamedOnce *named) noexcept nogil
