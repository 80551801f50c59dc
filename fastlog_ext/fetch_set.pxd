# The partitions of a fetch session: found by topic and number, in an order of their own.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.fetch_request cimport FetchPartition, FetchRequest, FetchSet

cdef struct PlacedSet:
    FetchSet set            # its topics' names are its own, its order is never NULL
    int32_t *places         # open-addressed: 1 + the partition's number; 0: free
    int32_t place_mask
    int64_t name_bytes

# The partition that `number` of another set names, added or with what that one asks for now. NULL:
# out of memory.
cdef FetchPartition *placed_put(PlacedSet *placed, const FetchSet *other,
                                int32_t number) noexcept nogil
# Drops what the request forgets. 0, or -1: out of memory.
cdef int placed_forget(PlacedSet *placed, FetchRequest *request) noexcept nogil
# Those that sent records go behind the others, so that none starves.
cdef void placed_rotate(PlacedSet *placed) noexcept nogil
cdef int64_t placed_bytes(PlacedSet *placed) noexcept nogil
cdef void placed_clear(PlacedSet *placed) noexcept nogil
