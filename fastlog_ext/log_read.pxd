# Reads take no lock: a view, an immutable list of segments, pinned files, and a second look at the
# generation. The caller is registered with `reclaim`, or has the writer's role.
from libc.stdint cimport int64_t, uint8_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.log_state cimport LogRead, PartitionLog, ReadBound, ReadHint
from fastlog_ext.segment cimport Segment, SegmentFiles

# Reads from the batch that contains `offset`. At most max_bytes, but with `whole_first` (KIP-74) at
# least the first batch whole; without it, nothing when the first batch does not fit. One segment at
# a time.
cdef void partition_log_read(PartitionLog *log, int64_t offset, int64_t max_bytes, int whole_first,
                             ReadBound bound, const ReadHint *hint, LogRead *out) noexcept nogil
# Where the next read begins, from the headers of the batches just read: in `bytes` when they are in
# memory, else from the file, when few headers tell it.
cdef void log_read_follow(LogRead *read, const uint8_t *bytes) noexcept nogil
# The first batch of the segment, below `limit`, whose last offset is >= `offset`. 1 found, 0 none,
# or an error as of scan_next.
cdef int segment_locate(Segment *segment, SegmentFiles *files, int64_t offset, int64_t limit,
                        int64_t *position, BatchInfo *info) noexcept nogil
