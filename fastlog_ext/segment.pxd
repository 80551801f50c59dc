# One segment: NNN.log with its offset and time index. Sealed segments open their files on demand,
# under a cap for the whole process (least recently used closed first); what is being sent holds a
# pin on the files.
from libc.stdint cimport int8_t, int32_t, int64_t
from fastlog_ext.system cimport pthread_mutex_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.index cimport Index

cdef struct SegmentFiles:
    int32_t references      # pins, and one for the segment itself while it keeps them open
    int log_fd
    # private: opened at the first use, -1 until then (atomic)
    int32_t index_fd
    int32_t time_fd
    # relaxed atomics, see cold_reads: the connection that alone reads here, and from where to where
    # it brought in what it read (from -1: it did not)
    int64_t reader
    int64_t cold_from
    int64_t cold_to
    # and the range that was last seen to be cached
    int64_t cached_from
    int64_t cached_to

cdef struct Segment:
    int64_t base_offset
    int64_t size            # bytes of the log published to readers (atomic)
    # private
    SegmentFiles *files     # atomic; NULL: closed
    char *path              # folder/NNN, without a suffix
    Index offsets
    Index times
    # atomic pair, read by segment_max_timestamp: UNKNOWN_TIMESTAMP until read
    int64_t max_timestamp
    int64_t max_timestamp_offset    # last offset of the batch that holds it
    # the writer's
    int64_t last_indexed_timestamp
    # greatest timestamp of the first batch, or -1: segment.ms counts from it
    int64_t rolling_timestamp
    int64_t created_ms
    int64_t jitter_ms
    int64_t bytes_since_index
    int64_t allocated               # preallocated up to here
    # of the ring of open sealed segments, under its lock
    Segment *ring_next
    Segment *ring_previous
    int32_t in_ring
    int32_t sealed
    int32_t retired
    int32_t recently_used           # relaxed
    # What segment_check keeps: the first bytes, which came from the disk and whose checksums nobody
    # has looked at since (atomic), and the range of them that somebody has.
    int64_t unchecked
    pthread_mutex_t check_lock
    int64_t checked_from
    int64_t checked_to
    int64_t bad_position            # atomic: of a batch that may not be served, or -1

cdef enum:
    UNKNOWN_TIMESTAMP = -2      # not read from the time index yet
    CHANGING_TIMESTAMP = -3

# Pins the open files. The descriptor is valid until segment_unpin. NULL: cannot be opened (errno
# kept in *error; EAGAIN: it is not open, and this thread reads from the cache only). The segment
# must be protected by `reclaim` or by the writer's role.
cdef SegmentFiles *segment_pin(Segment *segment, int *error) noexcept nogil
cdef void segment_unpin(SegmentFiles *files) noexcept nogil

# --- for the modules of the log ---
# New empty files (what lay there under the same names is unlinked first). NULL: *error.
cdef Segment *segment_create(const char *folder, int64_t base_offset, int64_t now_ms,
                             int *error) noexcept nogil
# An existing one, sealed and closed; the sizes are of the files.
cdef Segment *segment_load(const char *folder, int64_t base_offset, int64_t log_size,
                           int64_t offset_entries, int64_t time_entries, int *error) noexcept nogil
# A new file of that suffix, in place of one that is there. fd, or -errno
cdef int segment_create_file(Segment *segment, const char *suffix) noexcept nogil
# Makes it the active one: its files stay open for writing. 0 or errno.
cdef int segment_activate(Segment *segment) noexcept nogil
# Final time index entry, indexes written out, preallocation given back. 0 or errno.
cdef int segment_finish(Segment *segment) noexcept nogil
# after segment_finish: may be closed on demand
cdef void segment_seal(Segment *segment) noexcept nogil
# It left the list: closes the files (as soon as no pin is left) and frees the struct by `reclaim`.
cdef void segment_retire(Segment *segment) noexcept nogil
cdef int segment_flush_indexes(Segment *segment) noexcept nogil
# Descriptor of an index (which: 0 offsets, 1 times), or -errno. It stays open with the files.
cdef int segment_index_fd(Segment *segment, SegmentFiles *files, int which) noexcept nogil
# The same for what is rare: nothing stays open for it, because each of thousands of logs has an
# active segment.
cdef int segment_borrow_index(Segment *segment, SegmentFiles *files, int which) noexcept nogil
cdef void segment_return_index(SegmentFiles *files, int which, int fd) noexcept nogil
# Of a segment that nobody else knows yet.
cdef void segment_close_indexes(Segment *segment) noexcept nogil
# What Kafka notes of a batch in the indexes; `position` is where the batch starts. Without `flush`
# nothing is written to their files. 0 or errno (index file).
cdef int segment_note_batch(Segment *segment, const BatchInfo *info, int64_t position,
                            int64_t index_interval, int flush) noexcept nogil
# time index entry, if it is greater
cdef int segment_note_max_timestamp(Segment *segment) noexcept nogil
cdef void segment_set_max_timestamp(Segment *segment, int64_t timestamp,
                                    int64_t offset) noexcept nogil
# 0 or errno. -1 when it has none.
cdef int segment_max_timestamp(Segment *segment, int64_t *timestamp, int64_t *offset) noexcept nogil
cdef int segment_empty_indexes(Segment *segment) noexcept nogil         # before they are rebuilt
cdef void segment_set_open_limit(int64_t limit) noexcept nogil
cdef int64_t segment_open_count() noexcept nogil                        # open sealed segments
cdef int64_t segment_live_count() noexcept nogil
cdef int64_t segment_files_live_count() noexcept nogil
