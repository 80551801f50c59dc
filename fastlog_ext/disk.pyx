"""One log folder as its logs see it."""
import os

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from fastlog_ext.sockets cimport EFD_CLOEXEC, EFD_NONBLOCK, eventfd
from fastlog_ext.system cimport add32, close, last_errno, write


cdef void disk_retain(DiskState *disk) noexcept nogil:
    add32(&disk.references, 1)


cdef void disk_release(DiskState *disk) noexcept nogil:
    if add32(&disk.references, -1) == 0:
        close(disk.alarm_fd)
        free(disk)


cdef void disk_ring(DiskState *disk) noexcept nogil:
    cdef int64_t one = 1
    write(disk.alarm_fd, &one, sizeof(one))     # full: it rings already


cdef class Disk:
    """One log folder, for the logs that are opened in it. OSError."""

    def __cinit__(self):
        self.state = <DiskState *>malloc(sizeof(DiskState))
        if self.state == NULL:
            raise MemoryError
        self.state.references = 1
        self.state.alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.state.alarm_fd < 0:
            error = last_errno()
            free(self.state)
            self.state = NULL
            raise OSError(error, os.strerror(error))

    def __dealloc__(self):
        if self.state != NULL:
            disk_release(self.state)

    @property
    def alarm_fd(self) -> int:
        """An eventfd, readable after a log went offline. It lives as long as this object."""
        return self.state.alarm_fd
