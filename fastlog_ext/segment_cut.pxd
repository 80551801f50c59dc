# Truncation of one segment. With the writer's role.
from libc.stdint cimport int64_t
from fastlog_ext.segment cimport Segment

# Cuts the log and drops index entries at or above `offset`; pinned files keep the old bytes. 0 or
# errno.
cdef int segment_cut(Segment *segment, int64_t size, int64_t offset) noexcept nogil
