"""One log folder as its logs see it: its alarm, its speed, and its threads.

The threads never have a Python thread state. They are started when there is work for the first
time, so that a broker whose readers keep up, whose writes do not block and whose records need no
long look has none.
"""
import os
import threading

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from fastlog_ext.insist cimport insist
from fastlog_ext.sockets cimport EFD_CLOEXEC, EFD_NONBLOCK, eventfd, join_within, start_thread
from fastlog_ext.system cimport (
    ESHUTDOWN, add32, add64_relaxed, cas32, close, exchange32, getpid, last_errno, load32,
    load64_relaxed,
    pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init, pthread_cond_signal,
    pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock, store32_relaxed, store64_relaxed, write)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sys/resource.h>
    static void fl_be_nice(int nice) { setpriority(PRIO_PROCESS, 0, nice); }
    static long long fl_thread_waits(void) {
        struct rusage usage;
        return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0; }
    """
    int64_t thread_waits "fl_thread_waits"() noexcept
    void be_nice "fl_be_nice"(int nice) noexcept    # this thread alone

cdef enum:
    JOIN_SECONDS = 5
    # Of an append: a thread that took so long has waited for something, perhaps only for a
    # processor; and for the disk, since no processor is out of reach for so long.
    SOME_MS = 10
    LONG_MS = 100
    STAYS_SLOW_MS = 1000        # without an append that waited, before reactors write again
    CHECKERS_NICE = 10          # whoever makes records expand is no more urgent than others


cdef void disk_retain(DiskState *disk) noexcept nogil:
    add32(&disk.references, 1)


cdef void disk_release(DiskState *disk) noexcept nogil:
    cdef int32_t references = add32(&disk.references, -1)
    insist(references >= 0, b"a disk is let go twice")
    if references > 0:
        return
    close(disk.alarm_fd)
    pthread_cond_destroy(&disk.readers.work)
    pthread_cond_destroy(&disk.writers.work)
    pthread_cond_destroy(&disk.checkers.work)
    pthread_mutex_destroy(&disk.lock)
    free(disk)


cdef void disk_ring(DiskState *disk) noexcept nogil:
    cdef int64_t one = 1
    write(disk.alarm_fd, &one, sizeof(one))     # full: it rings already


cdef void disk_refused(DiskState *disk, int32_t batches) noexcept nogil:
    add64_relaxed(&disk.refused, batches)
    if exchange32(&disk.room, DISK_FULL) == DISK_HAS_ROOM:
        disk_ring(disk)


cdef int64_t disk_waits() noexcept nogil:
    """How often this thread has waited for anything but a processor."""
    return thread_waits()


cdef void disk_judge(DiskState *disk, int64_t took_ms, int64_t at_ms,
                     int64_t waits_before) noexcept nogil:
    """While it is slow one thread makes all appends of the folder, one after the other: that one
    was quick says that none of them waits."""
    cdef int32_t pace = load32_relaxed(&disk.pace)
    cdef int waited = took_ms >= LONG_MS or (
        took_ms >= SOME_MS and waits_before >= 0 and thread_waits() > waits_before)
    if waited or (took_ms >= SOME_MS and pace == QUICK):
        store64_relaxed(&disk.pace_until_ms, at_ms + STAYS_SLOW_MS)
        store32_relaxed(&disk.pace, SLOW if waited else WATCHED)
    elif pace != QUICK and not in_time(load64_relaxed(&disk.pace_until_ms), at_ms):
        store32_relaxed(&disk.pace, QUICK)


cdef inline int in_time(int64_t until_ms, int64_t now_ms) noexcept nogil:
    """A clock that was set back, however far, is no reason to stay slow."""
    return now_ms < until_ms <= now_ms + STAYS_SLOW_MS


# --- threads ---

cdef void *thread_main(void *argument) noexcept nogil:
    cdef DiskCrew *crew = <DiskCrew *>argument
    cdef DiskState *disk = crew.disk
    cdef DiskJob *job
    if crew.nice:
        be_nice(crew.nice)
    pthread_mutex_lock(&disk.lock)
    while True:
        job = crew.first
        if job != NULL:
            crew.first = job.next
            crew.queued -= 1
            pthread_mutex_unlock(&disk.lock)
            job.run(job)
            pthread_mutex_lock(&disk.lock)
            continue
        if disk.stopping:
            break
        crew.idle += 1
        pthread_cond_wait(&crew.work, &disk.lock)
        crew.idle -= 1
    pthread_mutex_unlock(&disk.lock)
    disk_release(disk)
    return NULL


cdef int add_thread(DiskCrew *crew) noexcept nogil:
    """With the lock held. 0 or errno."""
    cdef int error
    disk_retain(crew.disk)
    error = start_thread(&crew.threads[crew.thread_count], thread_main, crew)
    if error:
        add32(&crew.disk.references, -1)    # never the last: the caller has one
    else:
        crew.thread_count += 1
    return error


cdef int disk_submit(DiskCrew *crew, DiskJob *job) noexcept nogil:
    cdef int error = 0
    pthread_mutex_lock(&crew.disk.lock)
    if crew.disk.stopping:
        error = ESHUTDOWN
    elif crew.queued >= crew.idle and crew.thread_count < crew.most:
        error = add_thread(crew)
        if crew.thread_count > 0:
            error = 0                   # one of the others comes to it
    if not error:
        job.next = NULL
        if crew.first == NULL:
            crew.first = job
        else:
            crew.last.next = job
        crew.last = job
        crew.queued += 1
        pthread_cond_signal(&crew.work)
    pthread_mutex_unlock(&crew.disk.lock)
    return error


cdef int disk_take_append(DiskState *disk, DiskJob *job) noexcept nogil:
    add64_relaxed(&disk.handed_over, 1)     # first: the job may let go of the disk
    return disk_submit(&disk.writers, job)


cdef void crew_init(DiskState *disk, DiskCrew *crew, int32_t most) noexcept nogil:
    crew.disk = disk
    crew.most = most
    pthread_cond_init(&crew.work, NULL)


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
        crew_init(self.state, &self.state.readers, DISK_READERS)
        crew_init(self.state, &self.state.writers, DISK_WRITERS)
        cores = len(os.sched_getaffinity(0))
        crew_init(self.state, &self.state.checkers, min(max(cores // 2, 1), CREW_MOST))
        self.state.checkers.nice = CHECKERS_NICE

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
        pthread_cond_broadcast(&self.state.readers.work)
        pthread_cond_broadcast(&self.state.writers.work)
        pthread_cond_broadcast(&self.state.checkers.work)
        pthread_mutex_unlock(&self.state.lock)

    @property
    def alarm_fd(self) -> int:
        """An eventfd, readable after a log went offline or the disk became full. It lives as long
        as this object."""
        return self.state.alarm_fd

    @property
    def full(self) -> bool:
        """Whether appends have been refused for want of room, until `has_room_again`."""
        return load32(&self.state.room) != DISK_HAS_ROOM

    @property
    def refused(self) -> int:
        """How many batches were refused for want of room, ever."""
        return load64_relaxed(&self.state.refused)

    def refuse_appends(self, bint refuse):
        """Whether appends of clients are refused (KAFKA_STORAGE_ERROR), whatever the room."""
        store32_relaxed(&self.state.low, refuse)

    def has_room_again(self) -> bool:
        """Whether the last append after a full disk was taken. The next one that is refused rings
        the alarm again."""
        return cas32(&self.state.room, DISK_ROOM_AGAIN, DISK_HAS_ROOM) != 0

    @property
    def slow(self) -> bool:
        """Whether appends wait for the disk, so that its own thread makes them."""
        return disk_is_slow(self.state)

    @property
    def handed_over(self) -> int:
        """How many times that thread was given a log with appends, ever."""
        return load64_relaxed(&self.state.handed_over)

    @property
    def threads(self) -> int:
        """How many threads have been started, and not been joined."""
        return (self.state.readers.thread_count + self.state.writers.thread_count
                + self.state.checkers.thread_count)

    def close(self) -> bool:
        """Ends and joins the threads, after the work they were given. Idempotent. False: the disk
        holds one up for too long; it is left to the process's end."""
        if self.process_id != getpid():
            raise RuntimeError("the disk's threads belong to the parent of a forked process")
        with self.closing:
            self.end_threads()
            crews = (self.join(&self.state.writers), self.join(&self.state.readers),
                     self.join(&self.state.checkers))
            return all(crews)

    cdef bint join(self, DiskCrew *crew):
        cdef int joined
        cdef bint clean = True
        while crew.thread_count > 0:
            with nogil:
                joined = join_within(crew.threads[crew.thread_count - 1], JOIN_SECONDS)
            clean = clean and joined == 0
            crew.thread_count -= 1
        return clean
