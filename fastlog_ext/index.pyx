"""Sparse offset and time indexes; see index.pxd."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from fastlog_ext.endian cimport get32, get64, put32, put64
from fastlog_ext.files cimport read_at, truncate_to, write_at
from fastlog_ext.reclaim cimport reclaim_defer
from fastlog_ext.system cimport ENOMEM, load32, load_ptr, store32, store_ptr

cdef enum:
    BLOCK_SMALL = 64        # most partitions are small or quiet
    BLOCK_LARGE = 512
    WINDOW = 341            # entries read at once at the end of a search (4092 bytes of time index)


cdef IndexTail *new_tail(int32_t entry_size, int64_t first, int32_t capacity) noexcept nogil:
    cdef IndexTail *tail = <IndexTail *>malloc(sizeof(IndexTail) + capacity * entry_size)
    if tail != NULL:
        tail.first = first
        tail.count = 0
        tail.capacity = capacity
    return tail


cdef inline IndexTail *tail_of(Index *index) noexcept nogil:
    return <IndexTail *>load_ptr(<void **>&index.tail)


cdef void replace_tail(Index *index, IndexTail *tail) noexcept nogil:
    cdef IndexTail *old = index.tail
    store_ptr(<void **>&index.tail, tail)
    reclaim_defer(old, free)


cdef int index_init(Index *index, int32_t entry_size, int64_t entries_on_file) noexcept nogil:
    index.entry_size = entry_size
    index.tail = new_tail(entry_size, entries_on_file, 0)
    return ENOMEM if index.tail == NULL else 0


cdef void index_destroy(Index *index) noexcept nogil:
    free(index.tail)
    index.tail = NULL


cdef int64_t index_count(Index *index) noexcept nogil:
    cdef IndexTail *tail = tail_of(index)
    return tail.first + load32(&tail.count)


cdef int index_is_on_file(Index *index) noexcept nogil:
    return tail_of(index).first > 0


cdef int index_needs_flush(Index *index) noexcept nogil:
    return index.tail.count >= BLOCK_LARGE


cdef int index_has_unwritten(Index *index) noexcept nogil:
    return index.tail.count > 0


cdef inline void decode(int32_t entry_size, const uint8_t *entry, int64_t *key,
                        int32_t *value) noexcept nogil:
    if entry_size == OFFSET_ENTRY:
        key[0] = get32(entry)
        value[0] = get32(entry + 4)
    else:
        key[0] = get64(entry)
        value[0] = get32(entry + 8)


cdef int index_append(Index *index, int64_t key, int32_t value) noexcept nogil:
    cdef IndexTail *tail = index.tail
    cdef IndexTail *larger
    cdef uint8_t *entry
    if tail.count == tail.capacity:
        larger = new_tail(index.entry_size, tail.first,
                          BLOCK_SMALL if tail.capacity == 0 else tail.capacity * 2)
        if larger == NULL:
            return ENOMEM
        memcpy(larger.data, tail.data, <size_t>tail.count * index.entry_size)
        larger.count = tail.count
        replace_tail(index, larger)
        tail = larger
    entry = tail.data + <size_t>tail.count * index.entry_size
    if index.entry_size == OFFSET_ENTRY:
        put32(entry, <int32_t>key)
        put32(entry + 4, value)
    else:
        put64(entry, key)
        put32(entry + 8, value)
    store32(&tail.count, tail.count + 1)
    return 0


cdef int index_flush(Index *index, int fd) noexcept nogil:
    cdef IndexTail *tail = index.tail
    cdef IndexTail *empty
    cdef int error
    if tail.count == 0:
        return 0
    empty = new_tail(index.entry_size, tail.first + tail.count, 0)
    if empty == NULL:
        return ENOMEM
    error = write_at(fd, tail.data, <int64_t>tail.count * index.entry_size,
                     tail.first * index.entry_size)
    if error:
        free(empty)
        return error
    replace_tail(index, empty)
    return 0


cdef int index_truncate(Index *index, int fd, int64_t count) noexcept nogil:
    cdef IndexTail *tail = index.tail
    cdef IndexTail *shorter
    cdef int64_t written = tail.first
    cdef int64_t kept = count - written
    if kept >= tail.count:
        return 0
    if kept < 0:
        kept = 0
    shorter = new_tail(index.entry_size, min(written, count), tail.capacity)
    if shorter == NULL:
        return ENOMEM
    memcpy(shorter.data, tail.data, <size_t>kept * index.entry_size)
    shorter.count = <int32_t>kept
    replace_tail(index, shorter)
    if count < written:
        return truncate_to(fd, count * index.entry_size)
    return 0


cdef int get_entry(Index *index, IndexTail *tail, int fd, int64_t number, int64_t *key,
                   int32_t *value) noexcept nogil:
    cdef uint8_t entry[16]
    if number >= tail.first:
        decode(index.entry_size, tail.data + (number - tail.first) * index.entry_size, key, value)
        return 1
    if read_at(fd, entry, index.entry_size, number * index.entry_size) != index.entry_size:
        return -1
    decode(index.entry_size, entry, key, value)
    return 1


cdef int index_get(Index *index, int fd, int64_t number, int64_t *key,
                   int32_t *value) noexcept nogil:
    cdef IndexTail *tail = tail_of(index)
    if number < 0 or number >= tail.first + load32(&tail.count):
        return 0
    return get_entry(index, tail, fd, number, key, value)


cdef int64_t search_memory(const uint8_t *entries, int64_t count, int32_t entry_size,
                           int64_t target) noexcept nogil:
    """The number of the last entry with key <= target, or -1."""
    cdef int64_t low = 0, high = count, middle, key
    cdef int32_t value
    while low < high:
        middle = (low + high) // 2
        decode(entry_size, entries + middle * entry_size, &key, &value)
        if key <= target:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef int64_t search_file(Index *index, IndexTail *tail, int fd, int64_t target,
                         int64_t guess) noexcept nogil:
    """As search_memory over the written part; -2: I/O error. A sequential reader's guess, the entry
    of its last search, most often has the answer within one window."""
    cdef int64_t low = 0, high = tail.first, middle, key, found
    cdef int32_t value
    cdef uint8_t window[WINDOW * TIME_ENTRY]
    if 0 <= guess < high - WINDOW:
        low = guess
        high = guess + WINDOW
        if read_at(fd, window, WINDOW * index.entry_size, low * index.entry_size) != (
                WINDOW * index.entry_size):
            return -2
        found = search_memory(window, WINDOW, index.entry_size, target)
        if 0 <= found < WINDOW - 1:
            return low + found
        low = 0 if found < 0 else low + found + 1
        high = guess if found < 0 else tail.first
    while high - low > WINDOW:
        middle = (low + high) // 2
        if get_entry(index, tail, fd, middle, &key, &value) < 0:
            return -2
        if key <= target:
            low = middle + 1
        else:
            high = middle
    if read_at(fd, window, (high - low) * index.entry_size, low * index.entry_size) != (
            (high - low) * index.entry_size):
        return -2
    found = search_memory(window, high - low, index.entry_size, target)
    return low + found              # low - 1 is right too: all entries before `low` are <= target


cdef int index_floor(Index *index, int fd, int64_t target, int64_t *key, int32_t *value,
                     int64_t *number) noexcept nogil:
    return index_floor_near(index, fd, target, -1, key, value, number)


cdef int index_floor_near(Index *index, int fd, int64_t target, int64_t guess, int64_t *key,
                          int32_t *value, int64_t *number) noexcept nogil:
    cdef IndexTail *tail = tail_of(index)
    cdef int64_t found = search_memory(tail.data, load32(&tail.count), index.entry_size, target)
    if found >= 0:
        found += tail.first
    elif tail.first > 0:
        found = search_file(index, tail, fd, target, guess)
        if found == -2:
            return -1
    if found < 0:
        return 0
    if number != NULL:
        number[0] = found
    return get_entry(index, tail, fd, found, key, value)


cdef int ascends(int fd, int32_t entry_size, int64_t count) noexcept nogil:
    """1, 0, or -1: I/O error."""
    cdef uint8_t window[WINDOW * TIME_ENTRY]
    cdef int64_t key, last_key = -1, first = 0, number = 0
    cdef int32_t value, last_value = -1
    while first < count:
        number = min(<int64_t>WINDOW, count - first)
        if read_at(fd, window, number * entry_size, first * entry_size) != number * entry_size:
            return -1
        first += number
        for number in range(number):
            decode(entry_size, window + number * entry_size, &key, &value)
            if key <= last_key or value < last_value:
                return 0
            last_key = key
            last_value = value
    return 1


cdef int index_sound(int fd, int32_t entry_size, int64_t size, int64_t log_size,
                     int whole) noexcept nogil:
    cdef uint8_t entry[16]
    cdef int64_t first_key, last_key
    cdef int32_t first_value, last_value
    if size % entry_size != 0 or size > 0 and log_size <= 0:
        return 0
    if size == 0:
        return 1
    if read_at(fd, entry, entry_size, 0) != entry_size:
        return -1
    decode(entry_size, entry, &first_key, &first_value)
    if read_at(fd, entry, entry_size, size - entry_size) != entry_size:
        return -1
    decode(entry_size, entry, &last_key, &last_value)
    if first_value < 0 or last_value < first_value or last_key < first_key:
        return 0
    if entry_size == OFFSET_ENTRY and not (
            first_key >= 0 and last_key > 0 and last_value < log_size):
        return 0
    if last_key < 0 or last_key == 0 and last_value == 0:
        return 0
    return ascends(fd, entry_size, size // entry_size) if whole else 1
