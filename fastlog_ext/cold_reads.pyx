"""Reads that would wait for the disk, done beside the reactor.

A reactor reads from the page cache only. When something is missing there, the whole request goes to
a thread of the disk, which reads what the request wants and nothing comes of it but that it is
cached: index, batch headers and records. Back on its reactor the request is read again as any
other. So order, limits and answers are in one place, and a page that is evicted meanwhile costs
time, not correctness.

Whoever reads from the disk reads on in order, most likely: what follows is asked for in advance.
And what such a reader has left behind nobody else needs, most likely: it is dropped from the cache,
before the kernel makes room for it at the cost of what is read all the time. Only a reader that was
alone in the file does that.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.disk cimport DiskJob, DiskState, disk_submit
from fastlog_ext.fetch_request cimport fetch_set_nth
from fastlog_ext.files cimport cache_only_off, cache_only_on, is_cached
from fastlog_ext.log_state cimport LogRead, log_fail
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
    STEP = 65536                    # of one read; into the thread's stack
    READ_AHEAD = 4 * 1024 * 1024    # bytes behind what is wanted
    ASKED_AT_ONCE = 131072          # the kernel cuts off what is more
    LOOK_AHEAD = 262144             # bytes behind a short read that are looked at with it
    TAIL = 1024 * 1024              # what was written last is taken to be cached


cdef int cold_begin(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    if request.warmed or partition.log.disk == NULL:
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
        request.cold = 1
    return missing


cdef int cold_start(FetchRequest *request,
                    void (*cold_done)(FetchRequest *request) noexcept nogil) noexcept nogil:
    cdef FetchPartition *partition
    cdef DiskState *disk = NULL
    cdef int32_t number
    for number in range(request.set.partition_count):
        partition = &request.set.partitions[number]
        if partition.log == NULL:
            continue
        if not partition.retained:
            partition_log_retain(partition.log)
            partition.retained = 1
        if disk == NULL:
            disk = partition.log.disk
    request.job.run = read_all
    request.job.owner = request
    request.cached.owner = request
    request.cached.deliver = deliver_cached
    request.cold_done = cold_done
    request.cold_bytes = 0
    request.cold = 0
    request.warmed = 1
    if disk_submit(&disk.readers, &request.job) != 0:
        return 0
    count(&request.reactor.counters, COLD_READS, 1)
    return 1


cdef void deliver_cached(Mail *mail) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>mail.owner
    count(&request.reactor.counters, COLD_BYTES, request.cold_bytes)
    request.cold_done(request)


# --- on a thread of the disk ---

cdef void read_all(DiskJob *job) noexcept nogil:
    cdef FetchRequest *request = <FetchRequest *>job.owner
    cdef int64_t left = request.max_bytes
    cdef FetchPartition *partition
    cdef int32_t number
    for number in range(request.set.partition_count):
        partition = fetch_set_nth(&request.set, number)
        if partition.log != NULL and left > 0:
            left -= read_partition(request, partition, left)
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
    leave_behind(found.files, request.response.connection.id, found.position)
    bring_in(found.files, found.position, found.size + READ_AHEAD)
    request.cold_bytes += wait_for(partition, &found)
    segment_unpin(found.files)
    return found.size


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
