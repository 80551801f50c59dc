"""A segment's files, their pins and the cap on open ones; see segment.pxd."""
from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport strdup, strlen
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.files cimport cache_only_refuses, disk_is_full, open_file, truncate_to
from fastlog_ext.index cimport (
    OFFSET_ENTRY, TIME_ENTRY, index_append, index_count, index_destroy, index_flush,
    index_get, index_has_unwritten, index_init, index_needs_flush, index_truncate)
from fastlog_ext.reclaim cimport reclaim_defer
from fastlog_ext.system cimport (
    EAGAIN, EMFILE, ENFILE, ENOENT, ENOMEM, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, add32, add64, cas32,
    cas64, close, exchange_ptr, fence_seq, last_errno, load32, load32_relaxed, load64, load_ptr,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
    pthread_mutex_unlock, snprintf, store32, store32_relaxed, store64_seq, store_ptr, unlink)

cdef enum:
    PATH_LIMIT = 4200
    EVICT_AT_ONCE = 8

cdef int64_t live_segments = 0
cdef int64_t live_files = 0
cdef pthread_mutex_t ring_lock      # never held across a system call
cdef Segment *ring = NULL           # the hand of the clock: the next candidate for closing
cdef int64_t ring_count = 0
cdef int64_t ring_limit = 10000
pthread_mutex_init(&ring_lock, NULL)


# --- open files and their pins ---

cdef SegmentFiles *new_files(int log_fd, int32_t references) noexcept nogil:
    cdef SegmentFiles *files = <SegmentFiles *>calloc(1, sizeof(SegmentFiles))
    if files == NULL:
        close(log_fd)
        return NULL
    files.references = references
    files.log_fd = log_fd
    files.index_fd = -1
    files.time_fd = -1
    files.cold_from = -1
    add64(&live_files, 1)
    return files


cdef void free_files(void *memory) noexcept nogil:
    add64(&live_files, -1)
    free(memory)


cdef void segment_unpin(SegmentFiles *files) noexcept nogil:
    if add32(&files.references, -1) > 0:
        return
    close(files.log_fd)
    if files.index_fd >= 0:
        close(files.index_fd)
    if files.time_fd >= 0:
        close(files.time_fd)
    reclaim_defer(files, free_files)    # a reader may be looking at `references` still


cdef SegmentFiles *pin_open(Segment *segment) noexcept nogil:
    cdef SegmentFiles *files = <SegmentFiles *>load_ptr(<void **>&segment.files)
    cdef int32_t references
    if files == NULL:
        return NULL
    references = load32(&files.references)
    while references > 0:
        if cas32(&files.references, references, references + 1):
            if not load32_relaxed(&segment.recently_used):
                store32_relaxed(&segment.recently_used, 1)
            return files
        references = load32(&files.references)
    return NULL


cdef SegmentFiles *segment_pin(Segment *segment, int *error) noexcept nogil:
    cdef SegmentFiles *files = pin_open(segment)
    cdef int fd
    if files != NULL:
        return files
    if load32(&segment.retired):
        error[0] = ENOENT
        return NULL
    if cache_only_refuses():
        error[0] = EAGAIN
        return NULL
    fd = open_or_evict(segment.path, b".log", O_RDONLY)
    if fd < 0:
        error[0] = -fd
        return NULL
    files = new_files(fd, 2)
    if files == NULL:
        error[0] = ENOMEM
        return NULL
    return publish_files(segment, files, error)


# --- the ring of open sealed segments: a clock, which approximates least recently used ---

cdef void ring_add(Segment *segment) noexcept nogil:
    """Behind the hand, so that it is looked at last. With the lock held."""
    global ring, ring_count
    if ring == NULL:
        ring = segment
        segment.ring_next = segment
        segment.ring_previous = segment
    else:
        segment.ring_next = ring
        segment.ring_previous = ring.ring_previous
        segment.ring_previous.ring_next = segment
        ring.ring_previous = segment
    segment.in_ring = 1
    ring_count += 1


cdef void ring_remove(Segment *segment) noexcept nogil:
    global ring, ring_count
    if not segment.in_ring:
        return
    segment.in_ring = 0
    ring_count -= 1
    if segment.ring_next == segment:
        ring = NULL
        return
    if ring == segment:
        ring = segment.ring_next
    segment.ring_next.ring_previous = segment.ring_previous
    segment.ring_previous.ring_next = segment.ring_next


cdef int evict(SegmentFiles **victims, int64_t limit) noexcept nogil:
    """Takes the files of the least recently used ones while more than `limit` are open. With the
    lock held."""
    global ring
    cdef int count = 0
    cdef Segment *segment
    while ring_count > limit and count < EVICT_AT_ONCE:
        segment = ring
        if load32_relaxed(&segment.recently_used):
            store32_relaxed(&segment.recently_used, 0)
            ring = segment.ring_next
            continue
        ring_remove(segment)
        victims[count] = <SegmentFiles *>exchange_ptr(<void **>&segment.files, NULL)
        count += 1
    return count


cdef SegmentFiles *publish_files(Segment *segment, SegmentFiles *opened, int *error) noexcept nogil:
    """`opened` holds two references: the segment's and the caller's."""
    cdef SegmentFiles *victims[EVICT_AT_ONCE]
    cdef SegmentFiles *files = opened
    cdef int count = 0
    pthread_mutex_lock(&ring_lock)
    if segment.retired:
        files = NULL
    elif segment.files != NULL:             # another thread was faster
        files = segment.files
        add32(&files.references, 1)         # alive: the segment's own is dropped under this lock
    else:
        ring_add(segment)
        store_ptr(<void **>&segment.files, opened)
        count = evict(victims, ring_limit)
    pthread_mutex_unlock(&ring_lock)
    while count > 0:
        count -= 1
        segment_unpin(victims[count])
    if files != opened:
        segment_unpin(opened)
        segment_unpin(opened)
        if files == NULL:
            error[0] = ENOENT
    return files


cdef int open_or_evict(const char *prefix, const char *suffix, int flags) noexcept nogil:
    """As open_file; when the process has no descriptor left, closes sealed segments first."""
    cdef SegmentFiles *victims[EVICT_AT_ONCE]
    cdef int count
    cdef int fd = open_file(prefix, suffix, flags)
    while fd == -EMFILE or fd == -ENFILE:
        pthread_mutex_lock(&ring_lock)
        count = evict(victims, max(ring_count - EVICT_AT_ONCE, <int64_t>0))
        pthread_mutex_unlock(&ring_lock)
        if count == 0:
            break
        for number in range(count):
            segment_unpin(victims[number])
        fd = open_file(prefix, suffix, flags)
    return fd


cdef void segment_set_open_limit(int64_t limit) noexcept nogil:
    global ring_limit
    cdef SegmentFiles *victims[EVICT_AT_ONCE]
    cdef int count = EVICT_AT_ONCE
    while count == EVICT_AT_ONCE:
        pthread_mutex_lock(&ring_lock)
        ring_limit = max(limit, <int64_t>0)
        count = evict(victims, ring_limit)
        pthread_mutex_unlock(&ring_lock)
        for number in range(count):
            segment_unpin(victims[number])


cdef int64_t segment_open_count() noexcept nogil:
    return ring_count


cdef int64_t segment_live_count() noexcept nogil:
    return load64(&live_segments)


cdef int64_t segment_files_live_count() noexcept nogil:
    return load64(&live_files)


# --- making, sealing, retiring ---

cdef void free_segment(void *memory) noexcept nogil:
    cdef Segment *segment = <Segment *>memory
    index_destroy(&segment.offsets)
    index_destroy(&segment.times)
    pthread_mutex_destroy(&segment.check_lock)
    free(segment.path)
    free(segment)
    add64(&live_segments, -1)


cdef Segment *segment_load(const char *folder, int64_t base_offset, int64_t log_size,
                           int64_t offset_entries, int64_t time_entries, int *error) noexcept nogil:
    cdef char path[PATH_LIMIT]
    cdef Segment *segment = <Segment *>calloc(1, sizeof(Segment))
    if segment == NULL:
        error[0] = ENOMEM
        return NULL
    add64(&live_segments, 1)
    snprintf(path, PATH_LIMIT, b"%s/%020lld", folder, <long long>base_offset)
    segment.path = strdup(path)
    segment.base_offset = base_offset
    segment.size = log_size
    segment.max_timestamp = UNKNOWN_TIMESTAMP
    segment.max_timestamp_offset = -1
    segment.last_indexed_timestamp = -1
    segment.rolling_timestamp = -1
    segment.unchecked = log_size
    pthread_mutex_init(&segment.check_lock, NULL)
    segment.bad_position = -1
    segment.sealed = 1
    if (index_init(&segment.offsets, OFFSET_ENTRY, offset_entries) != 0
            or index_init(&segment.times, TIME_ENTRY, time_entries) != 0 or segment.path == NULL):
        error[0] = ENOMEM
        free_segment(segment)
        return NULL
    return segment


cdef int segment_create_file(Segment *segment, const char *suffix) noexcept nogil:
    cdef char path[PATH_LIMIT]
    snprintf(path, PATH_LIMIT, b"%s%s", segment.path, suffix)
    unlink(path)                    # never truncated: a pin may hold the file that was there
    return open_or_evict(segment.path, suffix, O_RDWR | O_CREAT | O_EXCL)


cdef void unlink_indexes(Segment *segment) noexcept nogil:
    cdef char path[PATH_LIMIT]
    snprintf(path, PATH_LIMIT, b"%s.index", segment.path)
    unlink(path)
    snprintf(path, PATH_LIMIT, b"%s.timeindex", segment.path)
    unlink(path)


cdef Segment *segment_create(const char *folder, int64_t base_offset, int64_t now_ms,
                             int *error) noexcept nogil:
    cdef int fd
    cdef Segment *segment = segment_load(folder, base_offset, 0, 0, 0, error)
    if segment == NULL:
        return NULL
    segment.max_timestamp = -1
    segment.created_ms = now_ms
    segment.sealed = 0
    fd = segment_create_file(segment, b".index")
    if fd >= 0:
        close(fd)
        fd = segment_create_file(segment, b".timeindex")
    if fd >= 0:
        close(fd)
        fd = segment_create_file(segment, b".log")
    if fd < 0:
        error[0] = -fd
        unlink_indexes(segment)         # without their log they would be nobody's
        free_segment(segment)
        return NULL
    segment.files = new_files(fd, 1)
    if segment.files == NULL:
        error[0] = ENOMEM
        free_segment(segment)
        return NULL
    return segment


cdef int segment_activate(Segment *segment) noexcept nogil:
    cdef SegmentFiles *files
    cdef SegmentFiles *old
    cdef int fd = open_or_evict(segment.path, b".log", O_RDWR)
    if fd < 0:
        return -fd
    files = new_files(fd, 1)
    if files == NULL:
        return ENOMEM
    pthread_mutex_lock(&ring_lock)
    ring_remove(segment)
    segment.sealed = 0
    old = <SegmentFiles *>exchange_ptr(<void **>&segment.files, files)
    pthread_mutex_unlock(&ring_lock)
    if old != NULL:
        segment_unpin(old)
    return 0


cdef inline int32_t *index_slot(SegmentFiles *files, int which) noexcept nogil:
    return &files.time_fd if which else &files.index_fd


cdef int segment_borrow_index(Segment *segment, SegmentFiles *files, int which) noexcept nogil:
    cdef int fd = load32(index_slot(files, which))
    if fd >= 0:
        return fd
    return open_or_evict(segment.path, b".timeindex" if which else b".index", O_RDWR)


cdef void segment_return_index(SegmentFiles *files, int which, int fd) noexcept nogil:
    if fd != load32(index_slot(files, which)):
        close(fd)


cdef int write_index(Segment *segment, int which) noexcept nogil:
    cdef int fd = segment_borrow_index(segment, segment.files, which)
    cdef int error
    if fd < 0:
        return -fd
    error = index_flush(&segment.times if which else &segment.offsets, fd)
    segment_return_index(segment.files, which, fd)
    return error


cdef int segment_flush_indexes(Segment *segment) noexcept nogil:
    cdef int error = 0
    if index_has_unwritten(&segment.offsets):
        error = write_index(segment, 0)
    if not error and index_has_unwritten(&segment.times):
        error = write_index(segment, 1)
    return error


cdef void segment_close_indexes(Segment *segment) noexcept nogil:
    cdef int32_t *slot
    cdef int which
    for which in range(2):
        slot = index_slot(segment.files, which)
        if slot[0] >= 0:
            close(slot[0])
            slot[0] = -1


cdef int segment_finish(Segment *segment) noexcept nogil:
    cdef int error = segment_note_max_timestamp(segment)
    if not error:
        error = segment_flush_indexes(segment)
    if not error and segment.allocated > segment.size:
        error = truncate_to(segment.files.log_fd, segment.size)
        segment.allocated = 0
    return error


cdef void segment_seal(Segment *segment) noexcept nogil:
    cdef SegmentFiles *victims[EVICT_AT_ONCE]
    cdef int count
    pthread_mutex_lock(&ring_lock)
    segment.sealed = 1
    if segment.files != NULL:
        ring_add(segment)
    count = evict(victims, ring_limit)
    pthread_mutex_unlock(&ring_lock)
    while count > 0:
        count -= 1
        segment_unpin(victims[count])


cdef void segment_retire(Segment *segment) noexcept nogil:
    cdef SegmentFiles *files
    pthread_mutex_lock(&ring_lock)
    store32(&segment.retired, 1)
    ring_remove(segment)
    files = <SegmentFiles *>exchange_ptr(<void **>&segment.files, NULL)
    pthread_mutex_unlock(&ring_lock)
    if files != NULL:
        segment_unpin(files)
    reclaim_defer(segment, free_segment)


# --- indexes ---

cdef int segment_index_fd(Segment *segment, SegmentFiles *files, int which) noexcept nogil:
    cdef int32_t *slot = index_slot(files, which)
    cdef int fd = load32(slot)
    if fd >= 0:
        return fd
    if cache_only_refuses():
        return -EAGAIN
    # Readers and the writer share it, and a sealed segment's last entries may be written by either
    # role.
    fd = open_or_evict(segment.path, b".timeindex" if which else b".index", O_RDWR)
    if fd < 0 or cas32(slot, -1, fd):
        return fd
    close(fd)
    return load32(slot)


cdef int append_entry(Segment *segment, int which, int64_t key, int32_t value,
                      int flush) noexcept nogil:
    cdef Index *index = &segment.times if which else &segment.offsets
    cdef int error
    if flush and index_needs_flush(index):
        error = write_index(segment, which)
        if error:
            return error
    return index_append(index, key, value)


cdef int segment_note_max_timestamp(Segment *segment) noexcept nogil:
    return note_max_timestamp(segment, 1)


cdef int note_max_timestamp(Segment *segment, int flush) noexcept nogil:
    cdef int error
    cdef int64_t relative = segment.max_timestamp_offset - segment.base_offset
    if (segment.max_timestamp <= segment.last_indexed_timestamp
            or relative < 0 or relative > INT32_MAX):
        return 0
    error = append_entry(segment, 1, segment.max_timestamp, <int32_t>relative, flush)
    if not error:
        segment.last_indexed_timestamp = segment.max_timestamp
    return error


cdef void segment_set_max_timestamp(Segment *segment, int64_t timestamp,
                                    int64_t offset) noexcept nogil:
    cdef int64_t before = load64(&segment.max_timestamp)
    # Another who changes it is a reader between two stores; see segment_max_timestamp.
    while before == CHANGING_TIMESTAMP or not cas64(&segment.max_timestamp, before,
                                                    CHANGING_TIMESTAMP):
        before = load64(&segment.max_timestamp)
    store64_seq(&segment.max_timestamp_offset, offset)
    store64_seq(&segment.max_timestamp, timestamp)


cdef int segment_note_batch(Segment *segment, const BatchInfo *info, int64_t position,
                            int64_t index_interval, int flush) noexcept nogil:
    cdef int64_t last_offset = info.base_offset + info.last_offset_delta
    cdef int error = 0
    if position == 0:
        segment.rolling_timestamp = info.max_timestamp
    if info.max_timestamp > segment.max_timestamp:
        segment_set_max_timestamp(segment, info.max_timestamp, last_offset)
    if segment.bytes_since_index > index_interval:
        error = append_entry(segment, 0, last_offset - segment.base_offset, <int32_t>position,
                             flush)
        if not error:
            error = note_max_timestamp(segment, flush)
        if disk_is_full(error):
            error = 0                   # the indexes are sparse: the next batch tries again
        else:
            segment.bytes_since_index = 0
    segment.bytes_since_index += info.size
    return error


cdef int segment_max_timestamp(Segment *segment, int64_t *timestamp,
                               int64_t *offset) noexcept nogil:
    cdef SegmentFiles *files
    cdef int64_t again
    cdef int32_t relative = 0
    cdef int fd, error = 0
    while True:
        timestamp[0] = load64(&segment.max_timestamp)
        offset[0] = load64(&segment.max_timestamp_offset)
        fence_seq()
        again = load64(&segment.max_timestamp)
        if timestamp[0] == again and again != CHANGING_TIMESTAMP:
            break
    if timestamp[0] != UNKNOWN_TIMESTAMP:
        return 0
    timestamp[0] = -1                   # sealed: the time index ends with its greatest timestamp
    if index_count(&segment.times) > 0:
        files = segment_pin(segment, &error)
        if files == NULL:
            return error
        fd = segment_index_fd(segment, files, 1)
        if fd < 0:
            error = -fd
        elif index_get(&segment.times, fd, index_count(&segment.times) - 1, timestamp,
                       &relative) != 1:
            error = last_errno()
        segment_unpin(files)
        if error:
            return error
        offset[0] = segment.base_offset + relative
    # Kept unless it is known meanwhile: a truncation may have changed it since the index was read.
    if cas64(&segment.max_timestamp, UNKNOWN_TIMESTAMP, CHANGING_TIMESTAMP):
        store64_seq(&segment.max_timestamp_offset, offset[0])
        store64_seq(&segment.max_timestamp, timestamp[0])
    return 0


cdef int segment_empty_indexes(Segment *segment) noexcept nogil:
    cdef SegmentFiles *files
    cdef int which, fd, error = 0
    files = segment_pin(segment, &error)
    if files == NULL:
        return error
    for which in range(2):
        fd = open_file(segment.path, b".timeindex" if which else b".index", O_RDWR | O_CREAT)
        if fd >= 0:
            close(fd)
            fd = segment_index_fd(segment, files, which)
        error = -fd if fd < 0 else truncate_to(fd, 0)
        if not error:
            error = index_truncate(&segment.times if which else &segment.offsets, fd, 0)
        if error:
            break
    segment_unpin(files)
    segment_set_max_timestamp(segment, -1, -1)
    segment.last_indexed_timestamp = -1
    segment.bytes_since_index = 0
    return error
