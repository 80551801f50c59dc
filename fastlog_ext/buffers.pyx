"""Input buffers."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from fastlog_ext.stats cimport ALLOCATIONS, count
from fastlog_ext.system cimport add64, exchange32, load32_relaxed, load64_relaxed, store32_seq

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
    buffer.lent = 0
    return buffer


cdef inline int64_t of_long_ones(MemoryBudget *budget) noexcept nogil:
    return load64_relaxed(&budget.used) - load64_relaxed(&budget.small)


cdef inline int small_ones_fit(MemoryBudget *budget) noexcept nogil:
    return (load64_relaxed(&budget.small) < budget.limit * 3 // 8
            or load64_relaxed(&budget.used) < budget.limit // 2)


cdef int memory_is_short(MemoryBudget *budget) noexcept nogil:
    return of_long_ones(budget) >= budget.limit // 2 or not small_ones_fit(budget)


cdef int memory_fits(MemoryBudget *budget, int purpose) noexcept nogil:
    """Reactors that ask at once may go beyond by a frame."""
    if purpose == FOR_SHORT:
        return small_ones_fit(budget)
    return of_long_ones(budget) < max(<int64_t>1,
                                      budget.limit * (5 if purpose == FOR_REST else 4) // 8)


cdef void charge(MemoryBudget *budget, int purpose, int64_t bytes) noexcept nogil:
    if purpose == FOR_SHORT:
        add64(&budget.small, bytes)
    add64(&budget.used, bytes)


cdef Buffer *buffer_take(BufferCache *cache, int64_t size, int purpose) noexcept nogil:
    cdef Buffer *buffer
    cdef int size_class = 0
    cdef int64_t capacity = BUFFER_SMALL
    while capacity < size and size_class < BUFFER_CLASSES:
        capacity <<= 1
        size_class += 1
    if size_class >= BUFFER_CLASSES:
        size_class = -1
        capacity = size
    if not memory_fits(cache.budget, purpose):
        return NULL
    if size_class >= 0 and cache.free_lists[size_class] != NULL:
        buffer = cache.free_lists[size_class]
        cache.free_lists[size_class] = buffer.next
        cache.cached -= capacity
    else:
        buffer = new_buffer(cache, size_class, capacity)
        if buffer == NULL:
            return NULL
    charge(cache.budget, purpose, capacity)
    buffer.purpose = purpose
    buffer.next = NULL
    buffer.references = 1
    return buffer


cdef Buffer *buffer_lend(BufferCache *cache, int64_t size, Buffer *old) noexcept nogil:
    cdef Buffer *buffer = new_buffer(cache, -1, size)
    if buffer == NULL:
        return NULL
    if old != NULL and old.lent:
        old.lent = 0
        cache.lent_buffers -= 1
        add64(&cache.budget.lent, -old.capacity)
        charge(cache.budget, old.purpose, old.capacity)
    buffer.lent = 1
    buffer.purpose = FOR_REST
    buffer.next = NULL
    buffer.references = 1
    cache.lent_buffers += 1
    add64(&cache.budget.lent, size)
    return buffer


cdef Buffer *buffer_of_head(BufferCache *cache, Buffer *head, uint8_t *data) noexcept nogil:
    head.cache = cache
    head.capacity = BUFFER_HEAD
    head.data = data
    head.size_class = -2
    head.references = 1
    head.lent = 0
    return head


cdef int lending_begins(BufferCache *cache, void *borrower) noexcept nogil:
    if load32_relaxed(&cache.budget.lending) or exchange32(&cache.budget.lending, 1):
        return 0
    cache.lending = 1
    cache.borrower = borrower
    return 1


cdef void lending_ends(BufferCache *cache) noexcept nogil:
    cache.lending = 0
    cache.borrower = NULL
    store32_seq(&cache.budget.lending, 0)


cdef void take_back(BufferCache *cache, Buffer *buffer) noexcept nogil:
    cache.lent_buffers -= 1
    add64(&cache.budget.lent, -buffer.capacity)
    lending_ends(cache)


cdef void buffer_retain(Buffer *buffer) noexcept nogil:
    buffer.references += 1


cdef void buffer_release(Buffer *buffer) noexcept nogil:
    cdef BufferCache *cache = buffer.cache
    buffer.references -= 1
    if buffer.references or is_head(buffer):
        return
    if buffer.lent:
        take_back(cache, buffer)
    else:
        charge(cache.budget, buffer.purpose, -buffer.capacity)
    if buffer.size_class < 0 or cache.cached + buffer.capacity > cache.cache_limit:
        free_buffer(buffer)
        return
    buffer.next = cache.free_lists[buffer.size_class]
    cache.free_lists[buffer.size_class] = buffer
    cache.cached += buffer.capacity
