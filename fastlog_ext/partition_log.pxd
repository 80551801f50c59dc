# A partition's log: the only module through which the rest of the data plane appends, reads and waits.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.system cimport pthread_mutex_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.segment cimport Segment, SegmentFiles
from fastlog_ext.waiters cimport WaiterList

ctypedef void (*append_done)(AppendRequest *request) noexcept nogil

cdef enum AppendOrigin:
    ORIGIN_CLIENT = 0       # validated batch of a client: offsets assigned, idempotence checked
    ORIGIN_COORDINATOR = 1
    ORIGIN_REPLICA = 2      # verbatim, offsets as they are

# One batch to append. The caller keeps it and its bytes alive until `done` has been called, which happens
# exactly once, on whichever thread wrote it, perhaps before partition_log_append returns, with no lock held.
cdef struct AppendRequest:
    AppendRequest *next
    uint8_t *data           # batch_validate has accepted it; stamped in place
    BatchInfo info
    int8_t origin
    int32_t leader_epoch    # the epoch the caller believes in, or -1
    append_done done
    void *owner
    # results
    int16_t error           # Kafka's code
    int64_t base_offset     # a duplicate carries the original's
    int64_t last_offset
    int64_t append_time_ms  # -1 unless LogAppendTime
    int64_t log_start_offset

# A consistent picture of a log's offsets (all of one moment), taken without a lock.
cdef struct LogView:
    int64_t log_start_offset
    int64_t high_watermark
    int64_t last_stable_offset
    int64_t end_offset
    int32_t leader_epoch

# Where a sequential reader stopped; the next read needs no index search. Zero-initialise; copy freely.
cdef struct ReadHint:
    int64_t offset
    int64_t segment_base
    int64_t position
    int8_t valid

cdef enum ReadBound:
    READ_TO_HIGH_WATERMARK = 0      # consumers, read_uncommitted
    READ_TO_LAST_STABLE = 1         # read_committed
    READ_TO_END = 2                 # replicas

cdef struct LogRead:
    int16_t error           # 0, OFFSET_OUT_OF_RANGE 1, KAFKA_STORAGE_ERROR 56, NOT_LEADER_OR_FOLLOWER 6
    LogView view
    SegmentFiles *files     # pinned when size > 0: the caller calls segment_unpin
    int log_fd
    int64_t position
    int64_t size            # bytes to send; 0: nothing below the bound
    int64_t available       # bytes readable below the bound from here (>= size), for min_bytes
    ReadHint next           # set when `size` ends on a batch boundary that is known

cdef struct PartitionLog:
    int32_t references      # pins (the partition table holds one)
    int32_t state           # atomic: LOG_ONLINE, LOG_OFFLINE (storage error), LOG_CLOSED (removed)
    int64_t published_high_watermark    # atomic copy, the value that `fetch_waiters` and `commit_waiters` watch
    WaiterList fetch_waiters            # woken when the high watermark advances
    WaiterList commit_waiters           # acks=all produces whose last offset is not below the high watermark yet
    int32_t max_message_bytes           # atomic copies of what Produce validates with
    int32_t timestamp_type              # 0 CreateTime, 1 LogAppendTime
    int64_t timestamp_before_max_ms
    int64_t timestamp_after_max_ms
    int32_t compacted
    # statistics, relaxed atomics
    int64_t bytes_in
    int64_t batches_in
    int64_t records_in
    # ... private fields follow

cdef enum:
    LOG_ONLINE = 0
    LOG_OFFLINE = 1
    LOG_CLOSED = 2

cdef void partition_log_retain(PartitionLog *log) noexcept nogil
cdef void partition_log_release(PartitionLog *log) noexcept nogil
# Queues the batch; whoever finds the log free becomes its writer and drains what others queued.
cdef void partition_log_append(PartitionLog *log, AppendRequest *request) noexcept nogil
cdef void partition_log_view(PartitionLog *log, LogView *view) noexcept nogil
# Reads from the batch that contains `offset`. At most max_bytes, but with `whole_first` (KIP-74) at least
# the first batch whole. One segment at a time.
cdef void partition_log_read(PartitionLog *log, int64_t offset, int64_t max_bytes, int whole_first,
                             ReadBound bound, const ReadHint *hint, LogRead *out) noexcept nogil
# KIP-320: 0, FENCED_LEADER_EPOCH 74 (older) or UNKNOWN_LEADER_EPOCH 75 (newer). -1 is always accepted.
cdef int16_t partition_log_check_epoch(PartitionLog *log, int32_t current_leader_epoch) noexcept nogil
# endOffsetFor, for Fetch's diverging epoch and OffsetForLeaderEpoch.
cdef void partition_log_epoch_end(PartitionLog *log, int32_t requested, int32_t *epoch, int64_t *end_offset) noexcept nogil

# The handle of the control plane and of embedding programs.
cdef class Log:
    cdef PartitionLog *log
