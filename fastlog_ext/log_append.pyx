"""The append path: combining, offsets, one gathered write for a run of batches, then publication.

The role of writer is the flag `busy`. Requests are pushed on a stack that any thread may push to;
the writer takes the whole stack, turns it round and works in the order of arrival. Nothing of a run
becomes visible, neither to readers nor to the producers' state, before its write succeeded. So a
batch whose answer depends on what is still in the run, other than to follow it, ends the run.

A reactor writes while writing is a copy to the page cache. Once an append of the folder has waited,
the role goes to the folder's own thread with all that is queued, until appends are quick again. So
it does for what always waits: a new segment, whose files are made and whose predecessor's producers
are synced, and the reservation of room.
"""
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t
from fastlog_ext.batch cimport (
    ATTRIBUTE_CONTROL, ATTRIBUTE_LOG_APPEND_TIME, batch_stamp, batch_stamp_append_time)
from fastlog_ext.disk cimport (
    DiskJob, disk_is_slow, disk_judge, disk_refused, disk_refuses, disk_take_append, disk_took,
    disk_watch)
from fastlog_ext.files cimport (
    FALLOC_FL_KEEP_SIZE, disk_is_full, fallocate, truncate_to, write_vectors_at)
from fastlog_ext.leader_epochs cimport leader_epochs_assign, leader_epochs_latest
from fastlog_ext.log_publish cimport log_publish_offsets, log_wake
from fastlog_ext.log_roll cimport log_needs_roll, log_roll, log_roll_undecided
from fastlog_ext.log_state cimport (
    ERROR_NOT_LEADER, ERROR_OFFSET_OUT_OF_RANGE, ERROR_RECORD_LIST_TOO_LARGE, ERROR_STORAGE,
    LOG_CLOSED, LOG_ONLINE, ORIGIN_CLIENT, ORIGIN_REPLICA, AppendRequest, PartitionLog, log_active,
    log_fail, partition_log_check_epoch, partition_log_release, partition_log_retain)
from fastlog_ext.producer_state cimport (
    ProducerCheck, ProducerEntry, producer_check, producer_preview, producer_preview_add,
    producer_preview_check, producer_update)
from fastlog_ext.reclaim cimport (
    ReclaimSlot, reclaim_collect, reclaim_register, reclaim_unregister)
from fastlog_ext.segment cimport Segment, segment_note_batch
from fastlog_ext.system cimport (
    add64_relaxed, cas32, cas_ptr, exchange_ptr, fence_seq, iovec, load32, load32_seq, load_ptr,
    pthread_cond_signal, pthread_cond_wait, pthread_mutex_lock, pthread_mutex_unlock, sched_yield,
    store32_seq, store64, wall_clock_ms)

cdef enum:
    RUN_LIMIT = 256                         # batches in one write
    NOBODY = -1
    PREALLOCATE_STEP = 16 * 1024 * 1024

# Batches that go to the active segment in one write.
cdef struct Run:
    int count
    int64_t bytes
    int64_t end_offset                      # behind the last of them
    int64_t now_ms
    int may_wait                            # this thread, for the disk
    int64_t since_ms                        # the time of its write counts from here
    int64_t waits_before
    AppendRequest *requests[RUN_LIMIT]
    iovec vectors[RUN_LIMIT]
    int64_t producers[RUN_LIMIT]            # their ids
    int64_t previewed                       # whose entry `preview` is, or NOBODY's
    ProducerEntry preview                   # as it will be once the run is applied


# --- the role of writer ---

cdef void partition_log_append(PartitionLog *log, AppendRequest *request) noexcept nogil:
    partition_log_append_chain(log, request, request)


cdef void partition_log_append_chain(PartitionLog *log, AppendRequest *newest,
                                     AppendRequest *oldest) noexcept nogil:
    cdef void *head
    while True:
        head = load_ptr(<void **>&log.inbox)
        oldest.next = <AppendRequest *>head
        if cas_ptr(<void **>&log.inbox, head, newest):
            break
    # Whoever has the role looks at the inbox again after giving it back, so a failed claim loses
    # nothing.
    if cas32(&log.busy, 0, 1):
        release(log, log.disk == NULL)


cdef void log_release(PartitionLog *log) noexcept nogil:
    release(log, 1)


cdef void release(PartitionLog *log, int may_wait) noexcept nogil:
    """Writes what is queued, or has it written by who can wait, and gives the role back."""
    while True:
        if log.unwritten != NULL or (
                disk_is_slow(log.disk) and load_ptr(<void **>&log.inbox) != NULL):
            if give_to_disk(log):
                return
            may_wait = 1                    # there is nobody else
        drain(log, may_wait)
        if log.unwritten == NULL and give_back(log):
            return


cdef int give_back(PartitionLog *log) noexcept nogil:
    """1: the role is nobody's, or another's. 0: there is more to do, and it is still the caller's
    to do."""
    if load32_seq(&log.control_waiting) > 0 and hand_over(log):
        return 1
    store32_seq(&log.busy, 0)
    fence_seq()
    if load_ptr(<void **>&log.inbox) == NULL and load32_seq(&log.control_waiting) == 0:
        return 1
    return not cas32(&log.busy, 0, 1)


cdef int give_to_disk(PartitionLog *log) noexcept nogil:
    """Lets the folder's own thread write, with the role. 0: it cannot."""
    log.append_job.run = append_on_disk
    log.append_job.owner = log
    partition_log_retain(log)           # until the thread has let go of it
    if disk_take_append(log.disk, &log.append_job) == 0:
        return 1
    partition_log_release(log)
    return 0


cdef void append_on_disk(DiskJob *job) noexcept nogil:
    """What waits for this log. What comes meanwhile is written after the other logs had their
    turn, and by this thread even if the disk is quick again: it has the role."""
    cdef PartitionLog *log = <PartitionLog *>job.owner
    cdef ReclaimSlot *slot = reclaim_register()
    while slot == NULL:
        sched_yield()
        slot = reclaim_register()
    drain(log, 1)
    if not give_back(log) and not give_to_disk(log):
        log_release(log)
    partition_log_release(log)
    reclaim_unregister(slot)
    reclaim_collect()


cdef int hand_over(PartitionLog *log) noexcept nogil:
    """Gives the role itself to a control operation, which a stream of appends could starve
    otherwise."""
    cdef int given = 0
    pthread_mutex_lock(&log.control_lock)
    if log.control_waiting > 0 and not log.handed_over:
        log.handed_over = 1
        given = 1
        pthread_cond_signal(&log.control_turn)
    pthread_mutex_unlock(&log.control_lock)
    return given


cdef void log_acquire(PartitionLog *log) noexcept nogil:
    if cas32(&log.busy, 0, 1):
        return
    pthread_mutex_lock(&log.control_lock)
    store32_seq(&log.control_waiting, log.control_waiting + 1)
    fence_seq()
    while True:
        if log.handed_over:
            log.handed_over = 0
            break
        if cas32(&log.busy, 0, 1):
            break
        pthread_cond_wait(&log.control_turn, &log.control_lock)
    store32_seq(&log.control_waiting, log.control_waiting - 1)
    pthread_mutex_unlock(&log.control_lock)


cdef AppendRequest *take_queued(PartitionLog *log) noexcept nogil:
    """What another left unwritten, else everything that came since; oldest first."""
    cdef AppendRequest *ordered = log.unwritten
    cdef AppendRequest *request
    cdef AppendRequest *following
    if ordered != NULL:
        log.unwritten = NULL
        return ordered
    request = <AppendRequest *>exchange_ptr(<void **>&log.inbox, NULL)
    while request != NULL:
        following = request.next
        request.next = ordered
        ordered = request
        request = following
    return ordered


cdef void leave(PartitionLog *log, Run *run, AppendRequest *rest) noexcept nogil:
    """What this thread does not write, in order, for who has the role next."""
    cdef int number = run.count
    while number > 0:
        number -= 1
        run.requests[number].next = rest
        rest = run.requests[number]
    log.unwritten = rest


cdef inline int must_leave(PartitionLog *log, Run *run) noexcept nogil:
    return not run.may_wait and disk_is_slow(log.disk)


cdef void drain(PartitionLog *log, int may_wait) noexcept nogil:
    """A thread that may not wait leaves what would let it, in log.unwritten."""
    cdef AppendRequest *request
    cdef AppendRequest *following
    cdef Run run
    request = take_queued(log)
    if request == NULL:
        return
    run.may_wait = may_wait
    run.waits_before = disk_watch(log.disk)
    start_run(log, &run)
    run.now_ms = wall_clock_ms()
    run.since_ms = run.now_ms
    while request != NULL and not must_leave(log, &run):
        following = request.next            # `done` may free the request
        if not add_request(log, &run, request):
            break
        request = following
    if request != NULL or must_leave(log, &run):
        leave(log, &run, request)
    else:
        commit(log, &run)


cdef inline void start_run(PartitionLog *log, Run *run) noexcept nogil:
    run.count = 0
    run.bytes = 0
    run.end_offset = log.end_offset
    run.previewed = NOBODY


# --- one request ---

cdef void finish(PartitionLog *log, AppendRequest *request, int16_t error) noexcept nogil:
    request.error = error
    request.log_start_offset = log.log_start_offset
    if error:
        request.base_offset = -1
        request.last_offset = -1
        request.append_time_ms = -1
    request.done(request)


cdef int16_t refusal(PartitionLog *log, AppendRequest *request, const Run *run) noexcept nogil:
    """Why the log takes no such batch now, or 0."""
    cdef int32_t state = load32(&log.state)
    if state != LOG_ONLINE:
        return ERROR_NOT_LEADER if state == LOG_CLOSED else ERROR_STORAGE
    if request.origin == ORIGIN_REPLICA:
        return ERROR_OFFSET_OUT_OF_RANGE if request.info.base_offset < run.end_offset else 0
    if not log.is_leader:
        return ERROR_NOT_LEADER
    if request.origin == ORIGIN_CLIENT and disk_refuses(log.disk):
        return ERROR_STORAGE
    if request.info.size > log.settings.segment_bytes:
        return ERROR_RECORD_LIST_TOO_LARGE
    return partition_log_check_epoch(log, request.leader_epoch)


cdef int producer_in_run(const Run *run, int64_t producer_id) noexcept nogil:
    cdef int number
    for number in range(run.count):
        if run.producers[number] == producer_id:
            return 1
    return 0


cdef int preview(PartitionLog *log, Run *run, int64_t producer_id) noexcept nogil:
    """1: run.preview is this producer's. 0: what a marker does is known only once it is applied."""
    cdef int number
    if run.previewed == producer_id:
        return 1
    run.previewed = NOBODY
    producer_preview(&log.producers, producer_id, &run.preview)
    for number in range(run.count):
        if run.producers[number] == producer_id:
            if run.requests[number].info.attributes & ATTRIBUTE_CONTROL:
                return 0
            producer_preview_add(&run.preview, &run.requests[number].info)
    run.previewed = producer_id
    return 1


cdef int follows_in_run(PartitionLog *log, Run *run, AppendRequest *request) noexcept nogil:
    cdef ProducerCheck check
    if not preview(log, run, request.info.producer_id):
        return 0
    producer_preview_check(&run.preview, &request.info, &check)
    return not check.error and not check.duplicate


cdef int answered_by_producer_state(PartitionLog *log, AppendRequest *request) noexcept nogil:
    """1: a duplicate or an error, and `done` was called."""
    cdef ProducerCheck check
    if request.origin != ORIGIN_CLIENT or request.info.producer_id < 0:
        return 0
    producer_check(&log.producers, &request.info, &check)
    if check.error:
        finish(log, request, check.error)
        return 1
    if not check.duplicate:
        return 0
    request.base_offset = check.duplicate_base_offset
    request.last_offset = check.duplicate_last_offset
    request.append_time_ms = check.duplicate_timestamp
    finish(log, request, 0)
    return 1


cdef void stamp(PartitionLog *log, AppendRequest *request, Run *run) noexcept nogil:
    request.append_time_ms = -1
    if request.origin == ORIGIN_REPLICA:
        return
    request.info.base_offset = run.end_offset
    request.info.leader_epoch = leader_epochs_latest(&log.epochs)
    if load32(&log.timestamp_type) == 1:
        batch_stamp_append_time(request.data, &request.info, run.now_ms)
        request.info.attributes |= ATTRIBUTE_LOG_APPEND_TIME
        request.info.max_timestamp = run.now_ms
        request.append_time_ms = run.now_ms
    batch_stamp(request.data, request.info.base_offset, request.info.leader_epoch)


cdef inline int needs_room(PartitionLog *log, int64_t bytes) noexcept nogil:
    return log.settings.preallocate and log_active(log).size + bytes > log_active(log).allocated


cdef int roll_for(PartitionLog *log, Run *run, AppendRequest *request) noexcept nogil:
    """Rolls when the batch does not belong into the active segment. 1: there it belongs; 0: this
    thread may not wait for that; -1: that failed."""
    cdef int64_t base = run.end_offset
    cdef int64_t last
    cdef int error
    if request.origin == ORIGIN_REPLICA:
        base = request.info.base_offset
    last = base + request.info.last_offset_delta
    if not log_needs_roll(log, run.bytes, &request.info, last, run.now_ms):
        return run.may_wait or not needs_room(log, run.bytes + request.info.size)
    commit(log, run)
    error = load32(&log.state)
    if error == LOG_ONLINE:
        if not run.may_wait:
            return 0
        error = log_roll(log, max(log.end_offset, last - INT32_MAX), run.now_ms)
        if error and not disk_is_full(error):
            log_fail(log, error)
        run.since_ms = wall_clock_ms()
    return -1 if error else 1


cdef int add_request(PartitionLog *log, Run *run, AppendRequest *request) noexcept nogil:
    """0: it needs what this thread may not wait for, and was not taken."""
    cdef int16_t error
    cdef int follows = 0
    cdef int belongs
    if (request.origin == ORIGIN_CLIENT and request.info.producer_id >= 0
            and producer_in_run(run, request.info.producer_id)):
        follows = follows_in_run(log, run, request)
        if not follows:
            commit(log, run)
    if run.count == RUN_LIMIT or (run.count and log_roll_undecided(log, run.count)):
        commit(log, run)
    error = refusal(log, request, run)
    if error:
        finish(log, request, error)
        return 1
    if not follows and answered_by_producer_state(log, request):
        return 1
    belongs = roll_for(log, run, request)
    if belongs == 0:
        return 0
    if belongs < 0:
        note_refused(log, 1)
        finish(log, request, ERROR_STORAGE)
        return 1
    # What it follows may just have been written, or not: then its own batch before is missing.
    if follows and run.count == 0 and answered_by_producer_state(log, request):
        return 1
    stamp(log, request, run)
    request.base_offset = request.info.base_offset
    request.last_offset = request.base_offset + request.info.last_offset_delta
    run.requests[run.count] = request
    run.vectors[run.count].iov_base = request.data
    run.vectors[run.count].iov_len = request.info.size
    run.producers[run.count] = request.info.producer_id
    if not follows:
        run.previewed = NOBODY
    elif run.previewed == request.info.producer_id:
        producer_preview_add(&run.preview, &request.info)
    run.count += 1
    run.bytes += request.info.size
    run.end_offset = request.last_offset + 1
    return 1


# --- one run ---

cdef void make_room(PartitionLog *log, Segment *active, int64_t bytes) noexcept nogil:
    """Best effort: not every file system has it, and a full disk shows in the write itself."""
    cdef int64_t size = max(bytes, min(<int64_t>PREALLOCATE_STEP,
                                       log.settings.segment_bytes - active.size))
    fallocate(active.files.log_fd, FALLOC_FL_KEEP_SIZE, active.size, size)
    active.allocated = active.size + size


cdef int write_run(PartitionLog *log, Run *run, Segment *active) noexcept nogil:
    """0 or errno. A full disk leaves the log as it was, for when there is room again; after any
    other failure nobody knows what the disk holds."""
    cdef int error, undone
    if needs_room(log, run.bytes):
        make_room(log, active, run.bytes)
    error = write_vectors_at(active.files.log_fd, run.vectors, run.count, active.size)
    if error:
        undone = truncate_to(active.files.log_fd, active.size)
        active.allocated = 0
        if undone != 0 or not disk_is_full(error):
            log_fail(log, undone if undone != 0 else error)
    return error


cdef void judge(PartitionLog *log, Run *run) noexcept nogil:
    """Whether this write has waited; of each by itself, so that one is all that a reactor waits
    for."""
    cdef int64_t now_ms
    if log.disk == NULL:
        return
    now_ms = wall_clock_ms()
    disk_judge(log.disk, now_ms - run.since_ms, now_ms, run.waits_before)
    run.since_ms = now_ms
    run.waits_before = disk_watch(log.disk)


cdef void apply(PartitionLog *log, Run *run, Segment *active) noexcept nogil:
    """What was written becomes part of the log's state; not published yet."""
    cdef int number, error
    cdef int flush = not must_leave(log, run)       # else the indexes wait in memory
    cdef int64_t records = 0
    cdef int64_t position = active.size
    cdef AppendRequest *request
    for number in range(run.count):
        request = run.requests[number]
        if request.origin == ORIGIN_REPLICA and request.info.leader_epoch >= 0:
            leader_epochs_assign(&log.epochs, request.info.leader_epoch, request.base_offset)
        error = 0
        if request.info.producer_id >= 0:
            error = producer_update(&log.producers, &request.info, request.data, run.now_ms)
        if not error:
            error = segment_note_batch(active, &request.info, position,
                                       log.settings.index_interval_bytes, flush)
        if error:
            log_fail(log, error)            # these bytes are written; nothing more is taken
        position += request.info.size
        records += request.info.record_count
    store64(&active.size, position)
    log.end_offset = run.end_offset
    add64_relaxed(&log.bytes_in, run.bytes)
    add64_relaxed(&log.batches_in, run.count)
    add64_relaxed(&log.writes, 1)
    add64_relaxed(&log.records_in, records)


cdef void note_refused(PartitionLog *log, int32_t batches) noexcept nogil:
    """A log that is online after an append failed has met a full disk."""
    if log.disk != NULL and load32(&log.state) == LOG_ONLINE:
        disk_refused(log.disk, batches)


cdef void commit(PartitionLog *log, Run *run) noexcept nogil:
    cdef Segment *active
    cdef int number, failed
    cdef int16_t error = 0
    if run.count == 0:
        return
    active = log_active(log)
    failed = write_run(log, run, active)
    judge(log, run)
    if failed:
        error = ERROR_STORAGE
        note_refused(log, run.count)
    else:
        apply(log, run, active)
        if log.disk != NULL:
            disk_took(log.disk)
        log_publish_offsets(log)
        log_wake(log)
    for number in range(run.count):
        finish(log, run.requests[number], error)
    start_run(log, run)
