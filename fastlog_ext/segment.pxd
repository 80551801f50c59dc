# One segment: NNN.log with its offset and time index. Sealed segments open their files on demand, under a
# cap for the whole process (least recently used closed first); what is being sent holds a pin on the files.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.system cimport pthread_mutex_t

cdef struct SegmentFiles:
    int32_t references      # pins, and one for the segment itself while it keeps them open
    int log_fd
    # ... private (mapped indexes)

cdef struct Segment:
    int64_t base_offset
    int64_t size            # bytes of the log published to readers (atomic)
    # ... private

# Pins the open files. The descriptor is valid until segment_unpin. NULL: cannot be opened (errno kept in *error).
cdef SegmentFiles *segment_pin(Segment *segment, int *error) noexcept nogil
cdef void segment_unpin(SegmentFiles *files) noexcept nogil
