"""A hash table that lives as long as a request is being looked at."""
from libc.stdint cimport int32_t, uint64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset
from fastlog_ext.secret_hash cimport secret_hash


cdef int named_begin(NamedOnce *named, int32_t count) noexcept nogil:
    cdef uint32_t capacity = NAMED_AT_HAND
    while capacity < 2 * <uint32_t>count:
        capacity *= 2
    named.mask = capacity - 1
    if capacity == NAMED_AT_HAND:
        named.places = named.at_hand
        memset(named.places, 0, NAMED_AT_HAND * sizeof(NamedPlace))
        return 0
    named.places = <NamedPlace *>calloc(capacity, sizeof(NamedPlace))
    return 0 if named.places != NULL else -1


cdef int32_t named_put(NamedOnce *named, const uint8_t *name, int32_t size, int32_t index,
                       int32_t number) noexcept nogil:
    cdef uint32_t hash = <uint32_t>secret_hash(<uint32_t>index, name, size)
    cdef uint32_t at = hash & named.mask
    cdef NamedPlace *place = &named.places[at]
    while place.name != NULL:
        if (place.hash == hash and place.index == index and place.size == size
                and memcmp(place.name, name, size) == 0):
            return place.number
        at = (at + 1) & named.mask
        place = &named.places[at]
    place.name = name
    place.size = size
    place.index = index
    place.number = number
    place.hash = hash
    return number


cdef void named_end(NamedOnce *named) noexcept nogil:
    if named.places != named.at_hand:
        free(named.places)
