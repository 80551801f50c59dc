# Input buffers: counted, recycled through a cache of each reactor, within one bound for the whole
# process.
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.stats cimport Counters

cdef enum:
    # what a connection reads into when it does not know the frame's size yet
    BUFFER_SMALL = 65536
    BUFFER_CLASSES = 16         # 64 KiB << class

# Bytes of requests in all reactors (atomic), and their bound. A quarter of it is kept for the
# smallest buffers: long requests, finished or not, never keep short ones from being served.
cdef struct MemoryBudget:
    int64_t used
    int64_t small               # of these, in buffers of BUFFER_SMALL bytes
    int64_t limit

cdef struct Buffer:
    Buffer *next
    BufferCache *cache
    int32_t references          # of one reactor's thread: not atomic
    int32_t size_class          # -1: not for the cache
    int64_t capacity
    uint8_t *data

cdef struct BufferCache:
    Buffer *free_lists[BUFFER_CLASSES]
    int64_t cached              # bytes that lie on the lists
    int64_t cache_limit
    MemoryBudget *budget
    Counters *counters
    int32_t short_of_memory     # 1: a connection of this reactor waits for the budget

cdef void buffers_init(BufferCache *cache, MemoryBudget *budget,
                       Counters *counters) noexcept nogil
cdef void buffers_destroy(BufferCache *cache) noexcept nogil
# One reference. NULL: out of memory or budget. A frame that has begun (`growing`) may use three
# quarters of the budget, the start of one half of it, so that beginnings can never keep every frame
# from its end.
cdef Buffer *buffer_take(BufferCache *cache, int64_t size, int growing) noexcept nogil
# Whether there is no memory for the start of some frame.
cdef int memory_is_short(MemoryBudget *budget) noexcept nogil
cdef void buffer_retain(Buffer *buffer) noexcept nogil
cdef void buffer_release(Buffer *buffer) noexcept nogil
