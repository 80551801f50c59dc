# Arrays that double when they are full: in the steady state they are large enough.
from libc.stdint cimport int32_t
from libc.stdlib cimport realloc

# Room for one item behind `count`, at least `least` in all. The array, which may have moved; NULL:
# no memory, and all is as it was.
cdef inline void *with_room(void *items, int32_t *capacity, int32_t count, size_t item_size,
                            int32_t least) noexcept nogil:
    cdef int32_t wanted
    cdef void *grown
    if count < capacity[0]:
        return items
    wanted = capacity[0] * 2 if capacity[0] else least
    grown = realloc(items, wanted * item_size)
    if grown != NULL:
        capacity[0] = wanted
    return grown
