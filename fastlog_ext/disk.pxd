# One log folder as its logs see it: where they tell that its storage failed, and the threads that
# wait for its disk in place of the reactors.
from libc.stdint cimport int32_t
from fastlog_ext.system cimport pthread_cond_t, pthread_mutex_t, pthread_t

cdef enum:
    DISK_THREADS = 4        # reads under way at once

# Work that waits for the disk. Belongs to who submits it, until `run` has been called.
cdef struct DiskJob:
    DiskJob *next
    void (*run)(DiskJob *job) noexcept nogil
    void *owner

cdef struct DiskState:
    int32_t references      # the handle's, one for each log, and one for each thread
    int alarm_fd            # eventfd: written to when a log goes offline
    pthread_mutex_t lock    # of what follows
    pthread_cond_t work
    DiskJob *first
    DiskJob *last
    int32_t idle            # threads that wait for work
    int32_t thread_count
    int32_t stopping
    pthread_t threads[DISK_THREADS]

cdef class Disk:
    cdef DiskState *state
    cdef int process_id
    cdef object closing
    cdef void end_threads(self) noexcept

cdef void disk_retain(DiskState *disk) noexcept nogil
cdef void disk_release(DiskState *disk) noexcept nogil
cdef void disk_ring(DiskState *disk) noexcept nogil     # any thread
# Lets a thread of the disk do it. 0, or errno: there is no such thread, and nothing was taken.
cdef int disk_submit(DiskState *disk, DiskJob *job) noexcept nogil
