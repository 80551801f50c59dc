# One log folder as its logs see it: where they tell that its storage failed.
from libc.stdint cimport int32_t

cdef struct DiskState:
    int32_t references      # the handle's, and one for each log
    int alarm_fd            # eventfd: written to when a log goes offline

cdef class Disk:
    cdef DiskState *state

cdef void disk_retain(DiskState *disk) noexcept nogil
cdef void disk_release(DiskState *disk) noexcept nogil
cdef void disk_ring(DiskState *disk) noexcept nogil     # any thread
