"""Reads that would wait for the disk, done beside the reactor.

A reactor reads from the page cache only, and opens no file. When something is missing, the request
goes to a thread of its disk, which reads what the request wants and nothing comes of it but that it
is cached: index, batch headers and records; and a place to begin at, which takes a long scan where
an index has few entries. Where several log folders are concerned it goes from one to the next, so
that each disk has only its own threads wait for it. Back on its reactor the request is read again
as any other. So order, limits and answers are in one place, and a page that is evicted meanwhile
costs time, not correctness.

Once it has been read it is answered with what is there. Only where nothing is, time after time
(a file system that keeps no cache), the reactor reads as it is, from a disk that has just answered.

Whoever reads from the disk reads on in order, most likely: what follows is asked for in advance.
And what such a reader has left behind nobody else needs, most likely: it is dropped from the cache,
before the kernel makes room for it at the cost of what is read all the time. Only a reader that was
alone in the file does that.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.disk cimport DiskJob, disk_submit
from fastlog_ext.fetch_request cimport fetch_set_nth
from fastlog_ext.files cimport cache_only_off, cache_only_on, is_cached
from fastlog_ext.log_state cimport LogRead, ReadHint, log_fail
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.partition_log cimport (
    READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, partition_log_read, partition_log_retain)
from fastlog_ext.reclaim cimport ReclaimSlot, reclaim_register, reclaim_unregister
from fastlog_ext.segment cimport SegmentFiles, segment_unpin
from fastlog_ext.stats cimport COLD_BYTES, COLD_READS, count
from fastlog_ext.system cimport (
    EINTR, POSIX_FADV_DONTNEED, POSIX_FADV_WILLNEED, last_errno, load64_relaxed, posix_fadvise,
    pread, sched_yield, ssize_t, store64_relaxed)

cdef enum:
    ROUNDS = 2                      # by the disk, before a reactor reads as it is
    STEP = 65536                    # of one read; into the thread's stack
    READ_AHEAD = 4 * 1024 * 1024    # bytes behind what is wanted
    ASKED_AT_ONCE = 131072          # the kernel cuts off what is more
    LOOK_AHEAD = 262144             # bytes behind a short read that are looked at with it
    TAIL = 1024 * 1024              # what was written last is taken to be cached


cdef int cold_begin(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    partition.cold = 0
    if request.warmed >= ROUNDS or partition.log.disk == NULL:
        return 0
    cache_only_on()
    return 1


cdef int is_tail(FetchPartition *partition, int64_t limit) noexcept nogil:
    """Whether this process wrote it, just now: needs no look at the cache."""
    cdef int64_t behind = partition.read.available
    return (behind <= TAIL and behind < limit
            and behind <= load64_relaxed(&partition.log.bytes_in))


cdef void note_reader(SegmentFiles *files, int64_t reader) noexcept nogil:
    if load64_relaxed(&files.reader) != reader:
        store64_relaxed(&files.reader, reader)
        store64_relaxed(&files.cold_from, -1)


cdef int range_is_cached(const LogRead *read) noexcept nogil:
    """A look at the cache costs as much as a tenth of a short read: one look does for several."""
    cdef SegmentFiles *files = read.files
    cdef int64_t end = read.position + read.size
    if (load64_relaxed(&files.cached_from) <= read.position
            and end <= load64_relaxed(&files.cached_to)):
        return 1
    if not is_cached(read.log_fd, read.position, read.size):
        return 0
    if read.size < LOOK_AHEAD and is_cached(read.log_fd, end, LOOK_AHEAD):
        end += LOOK_AHEAD
    store64_relaxed(&files.cached_from, read.position)
    store64_relaxed(&files.cached_to, end)
    return 1


cdef int cold_end(FetchRequest *request, FetchPartition *partition,
                  int64_t limit) noexcept nogil:
    cdef LogRead *read = &partition.read
    cdef int missing = cache_only_off()
    if not missing and read.size > 0 and not is_tail(partition, limit):
        note_reader(read.files, request.response.connection.id)
        missing = not range_is_cached(read)
    if missing:
        if read.size > 0:
            segment_unpin(read.files)
            read.size = 0
        partition.cold = 1
        request.cold |= limit > 0       # else it would not be answered anyway
    return missing


cdef const ReadHint *cold_place(FetchPartition *partition, ReadHint *place) noexcept nogil:
    if not partition.placed:
        return NULL
    partition.placed = 0
    place[0] = partition.read.next      # where it stands is where the next read goes
    return place


cdef int hand_on(FetchRequest *request) noexcept nogil:
    """To a thread of the first disk that something cold lies on. 0: there is none."""
    cdef FetchPartition *partition
    cdef int32_t place
    for place in range(request.set.partition_count):
        partition = fetch_set_nth(&request.set, place)
        if partition.log != NULL and partition.cold:
            request.cold_disk = partition.log.disk      # first: the job may be done at once
            if disk_submit(&partition.log.disk.readers, &request.job) == 0:
                return 1
    return 0


cdef int cold_start(FetchRequest *request,
                    void (*cold_done)(FetchRequest *request) noexcept nogil) noexcept nogil:
    cdef FetchPartition *partition
    cdef int32_t number
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        partition.placed = 0
        if partition.log != NULL and not partition.retained:
            partition_log_retain(partition.log)
            partition.retained = 1
    request.job.run = read_disk
    request.job.owner = request
    request.cached.owner = request
    request.cached.deliver = deliver_cached
    request.cold_done = cold_done
    request.cold_bytes = 0
    request.warmed += 1
    if not hand_on(request):
        request.warmed -= 1
        return 0
    count(&request.reactor.counters, COLD_READS, 1)
    return 1


cdef void deliver_cached(Mail *mail) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>mail.owner
    count(&request.reactor.counters, COLD_BYTES, request.cold_bytes)
    request.cold_done(request)


# --- on a thread of the disk ---

cdef void read_disk(DiskJob *job) noexcept nogil:
    """What lies on this disk; then the next one's turn, if there is one."""
    cdef FetchRequest *request = <FetchRequest *>job.owner
    cdef int64_t left = request.max_bytes
    cdef FetchPartition *partition
    cdef int32_t place
    for place in range(request.set.partition_count):
        partition = fetch_set_nth(&request.set, place)
        if partition.log != NULL and partition.cold and partition.log.disk == request.cold_disk:
            partition.cold = 0
            if left > 0:
                left -= read_partition(request, partition, left)
    if not hand_on(request):
        mailbox_post(&request.reactor.mailbox, &request.cached)


cdef int64_t read_partition(FetchRequest *request, FetchPartition *partition,
                            int64_t left) noexcept nogil:
    """Returns how many bytes of records it found."""
    cdef ReclaimSlot *slot = reclaim_register()
    cdef LogRead found
    while slot == NULL:
        sched_yield()
        slot = reclaim_register()
    partition_log_read(
        partition.log, partition.offset, min(<int64_t>partition.max_bytes, left), 1,
        READ_TO_LAST_STABLE if request.read_committed else READ_TO_HIGH_WATERMARK, NULL, &found)
    reclaim_unregister(slot)            # what was found is pinned
    if found.size == 0:
        return 0
    note_place(partition, &found)
    leave_behind(found.files, request.response.connection.id, found.position)
    bring_in(found.files, found.position, found.size + READ_AHEAD)
    request.cold_bytes += wait_for(partition, &found)
    segment_unpin(found.files)
    return found.size


cdef void note_place(FetchPartition *partition, const LogRead *found) noexcept nogil:
    partition.read.next = found.next
    partition.read.next.valid = 1
    partition.read.next.offset = partition.offset
    partition.read.next.segment_base = found.segment_base
    partition.read.next.position = found.position
    partition.read.next.size = 0
    partition.placed = 1


cdef void bring_in(SegmentFiles *files, int64_t position, int64_t size) noexcept nogil:
    """Lets the kernel read it; what lies behind the end of the file is nothing to it."""
    cdef int64_t end = position + size
    store64_relaxed(&files.cold_from, position)
    store64_relaxed(&files.cold_to, end)
    while position < end:
        posix_fadvise(files.log_fd, position, min(<int64_t>ASKED_AT_ONCE, end - position),
                      POSIX_FADV_WILLNEED)
        position += ASKED_AT_ONCE


cdef void leave_behind(SegmentFiles *files, int64_t reader, int64_t position) noexcept nogil:
    """Drops what this reader brought in before `position`, if it was alone; what it found cached is
    kept for those who read it before."""
    cdef int64_t start = load64_relaxed(&files.cold_from)
    cdef int64_t end = min(load64_relaxed(&files.cold_to), position)
    note_reader(files, reader)
    if start >= 0 and load64_relaxed(&files.cold_from) == start and start < end:
        posix_fadvise(files.log_fd, start, end - start, POSIX_FADV_DONTNEED)


cdef int64_t wait_for(FetchPartition *partition, const LogRead *found) noexcept nogil:
    """Reads it all. A failure takes the log offline, and is then told by the log."""
    cdef uint8_t ignored[STEP]
    cdef int64_t done = 0
    cdef ssize_t got
    while done < found.size:
        got = pread(found.log_fd, ignored, min(<int64_t>STEP, found.size - done),
                    found.position + done)
        if got < 0 and last_errno() == EINTR:
            continue
        if got < 0:
            log_fail(partition.log, last_errno())
        if got <= 0:
            break
        done += got
    return done
