"""One log folder as its logs see it: its alarm, and its threads.

The threads never have a Python thread state. They are started when there is work for the first
time, so that a broker whose readers keep up has none.
"""
import os
import threading

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from fastlog_ext.sockets cimport EFD_CLOEXEC, EFD_NONBLOCK, eventfd, join_within, start_thread
from fastlog_ext.system cimport (
    ESHUTDOWN, add32, close, getpid, last_errno, pthread_cond_broadcast, pthread_cond_destroy,
    pthread_cond_init, pthread_cond_signal, pthread_cond_wait, pthread_mutex_destroy,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, write)

cdef enum:
    JOIN_SECONDS = 5


cdef void disk_retain(DiskState *disk) noexcept nogil:
    add32(&disk.references, 1)


cdef void disk_release(DiskState *disk) noexcept nogil:
    if add32(&disk.references, -1) > 0:
        return
    close(disk.alarm_fd)
    pthread_cond_destroy(&disk.work)
    pthread_mutex_destroy(&disk.lock)
    free(disk)


cdef void disk_ring(DiskState *disk) noexcept nogil:
    cdef int64_t one = 1
    write(disk.alarm_fd, &one, sizeof(one))     # full: it rings already


cdef void *thread_main(void *argument) noexcept nogil:
    cdef DiskState *disk = <DiskState *>argument
    cdef DiskJob *job
    pthread_mutex_lock(&disk.lock)
    while True:
        job = disk.first
        if job != NULL:
            disk.first = job.next
            pthread_mutex_unlock(&disk.lock)
            job.run(job)
            pthread_mutex_lock(&disk.lock)
            continue
        if disk.stopping:
            break
        disk.idle += 1
        pthread_cond_wait(&disk.work, &disk.lock)
        disk.idle -= 1
    pthread_mutex_unlock(&disk.lock)
    disk_release(disk)
    return NULL


cdef int add_thread(DiskState *disk) noexcept nogil:
    """With the lock held. 0 or errno."""
    cdef int error
    disk_retain(disk)
    error = start_thread(&disk.threads[disk.thread_count], thread_main, disk)
    if error:
        add32(&disk.references, -1)     # never the last: the caller has one
    else:
        disk.thread_count += 1
    return error


cdef int disk_submit(DiskState *disk, DiskJob *job) noexcept nogil:
    cdef int error = 0
    pthread_mutex_lock(&disk.lock)
    if disk.stopping:
        error = ESHUTDOWN
    elif disk.idle == 0 and disk.thread_count < DISK_THREADS:
        error = add_thread(disk)
        if disk.thread_count > 0:
            error = 0                   # one of the others comes to it
    if not error:
        job.next = NULL
        if disk.first == NULL:
            disk.first = job
        else:
            disk.last.next = job
        disk.last = job
        pthread_cond_signal(&disk.work)
    pthread_mutex_unlock(&disk.lock)
    return error


cdef class Disk:
    """One log folder, for the logs that are opened in it. OSError."""

    def __cinit__(self):
        self.process_id = getpid()
        self.closing = threading.Lock()
        self.state = <DiskState *>calloc(1, sizeof(DiskState))
        if self.state == NULL:
            raise MemoryError
        self.state.references = 1
        self.state.alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.state.alarm_fd < 0:
            error = last_errno()
            free(self.state)
            self.state = NULL
            raise OSError(error, os.strerror(error))
        pthread_mutex_init(&self.state.lock, NULL)
        pthread_cond_init(&self.state.work, NULL)

    def __dealloc__(self):
        # Each thread holds the state until it ends. In a child of a fork there are none, and the
        # lock may be held for good.
        if self.state == NULL or self.process_id != getpid():
            return
        self.end_threads()
        disk_release(self.state)

    cdef void end_threads(self) noexcept:
        pthread_mutex_lock(&self.state.lock)
        self.state.stopping = 1
        pthread_cond_broadcast(&self.state.work)
        pthread_mutex_unlock(&self.state.lock)

    @property
    def alarm_fd(self) -> int:
        """An eventfd, readable after a log went offline. It lives as long as this object."""
        return self.state.alarm_fd

    @property
    def threads(self) -> int:
        """How many threads have been started, and not been joined."""
        return self.state.thread_count

    def close(self) -> bool:
        """Ends and joins the threads, after the work they were given. Idempotent. False: the disk
        holds one up for too long; it is left to the process's end."""
        cdef int joined
        cdef bint clean = True
        if self.process_id != getpid():
            raise RuntimeError("the disk's threads belong to the parent of a forked process")
        with self.closing:
            self.end_threads()
            while self.state.thread_count > 0:
                with nogil:
                    joined = join_within(self.state.threads[self.state.thread_count - 1],
                                         JOIN_SECONDS)
                clean = clean and joined == 0
                self.state.thread_count -= 1
        return clean
