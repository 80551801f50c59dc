"""A log's structures: life, the published view (a seqlock), and the list of its segments."""
from libc.stdint cimport int16_t, int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, strdup
from fastlog_ext.disk cimport disk_release, disk_retain, disk_ring
from fastlog_ext.insist cimport insist
from fastlog_ext.leader_epochs cimport leader_epochs_close, leader_epochs_end_offset
from fastlog_ext.producer_state cimport producer_table_destroy, producer_table_init
from fastlog_ext.reclaim cimport reclaim_defer
from fastlog_ext.segment cimport segment_retire
from fastlog_ext.system cimport (
    ENOMEM, add32, add64, cas32, fence_acquire, fence_release, load32, load64, load64_relaxed,
    load_ptr, load32_relaxed, pthread_cond_destroy, pthread_cond_init, pthread_mutex_destroy,
    pthread_mutex_init, sched_yield, store32, store32_relaxed, store64, store64_relaxed,
    store64_seq, store_ptr)
from fastlog_ext.waiters cimport waiter_list_destroy, waiter_list_init, waiters_close

cdef int64_t live_logs = 0
cdef int64_t generations = 0


# --- life ---

cdef PartitionLog *partition_log_new(const char *folder, DiskState *disk) noexcept nogil:
    cdef PartitionLog *log = <PartitionLog *>calloc(1, sizeof(PartitionLog))
    if log == NULL:
        return NULL
    log.folder = strdup(folder)
    log.segments = <SegmentList *>calloc(1, sizeof(SegmentList))
    if log.folder == NULL or log.segments == NULL or producer_table_init(&log.producers) != 0:
        free(log.segments)
        free(log.folder)
        free(log)
        return NULL
    log.references = 1
    if disk != NULL:
        disk_retain(disk)
        log.disk = disk
    waiter_list_init(&log.fetch_waiters)
    waiter_list_init(&log.commit_waiters)
    pthread_mutex_init(&log.control_lock, NULL)
    pthread_cond_init(&log.control_turn, NULL)
    log.first_unstable = -1
    log.view.leader_epoch = -1
    log_new_generation(log)
    add64(&live_logs, 1)
    return log


cdef void destroy(PartitionLog *log) noexcept nogil:
    cdef int32_t number
    for number in range(log.segments.count):
        segment_retire(log.segments.segments[number])
    reclaim_defer(log.segments, free)
    leader_epochs_close(&log.epochs)
    producer_table_destroy(&log.producers)
    waiter_list_destroy(&log.fetch_waiters)
    waiter_list_destroy(&log.commit_waiters)
    pthread_mutex_destroy(&log.control_lock)
    pthread_cond_destroy(&log.control_turn)
    if log.disk != NULL:
        disk_release(log.disk)
    free(log.folder)
    free(log)
    add64(&live_logs, -1)


cdef void partition_log_retain(PartitionLog *log) noexcept nogil:
    cdef int32_t references = add32(&log.references, 1)
    insist(references > 1, b"a log is retained that was let go")


cdef void partition_log_release(PartitionLog *log) noexcept nogil:
    cdef int32_t references = add32(&log.references, -1)
    insist(references >= 0, b"a log is let go twice")
    if references == 0:
        destroy(log)


cdef int64_t log_live_count() noexcept nogil:
    return load64(&live_logs)


cdef void log_fail(PartitionLog *log, int error) noexcept nogil:
    cas32(&log.storage_errno, 0, error)     # the first failure is the one that is told
    if not cas32(&log.state, LOG_ONLINE, LOG_OFFLINE):
        return
    waiters_close(&log.commit_waiters)
    waiters_close(&log.fetch_waiters)
    if log.disk != NULL:
        disk_ring(log.disk)


# --- the published view ---

cdef inline void load_position(LogPosition *source, LogPosition *out) noexcept nogil:
    out.segment_base = load64_relaxed(&source.segment_base)
    out.position = load64_relaxed(&source.position)


cdef inline void store_position(LogPosition *target, const LogPosition *value) noexcept nogil:
    store64_relaxed(&target.segment_base, value.segment_base)
    store64_relaxed(&target.position, value.position)


cdef void log_view_positions(PartitionLog *log, LogView *view,
                             LogPositions *positions) noexcept nogil:
    cdef int64_t before
    cdef int tries = 0
    while True:
        before = load64(&log.sequence)
        if not before & 1:
            view.log_start_offset = load64_relaxed(&log.view.log_start_offset)
            view.high_watermark = load64_relaxed(&log.view.high_watermark)
            view.last_stable_offset = load64_relaxed(&log.view.last_stable_offset)
            view.end_offset = load64_relaxed(&log.view.end_offset)
            view.leader_epoch = load32_relaxed(&log.view.leader_epoch)
            load_position(&log.positions.high_watermark, &positions.high_watermark)
            load_position(&log.positions.last_stable, &positions.last_stable)
            load_position(&log.positions.end, &positions.end)
            fence_acquire()
            if load64_relaxed(&log.sequence) == before:
                return
        tries += 1
        if tries & 63 == 0:
            sched_yield()       # the writer may have been preempted between its two stores


cdef void partition_log_view(PartitionLog *log, LogView *view) noexcept nogil:
    cdef LogPositions positions
    log_view_positions(log, view, &positions)


cdef void log_publish(PartitionLog *log, const LogView *view,
                      const LogPositions *positions) noexcept nogil:
    cdef int64_t sequence = load64_relaxed(&log.sequence)
    insist(sequence & 1 == 0, b"two write one log at once")
    insist(view.log_start_offset <= view.last_stable_offset <= view.high_watermark
           <= view.end_offset, b"a log's offsets are out of order")
    store64_relaxed(&log.sequence, sequence + 1)
    fence_release()
    store64_relaxed(&log.view.log_start_offset, view.log_start_offset)
    store64_relaxed(&log.view.high_watermark, view.high_watermark)
    store64_relaxed(&log.view.last_stable_offset, view.last_stable_offset)
    store64_relaxed(&log.view.end_offset, view.end_offset)
    store32_relaxed(&log.view.leader_epoch, view.leader_epoch)
    store_position(&log.positions.high_watermark, &positions.high_watermark)
    store_position(&log.positions.last_stable, &positions.last_stable)
    store_position(&log.positions.end, &positions.end)
    store64(&log.sequence, sequence + 2)
    store64_seq(&log.published_high_watermark, view.high_watermark)


cdef void log_new_generation(PartitionLog *log) noexcept nogil:
    store64_seq(&log.generation, add64(&generations, 1))


cdef int16_t partition_log_check_epoch(PartitionLog *log,
                                       int32_t current_leader_epoch) noexcept nogil:
    cdef int32_t epoch
    if load32(&log.state) == LOG_OFFLINE:
        return ERROR_STORAGE            # before any word about epochs, as in Kafka
    if current_leader_epoch == -1:
        return 0
    epoch = load32(&log.view.leader_epoch)
    if current_leader_epoch < epoch:
        return ERROR_FENCED_EPOCH
    return ERROR_UNKNOWN_EPOCH if current_leader_epoch > epoch else 0


cdef void partition_log_epoch_end(PartitionLog *log, int32_t requested, int32_t *epoch,
                                  int64_t *end_offset) noexcept nogil:
    leader_epochs_end_offset(&log.epochs, requested, load64(&log.view.end_offset), epoch,
                             end_offset)


# --- segments ---

cdef SegmentList *log_segments(PartitionLog *log) noexcept nogil:
    return <SegmentList *>load_ptr(<void **>&log.segments)


cdef Segment *log_active(PartitionLog *log) noexcept nogil:
    return log.segments.segments[log.segments.count - 1]


cdef int32_t segments_floor(SegmentList *list, int64_t offset) noexcept nogil:
    cdef int32_t low = 0, high = list.count, middle
    if list.count > 0 and list.segments[list.count - 1].base_offset <= offset:
        return list.count - 1       # most reads are at the tail
    while low < high:
        middle = (low + high) // 2
        if list.segments[middle].base_offset <= offset:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low > 0 else 0


cdef int log_replace_segments(PartitionLog *log, int32_t first, int32_t kept,
                              Segment *added) noexcept nogil:
    cdef SegmentList *old = log.segments
    cdef int32_t count = kept + (1 if added != NULL else 0)
    cdef SegmentList *list = <SegmentList *>malloc(sizeof(SegmentList) + count * sizeof(Segment *))
    if list == NULL:
        return ENOMEM
    list.count = count
    memcpy(&list.segments[0], &old.segments[first], kept * sizeof(Segment *))
    if added != NULL:
        list.segments[kept] = added
    store_ptr(<void **>&log.segments, list)
    reclaim_defer(old, free)
    return 0
