# What readers may see, derived from what the writer knows. Only with the writer's role.
from libc.stdint cimport int64_t
from fastlog_ext.log_state cimport LogPosition, PartitionLog

# Publishes the writer's end offset and log start with the high watermark and last stable offset
# that follow.
cdef void log_publish_offsets(PartitionLog *log) noexcept nogil
# whom the published high watermark releases
cdef void log_wake(PartitionLog *log) noexcept nogil
# Where an offset lies; the segment's start when it cannot be read: that hides more, never less.
cdef LogPosition log_find_position(PartitionLog *log, int64_t offset) noexcept nogil
