# A batch whose checksum is wrong is never served. What this process wrote was checked when it came;
# what lay on the disk when the log was opened is checked the first time that it is read.
from libc.stdint cimport int64_t
from fastlog_ext.segment cimport Segment, SegmentFiles

# From `position`, where a batch starts: the end of what may be served, at most position + size, but
# of a segment that is not checked yet at most about 1 MiB. Equal to `position`: the batch there is
# bad, and noted in the segment. Below it: I/O error, or no memory. `limit`: where readable batches
# end.
cdef int64_t segment_check(Segment *segment, SegmentFiles *files, int64_t position, int64_t size,
                           int64_t limit) noexcept nogil
# The writer cut the segment, or checked all of what is left.
cdef void check_forget(Segment *segment, int64_t size) noexcept nogil
