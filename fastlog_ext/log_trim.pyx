"""Truncation, deletion below the log start, roll, flush and close.

Order of a truncation: the shorter log is published first, then the generation changes, then pins
are looked at, then files change. A reader pins first and compares the generation afterwards; so
either it sees the change and looks again, or the truncation sees its pin and leaves those bytes
alone.

Those that rename files exclude each other (Log.folder_lock), beyond the time they have the role.
"""
import errno
import os

from libc.stdint cimport INT64_MAX, int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.files cimport disk_is_full, sync_file, sync_folder
from fastlog_ext.index cimport index_has_unwritten
from fastlog_ext.leader_epochs cimport (
    leader_epochs_clear, leader_epochs_truncate_from_end, leader_epochs_truncate_from_start,
    leader_epochs_write)
from fastlog_ext.log_append cimport log_acquire, log_release
from fastlog_ext.log_publish cimport log_publish_offsets, log_wake
from fastlog_ext.log_read cimport segment_locate
from fastlog_ext.log_roll cimport log_jitter, log_roll
from fastlog_ext.log_state cimport (
    LOG_CLOSED, LOG_OFFLINE, LOG_ONLINE, SegmentList, log_active, log_fail, log_new_generation,
    log_replace_segments, segments_floor)
from fastlog_ext.producer_state cimport producer_clear, producer_write_snapshot
from fastlog_ext.recovery cimport check, rebuild_producers
from fastlog_ext.recovery import snapshots
from fastlog_ext.replay cimport replay_tail
from fastlog_ext.segment cimport (
    Segment, SegmentFiles, segment_borrow_index, segment_create, segment_finish,
    segment_flush_indexes, segment_note_max_timestamp, segment_pin, segment_retire,
    segment_return_index, segment_unpin)
from fastlog_ext.segment_check cimport check_forget
from fastlog_ext.segment_cut cimport segment_cut
from fastlog_ext.system cimport (
    ENOMEM, load32, load64, store32_seq, store64, wall_clock_ms)
from fastlog_ext.waiters cimport waiters_close, waiters_wake

KINDS = ("log", "index", "timeindex", "txnindex", "snapshot")


cdef int ensure_usable(PartitionLog *log, str folder) except -1:
    if log.state == LOG_CLOSED:
        raise ValueError(f"the log in {folder} is closed")
    if log.state != LOG_ONLINE:
        check(log.storage_errno, folder)
    return 0


cdef int check_storage(PartitionLog *log, int error, str path) except -1:
    """As `check`, for a failure that leaves the log's files unknown: no more appends."""
    if error > 0:
        log_fail(log, error)
    return check(error, path)


def set_aside(folder: str, bases: list, delay_ms: int) -> list:
    """Renames the files of segments to *.deleted, or removes them when nobody wants to wait."""
    aside = []
    for base in bases:
        for kind in KINDS:
            path = f"{folder}/{base:020d}.{kind}"
            try:
                if delay_ms == 0 or not put_aside(path):
                    os.unlink(path)
                else:
                    aside.append(f"{path}.deleted")
            except FileNotFoundError:
                continue
    return aside


def put_aside(path: str) -> bool:
    """False: on a full disk there may be no room for another name. OSError."""
    try:
        os.rename(path, f"{path}.deleted")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True


cdef list retire(PartitionLog *log, str folder, SegmentList *old, int32_t first, int32_t end):
    """Segments that left the list already. `old` is ours until the end of this call: the caller is
    registered."""
    cdef int32_t number
    cdef list bases = []
    for number in range(first, end):
        bases.append(old.segments[number].base_offset)
        segment_retire(old.segments[number])
    log.folder_changed = 1
    return bases


# --- truncation ---

cdef SegmentList *copy_segments(PartitionLog *log) noexcept nogil:
    """NULL: out of memory."""
    cdef SegmentList *old = log.segments
    cdef size_t size = sizeof(SegmentList) + old.count * sizeof(Segment *)
    cdef SegmentList *copy = <SegmentList *>calloc(1, size)
    cdef int32_t number
    if copy == NULL:
        return NULL
    copy.count = old.count
    for number in range(old.count):
        copy.segments[number] = old.segments[number]
    return copy


cdef SegmentList *copy_list(PartitionLog *log) except NULL:
    cdef SegmentList *copy = copy_segments(log)
    if copy == NULL:
        raise MemoryError
    return copy


cdef int64_t cut_position(Segment *segment, int64_t offset) noexcept nogil:
    """Where the batch that holds `offset` starts; the whole batch goes. -1: cannot be read."""
    cdef BatchInfo info
    cdef int64_t position = 0
    cdef int error = 0, found
    cdef SegmentFiles *files = segment_pin(segment, &error)
    if files == NULL:
        return -1
    found = segment_locate(segment, files, offset, segment.size, &position, &info)
    segment_unpin(files)
    if found < 0:
        return -1
    return position if found == 1 else segment.size


cdef list cut(PartitionLog *log, str folder, int64_t offset):
    cdef int32_t number = segments_floor(log.segments, offset)
    cdef Segment *segment = log.segments.segments[number]
    cdef SegmentList *old
    cdef int64_t position
    cdef int error
    with nogil:
        position = cut_position(segment, offset)
    if position < 0:
        raise OSError(5, "the segment cannot be read", folder)
    old = copy_list(log)
    try:
        rebuild(log, folder, offset)
        with nogil:
            log.end_offset = offset
            store64(&log.recovery_point, min(log.recovery_point, offset))
            store64(&segment.size, position)
            error = log_replace_segments(log, 0, number + 1, NULL)
            if not error:
                error = leader_epochs_truncate_from_end(&log.epochs, offset)
            log_publish_offsets(log)
            log_new_generation(log)
        check_storage(log, error, folder)
        bases = retire(log, folder, old, number + 1, old.count)
        # Before the cut, the newest first: what stops us between leaves a log that is too long, not
        # one with a hole.
        aside = set_aside_or_fail(log, folder, bases[::-1])
        with nogil:
            error = segment_cut(segment, position, offset)
            log.files_changed = 1
            check_forget(segment, position)
        check_storage(log, error, folder)
        if position == 0:
            segment.created_ms = wall_clock_ms()
            segment.rolling_timestamp = -1
        check_storage(log, rescan(segment), folder)
    finally:
        free(old)
    return aside


cdef list set_aside_or_fail(PartitionLog *log, str folder, list bases):
    try:
        return set_aside(folder, bases, log.settings.file_delete_delay_ms)
    except BaseException as failure:
        log_fail(log, getattr(failure, "errno", None) or 5)
        raise


cdef int rebuild(PartitionLog *log, str folder, int64_t offset) except -1:
    """Half of a producer state would take a duplicate for a new batch: then nothing more is
    taken."""
    try:
        return rebuild_producers(log, folder, snapshots(folder), offset)
    except BaseException as failure:
        log_fail(log, getattr(failure, "errno", None) or 5)
        raise


cdef int rescan(Segment *segment) noexcept nogil:
    """The greatest timestamp and the place in the index interval, of what is left."""
    cdef int64_t next_offset = segment.base_offset
    cdef int error = replay_tail(segment, &next_offset)
    return 5 if error < 0 else error


cdef list truncate(PartitionLog *log, str folder, int64_t offset):
    with nogil:
        log_acquire(log)
    try:
        ensure_usable(log, folder)
        if offset >= log.end_offset:
            return []
        if offset < log.segments.segments[0].base_offset:
            return restart(log, folder, offset)
        if offset < log.log_start_offset:
            log.log_start_offset = offset
        return cut(log, folder, offset)
    finally:
        with nogil:
            log_release(log)


cdef list restart(PartitionLog *log, str folder, int64_t new_start):
    """An empty log that starts there."""
    cdef SegmentList *old = copy_list(log)
    cdef Segment *segment
    cdef int error = 0
    try:
        bases = [old.segments[number].base_offset for number in range(old.count)]
        # Aside before the new files are made if they have the same names, else when nobody opens
        # them any more.
        clashing = [base for base in bases if base == new_start]
        aside = set_aside(folder, clashing, log.settings.file_delete_delay_ms)
        for offset in snapshots(folder):
            os.unlink(f"{folder}/{offset:020d}.snapshot")
        segment = segment_create(log.folder, new_start, wall_clock_ms(), &error)
        if segment == NULL:
            check_storage(log, error, folder)
        segment.jitter_ms = log_jitter(log)
        with nogil:
            error = log_replace_segments(log, 0, 0, segment)
            if not error:
                producer_clear(&log.producers)
                log.producers.last_snapshot_offset = 0
                log.producers.last_map_offset = new_start
                log.end_offset = new_start
                log.log_start_offset = new_start
                store64(&log.recovery_point, new_start)
                error = leader_epochs_clear(&log.epochs)
                log_publish_offsets(log)
                log_new_generation(log)
        check_storage(log, error, folder)
        retire(log, folder, old, 0, old.count)
        others = [base for base in bases if base != new_start]
        return aside + set_aside(folder, others, log.settings.file_delete_delay_ms)
    finally:
        free(old)


cdef list truncate_fully(PartitionLog *log, str folder, int64_t new_start):
    with nogil:
        log_acquire(log)
    try:
        ensure_usable(log, folder)
        return restart(log, folder, new_start)
    finally:
        with nogil:
            log_release(log)


# --- deletion below the log start ---

cdef int drop_below(PartitionLog *log, int64_t offset, int with_active,
                    SegmentList **gone) noexcept nogil:
    """Moves the start, and takes the segments that end at or below it off the list: `gone`, or
    NULL, is the caller's. With the writer's role, which is needed for nothing else: 0 or errno."""
    cdef SegmentList *old = NULL
    cdef int32_t kept_from
    cdef int error = 0
    if with_active and offset == log.end_offset and log_active(log).size > 0:
        error = log_roll(log, offset, wall_clock_ms())
        if error and not disk_is_full(error):
            log_fail(log, error)
            return error
    # Without room for a new segment the active one stays, all of it below the start, until the
    # next time; the others make room.
    kept_from = segments_floor(log.segments, offset)
    if kept_from > 0:
        old = copy_segments(log)
        if old == NULL:
            return ENOMEM
        old.count = kept_from
    log.log_start_offset = max(log.log_start_offset, offset)
    leader_epochs_truncate_from_start(&log.epochs, log.log_start_offset)
    # Published before the list changes: who does not find a segment looks at the start again.
    log_publish_offsets(log)
    if old != NULL:
        if log_replace_segments(log, kept_from, log.segments.count - kept_from, NULL) != 0:
            free(old)               # they stay, below the start, until the next time
            return ENOMEM
        log.folder_changed = 1
    gone[0] = old
    # All of them: what a parked fetch waits behind may be gone.
    waiters_wake(&log.fetch_waiters, INT64_MAX)
    return 0


cdef list raise_log_start(PartitionLog *log, str folder, int64_t offset, bint with_active):
    """Neither renaming files nor waiting for the interpreter is done with the writer's role."""
    cdef SegmentList *gone = NULL
    cdef int64_t high_watermark
    cdef int usable, error = 0
    cdef int32_t number
    with nogil:
        log_acquire(log)
        usable = log.state == LOG_ONLINE
        high_watermark = log.view.high_watermark
        if usable and offset <= high_watermark and (offset > log.log_start_offset or with_active):
            error = drop_below(log, offset, with_active, &gone)
        log_release(log)
        if gone != NULL:
            for number in range(gone.count):
                segment_retire(gone.segments[number])
    if not usable:
        ensure_usable(log, folder)
    check(error, folder)
    if offset > high_watermark:
        raise ValueError(f"offset {offset} lies beyond the high watermark {high_watermark}")
    if gone == NULL:
        return []
    bases = [gone.segments[number].base_offset for number in range(gone.count)]
    free(gone)
    return set_aside_or_fail(log, folder, bases)


# --- roll, flush, close ---

# These two are called all the time: they never wait for the interpreter with the writer's role.

cdef int roll_due(PartitionLog *log, int64_t due_ms) noexcept nogil:
    cdef Segment *active = log_active(log)
    if active.size == 0:
        return 0
    # By the wall clock: records of last year must not roll a segment at each tick.
    return due_ms < 0 or due_ms - active.created_ms > log.settings.segment_ms - active.jitter_ms


cdef int roll(PartitionLog *log, str folder, int64_t due_ms) except -1:
    cdef int usable, rolled = 0
    cdef int error = 0
    with nogil:
        log_acquire(log)
        usable = log.state == LOG_ONLINE
        if usable and roll_due(log, due_ms):
            error = log_roll(log, log.end_offset, wall_clock_ms())
            rolled = 1
            if error > 0 and not disk_is_full(error):
                log_fail(log, error)
        log_release(log)
    if not usable:
        ensure_usable(log, folder)
    check(error, folder)
    return rolled


cdef int sync_files(Segment *segment, SegmentFiles *files) noexcept nogil:
    cdef int which, fd
    cdef int error = sync_file(files.log_fd)
    for which in range(2):
        if error:
            break
        fd = segment_borrow_index(segment, files, which)
        if fd < 0:
            return -fd
        error = sync_file(fd)
        segment_return_index(files, which, fd)
    return error


cdef int sync_segments(SegmentList *list, int32_t first) noexcept nogil:
    """One after another, so that a long backlog needs few descriptors. Those that were removed
    meanwhile need no sync."""
    cdef SegmentFiles *files
    cdef int32_t number
    cdef int error = 0
    for number in range(first, list.count):
        files = segment_pin(list.segments[number], &error)
        if files == NULL and load32(&list.segments[number].retired):
            error = 0
            continue
        if files != NULL:
            error = sync_files(list.segments[number], files)
            segment_unpin(files)
        if error and not load32(&list.segments[number].retired):
            return error
        error = 0
    return 0


cdef int all_synced(PartitionLog *log) noexcept nogil:
    """Whether the disk has all that there is. With the writer's role."""
    cdef Segment *active = log_active(log)
    return (log.end_offset <= log.recovery_point and active.allocated <= active.size
            and not log.files_changed and not log.folder_changed and not log.epochs.unwritten
            and not index_has_unwritten(&active.offsets)
            and not index_has_unwritten(&active.times))


cdef int flush(PartitionLog *log, str folder) except -1:
    """The role is given back while the disk works: appends go on. The caller is registered with
    `reclaim`, which keeps the copied list's segments in existence."""
    cdef SegmentList *list = NULL
    cdef int64_t end_offset = 0, generation = 0
    cdef int32_t folder_changed = 0
    cdef int usable, no_room = 0, error = 0, synced = 0
    with nogil:
        log_acquire(log)
        usable = log.state == LOG_ONLINE
        synced = usable and all_synced(log)
        if usable and not synced:
            list = copy_segments(log)
        if list != NULL:
            error = leader_epochs_write(&log.epochs)
            if not error:
                error = segment_flush_indexes(log_active(log))
            no_room = disk_is_full(error)   # what is to be written stays in memory
            end_offset = log.end_offset
            generation = log.generation
            folder_changed = log.folder_changed
            if not error:
                log.folder_changed = 0
                log.files_changed = 0
        log_release(log)
    if not usable:
        ensure_usable(log, folder)
    if synced:
        return 0
    if list == NULL:
        raise MemoryError
    with nogil:
        if not error:
            error = sync_segments(list, segments_floor(list, load64(&log.recovery_point)))
        free(list)
        if not error and folder_changed:
            error = sync_folder(log.folder)
        log_acquire(log)
        if error and not no_room:
            log_fail(log, error)
        elif not error and log.generation == generation and end_offset > log.recovery_point:
            store64(&log.recovery_point, end_offset)
        log_release(log)
    check(error, folder)
    return 0


cdef int finish(PartitionLog *log) noexcept nogil:
    """Makes everything durable, so that the next start need not look. What is so already costs
    nothing: most of thousands of logs are quiet."""
    cdef Segment *active = log_active(log)
    cdef int error = segment_note_max_timestamp(active)
    if not error and not all_synced(log):
        error = leader_epochs_write(&log.epochs)
        if not error:
            error = segment_finish(active)
        if not error:
            error = sync_segments(log.segments, segments_floor(log.segments, log.recovery_point))
    if not error and log.producers.last_snapshot_offset != log.end_offset:
        log.producers.last_map_offset = log.end_offset
        error = producer_write_snapshot(&log.producers, log.folder, log.end_offset)
        log.folder_changed = 1
    if not error and log.folder_changed:
        error = sync_folder(log.folder)
    if not error:
        store64(&log.recovery_point, log.end_offset)
    return error


cdef int close_log(PartitionLog *log, str folder, bint durable) except -1:
    cdef int error = 0
    with nogil:
        log_acquire(log)
        if log.state != LOG_CLOSED:
            if durable and log.state == LOG_ONLINE:
                error = finish(log)
            store32_seq(&log.state, LOG_CLOSED)
            let_go(log)
        log_release(log)            # answers what was queued: the log is closed
        waiters_close(&log.commit_waiters)
        waiters_close(&log.fetch_waiters)
    check(error, folder)
    return 0


cdef void take_offline(PartitionLog *log, int error) noexcept nogil:
    """Its folder failed. The files are let go, so that the disk can be taken away."""
    log_fail(log, error)
    log_acquire(log)
    if log.state == LOG_OFFLINE:
        let_go(log)
    log_release(log)


cdef void let_go(PartitionLog *log) noexcept nogil:
    """Closes what no pin holds: the state keeps readers and writers away from now on."""
    cdef SegmentList *old = log.segments
    cdef int32_t number
    cdef SegmentList *copy = <SegmentList *>malloc(
        sizeof(SegmentList) + old.count * sizeof(Segment *))
    if copy == NULL:
        return                      # the files stay open until the last reference to the log goes
    memcpy(copy, old, sizeof(SegmentList) + (old.count - 1) * sizeof(Segment *))
    if log_replace_segments(log, 0, 0, NULL) == 0:
        for number in range(copy.count):
            segment_retire(copy.segments[number])
    free(copy)
