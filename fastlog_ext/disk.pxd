# One log folder as its logs see it: where they tell that its storage failed or is full, whether its
# writes block, and the threads that do in place of the reactors what takes long.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.system cimport (
    add64_relaxed, cas32, load32_relaxed, pthread_cond_t, pthread_mutex_t, pthread_t)

cdef enum:
    DISK_READERS = 4        # reads under way at once
    DISK_WRITERS = 1        # a second one would only stand in the same queue of the kernel
    CREW_MOST = 16

# Of a folder's appends, by what they took lately.
cdef enum:
    QUICK = 0
    WATCHED = 1             # one took long: perhaps for want of a processor, the next will tell
    SLOW = 2                # they wait for the disk

# Whether there is room for appends: of DiskState.room.
cdef enum:
    DISK_HAS_ROOM = 0
    DISK_FULL = 1           # one was refused; the control plane has been told
    DISK_ROOM_AGAIN = 2     # one was taken since; the control plane has not looked yet

# Work that takes long. Belongs to who submits it, until `run` has been called.
cdef struct DiskJob:
    DiskJob *next
    void (*run)(DiskJob *job) noexcept nogil
    void *owner

# Threads for one kind of work, which is begun in the order of submission.
cdef struct DiskCrew:
    DiskState *disk
    pthread_cond_t work
    DiskJob *first
    DiskJob *last
    int32_t most            # threads
    int32_t nice            # so much they give way to others
    int32_t idle            # of them wait for work, or have not heard of it yet
    int32_t queued          # jobs that no thread has taken
    int32_t thread_count
    pthread_t threads[CREW_MOST]

cdef struct DiskState:
    int32_t references      # the handle's, one for each log, and one for each thread
    int alarm_fd            # eventfd: written to when a log goes offline, or the disk is full
    int32_t pace            # relaxed: QUICK, WATCHED, or SLOW, and then who must not wait does not
    int32_t low             # relaxed: too little is free, clients' appends are refused
    int64_t pace_until_ms   # relaxed, by the wall clock: when it is QUICK again
    int64_t handed_over     # relaxed: appends' jobs that `writers` were given
    int32_t room            # atomic
    int64_t refused         # relaxed: batches for which there was no room
    pthread_mutex_t lock    # of what follows
    int32_t stopping
    DiskCrew readers
    DiskCrew writers
    DiskCrew checkers           # of records

cdef class Disk:
    cdef DiskState *state
    cdef int process_id
    cdef object closing
    cdef void end_threads(self) noexcept
    cdef bint join(self, DiskCrew *crew)

cdef void disk_retain(DiskState *disk) noexcept nogil
cdef void disk_release(DiskState *disk) noexcept nogil
cdef void disk_ring(DiskState *disk) noexcept nogil     # any thread
# Lets a thread of the crew do it. 0, or errno: there is no such thread, and nothing was taken.
cdef int disk_submit(DiskCrew *crew, DiskJob *job) noexcept nogil
cdef int disk_take_append(DiskState *disk, DiskJob *job) noexcept nogil     # the same, counted

# Batches were refused because the disk is full. Any thread; rings for the first of them.
cdef void disk_refused(DiskState *disk, int32_t batches) noexcept nogil

# An append was written.
cdef inline void disk_took(DiskState *disk) noexcept nogil:
    if load32_relaxed(&disk.room) == DISK_FULL:
        cas32(&disk.room, DISK_FULL, DISK_ROOM_AGAIN)

# Whether a client's append is refused, and counted, because too little is free.
cdef inline int disk_refuses(DiskState *disk) noexcept nogil:
    if disk == NULL or not load32_relaxed(&disk.low):
        return 0
    add64_relaxed(&disk.refused, 1)
    return 1

cdef inline int disk_is_slow(DiskState *disk) noexcept nogil:
    return disk != NULL and load32_relaxed(&disk.pace) == SLOW

# What disk_judge wants to know of the time before the append.
cdef int64_t disk_waits() noexcept nogil
cdef inline int64_t disk_watch(DiskState *disk) noexcept nogil:
    return disk_waits() if disk != NULL and load32_relaxed(&disk.pace) != QUICK else -1

# An append, by any thread, has taken so long; `at_ms`: when it ended, by the wall clock.
cdef void disk_judge(DiskState *disk, int64_t took_ms, int64_t at_ms,
                     int64_t waits_before) noexcept nogil
