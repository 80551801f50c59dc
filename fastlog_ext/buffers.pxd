# Input buffers: counted, recycled through a cache of each reactor, within one bound for the whole
# process.
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.stats cimport Counters

cdef enum:
    # what a connection reads into when it does not know the frame's size yet
    BUFFER_SMALL = 65536
    BUFFER_CLASSES = 16         # 64 KiB << class
    BUFFER_HEAD = 8             # bytes that a connection has of its own

# What a buffer is wanted for, which decides how much of the budget may be used for it. A frame that
# has begun to come may use five eighths, the start of one half, so that beginnings rarely keep
# frames from their end. The rest is kept for short frames: long ones never keep them from being
# served. While memory is plenty (a quarter is in use) what begins is taken for short; then no more
# of it turns out to be long than leaves an eighth.
cdef enum:
    FOR_SHORT = 0               # a frame of BUFFER_SMALL bytes at most, or not known to be longer
    FOR_START = 1
    FOR_REST = 2
    PURPOSES = 3

# Bytes of requests in all reactors (atomic), and their bound. One frame at a time may have its
# memory beyond the bound, so that some frame always comes to its end (lending.pxd).
cdef struct MemoryBudget:
    int64_t used
    int64_t small               # of these, for short frames
    int64_t limit
    int64_t lent                # beyond these
    int32_t lending             # 1: a connection has been chosen, or a lent buffer is in use
    int32_t last_lender         # number of the reactor that lent last
    int32_t starving            # connections that wait for memory

cdef struct Buffer:
    Buffer *next
    BufferCache *cache
    int32_t references          # of one reactor's thread: not atomic
    int32_t lent                # 1: beyond the bound; for one frame and not a byte of the next
    int32_t size_class          # -1: not for the cache; -2: a connection's own
    int32_t purpose
    int64_t capacity
    uint8_t *data

cdef struct BufferCache:
    Buffer *free_lists[BUFFER_CLASSES]
    int64_t cached              # bytes that lie on the lists
    int64_t cache_limit
    MemoryBudget *budget
    Counters *counters
    int32_t lending             # 1: this reactor is the one that lends
    int32_t lent_buffers        # not released yet: 0 or 1
    void *borrower              # the connection that memory is lent to; NULL: none, or closed

cdef void buffers_init(BufferCache *cache, MemoryBudget *budget,
                       Counters *counters) noexcept nogil
cdef void buffers_destroy(BufferCache *cache) noexcept nogil
# Whether there is memory in the budget for this purpose. For one frame there is, however long.
cdef int memory_fits(MemoryBudget *budget, int purpose) noexcept nogil
# One reference. NULL: out of memory or budget.
cdef Buffer *buffer_take(BufferCache *cache, int64_t size, int purpose) noexcept nogil
# One reference to what belongs to a connection, for the length of a frame that there is no memory
# for.
cdef Buffer *buffer_of_head(BufferCache *cache, Buffer *head, uint8_t *data) noexcept nogil
cdef inline int is_head(const Buffer *buffer) noexcept nogil:
    return buffer.size_class == -2
# The same for the borrower, beyond the bound, in place of `old` (NULL: of none). NULL: out of
# memory.
cdef Buffer *buffer_lend(BufferCache *cache, int64_t size, Buffer *old) noexcept nogil
# 1: this reactor may lend. lending_ends is called for it, also by the lent buffer's release.
cdef int lending_begins(BufferCache *cache, void *borrower) noexcept nogil
cdef void lending_ends(BufferCache *cache) noexcept nogil
# Whether there is no memory for the start of some frame.
cdef int memory_is_short(MemoryBudget *budget) noexcept nogil
cdef void buffer_retain(Buffer *buffer) noexcept nogil
cdef void buffer_release(Buffer *buffer) noexcept nogil
