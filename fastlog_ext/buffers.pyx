"""Input buffers."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from fastlog_ext.stats cimport ALLOCATIONS, count
from fastlog_ext.system cimport add64

cdef enum:
    CACHE_LIMIT = 16777216      # idle bytes that a reactor keeps for the next frames


cdef void buffers_init(BufferCache *cache, MemoryBudget *budget,
                       Counters *counters) noexcept nogil:
    memset(cache, 0, sizeof(BufferCache))
    cache.budget = budget
    cache.counters = counters
    cache.cache_limit = CACHE_LIMIT


cdef void free_buffer(Buffer *buffer) noexcept nogil:
    free(buffer.data)
    free(buffer)


cdef void buffers_destroy(BufferCache *cache) noexcept nogil:
    cdef Buffer *buffer
    cdef int size_class
    for size_class in range(BUFFER_CLASSES):
        while cache.free_lists[size_class] != NULL:
            buffer = cache.free_lists[size_class]
            cache.free_lists[size_class] = buffer.next
            free_buffer(buffer)
    cache.cached = 0


cdef Buffer *new_buffer(BufferCache *cache, int size_class, int64_t capacity) noexcept nogil:
    cdef Buffer *buffer = <Buffer *>malloc(sizeof(Buffer))
    if buffer == NULL:
        return NULL
    buffer.data = <uint8_t *>malloc(capacity)
    if buffer.data == NULL:
        free(buffer)
        return NULL
    count(cache.counters, ALLOCATIONS, 1)
    buffer.cache = cache
    buffer.capacity = capacity
    buffer.size_class = size_class
    return buffer


cdef Buffer *buffer_take(BufferCache *cache, int64_t size, int growing) noexcept nogil:
    cdef Buffer *buffer
    cdef int size_class = 0
    cdef int64_t capacity = BUFFER_SMALL
    cdef int64_t before, limit
    while capacity < size and size_class < BUFFER_CLASSES:
        capacity <<= 1
        size_class += 1
    if size_class >= BUFFER_CLASSES:
        size_class = -1
        capacity = size
    before = add64(&cache.budget.used, capacity) - capacity
    limit = cache.budget.limit if growing else cache.budget.limit // 2
    if before > 0 and before >= limit:
        add64(&cache.budget.used, -capacity)
        cache.short_of_memory = 1
        return NULL
    if size_class >= 0 and cache.free_lists[size_class] != NULL:
        buffer = cache.free_lists[size_class]
        cache.free_lists[size_class] = buffer.next
        cache.cached -= capacity
    else:
        buffer = new_buffer(cache, size_class, capacity)
        if buffer == NULL:
            add64(&cache.budget.used, -capacity)
            cache.short_of_memory = 1
            return NULL
    buffer.next = NULL
    buffer.references = 1
    return buffer


cdef void buffer_retain(Buffer *buffer) noexcept nogil:
    buffer.references += 1


cdef void buffer_release(Buffer *buffer) noexcept nogil:
    cdef BufferCache *cache = buffer.cache
    buffer.references -= 1
    if buffer.references:
        return
    add64(&cache.budget.used, -buffer.capacity)
    if buffer.size_class < 0 or cache.cached + buffer.capacity > cache.cache_limit:
        free_buffer(buffer)
        return
    buffer.next = cache.free_lists[buffer.size_class]
    cache.free_lists[buffer.size_class] = buffer
    cache.cached += buffer.capacity
