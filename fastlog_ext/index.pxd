# The sparse indexes of a segment in Kafka's formats. An entry of the offset index is (int32 offset
# relative to the base, int32 position); of the time index (int64 timestamp, int32 relative offset);
# big-endian.
#
# The file holds whole entries and nothing else. What is not written yet stays in a block on the
# heap, since a write through a mapping would kill the process on a full disk. One writer; readers
# need `reclaim`.
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    OFFSET_ENTRY = 8
    TIME_ENTRY = 12

cdef struct IndexTail:
    int64_t first           # number of this block's first entry = how many entries the file holds
    int32_t count           # atomic: published to readers
    int32_t capacity
    uint8_t data[1]         # really capacity entries

cdef struct Index:
    int32_t entry_size
    IndexTail *tail         # atomic

# 0 or ENOMEM
cdef int index_init(Index *index, int32_t entry_size, int64_t entries_on_file) noexcept nogil
cdef void index_destroy(Index *index) noexcept nogil        # the file's part is the owner's
cdef int64_t index_count(Index *index) noexcept nogil
cdef int index_is_on_file(Index *index) noexcept nogil      # at least some entries are
# the block is full: flush before the next append
cdef int index_needs_flush(Index *index) noexcept nogil
cdef int index_has_unwritten(Index *index) noexcept nogil
# 0 or ENOMEM. Offset index: key = relative offset, value = position. Time index: key = timestamp.
cdef int index_append(Index *index, int64_t key, int32_t value) noexcept nogil
cdef int index_flush(Index *index, int fd) noexcept nogil   # 0 or errno
# Keeps the first `count` entries. 0 or errno.
cdef int index_truncate(Index *index, int fd, int64_t count) noexcept nogil
# `fd` is used for the written part only. 1: found, 0: none, -1: I/O error.
cdef int index_get(Index *index, int fd, int64_t number, int64_t *key,
                   int32_t *value) noexcept nogil
# The last entry whose key is <= target; its number in *number (may be NULL).
cdef int index_floor(Index *index, int fd, int64_t target, int64_t *key, int32_t *value,
                     int64_t *number) noexcept nogil
# The same, looked for first at the entry `guess` and the few hundred behind it. -1: no guess.
cdef int index_floor_near(Index *index, int fd, int64_t target, int64_t guess, int64_t *key,
                          int32_t *value, int64_t *number) noexcept nogil
# Whether an index file of `size` bytes can be true of a log of `log_size`: whole entries within the
# log; the ends ascend, or, with `whole`, all of it. What else may be wrong is seen when it is used.
# 1, 0, or -1: I/O error.
cdef int index_sound(int fd, int32_t entry_size, int64_t size, int64_t log_size,
                     int whole) noexcept nogil
