# What a log remembers is rebuilt from its bytes. With the writer's role, or before the log is
# published.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.log_state cimport PartitionLog
from fastlog_ext.segment cimport Segment

# Checks every batch of an active segment from its start, or without `checksums` only its header;
# rebuilds the indexes and takes note of new leader epochs. *valid: bytes up to the first bad batch;
# *next_offset: in, the least base offset allowed; out, behind the last good batch. 0, errno, or -1:
# the segment starts with a message format older than 2.
cdef int replay_segment(PartitionLog *log, Segment *segment, int checksums, int64_t *valid,
                        int64_t *next_offset) noexcept nogil
# Reads the tail behind the last index entry. As above, but trusts what is there; -2: not whole
# batches.
cdef int replay_tail(Segment *segment, int64_t *next_offset) noexcept nogil
# Applies the batches with from_offset <= base offset < end to the producers' table. Those that are
# damaged are noted and passed over. 0 or errno.
cdef int replay_producers(PartitionLog *log, int64_t from_offset, int64_t end_offset,
                          int64_t now_ms) noexcept nogil
