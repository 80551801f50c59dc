# The structures of a partition's log, and how its offsets are published to readers without a lock.
# Other packages cimport these names from partition_log.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.system cimport pthread_cond_t, pthread_mutex_t
from fastlog_ext.batch cimport BatchInfo
from fastlog_ext.disk cimport DiskJob, DiskState
from fastlog_ext.leader_epochs cimport LeaderEpochs
from fastlog_ext.producer_state cimport ProducerTable
from fastlog_ext.segment cimport Segment, SegmentFiles
from fastlog_ext.waiters cimport WaiterList

ctypedef void (*append_done)(AppendRequest *request) noexcept nogil

cdef enum AppendOrigin:
    ORIGIN_CLIENT = 0       # validated batch of a client: offsets assigned, idempotence checked
    ORIGIN_COORDINATOR = 1
    ORIGIN_REPLICA = 2      # verbatim, offsets as they are

# One batch to append. The caller keeps it and its bytes alive until `done` has been called, which
# happens exactly once, on whichever thread wrote it, perhaps before partition_log_append returns,
# with no lock held.
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
    # -1 unless LogAppendTime; of a duplicate, whatever the type: the original's greatest timestamp
    int64_t append_time_ms
    int64_t log_start_offset

# A consistent picture of a log's offsets (all of one moment), taken without a lock.
cdef struct LogView:
    int64_t log_start_offset
    int64_t high_watermark
    int64_t last_stable_offset
    int64_t end_offset
    int32_t leader_epoch

# Where a sequential reader stopped; the next read needs no index search, or a short one.
# Zero-initialise; copy freely.
cdef struct ReadHint:
    int64_t offset          # what it asks for next; -1: where that lies is not known
    int64_t segment_base
    int64_t position        # of the batch that holds it
    int64_t size            # of that batch; 0: not known, nor is following_offset
    int64_t following_offset    # the first after that batch
    int64_t index_entry     # of the last search, where the next one begins; -1: none
    int8_t valid
    int64_t generation      # private: of the log's bytes when it was given

cdef enum ReadBound:
    READ_TO_HIGH_WATERMARK = 0      # consumers, read_uncommitted
    READ_TO_LAST_STABLE = 1         # read_committed
    READ_TO_END = 2                 # replicas

cdef struct LogRead:
    # 0, OFFSET_OUT_OF_RANGE 1, KAFKA_STORAGE_ERROR 56, NOT_LEADER_OR_FOLLOWER 6
    int16_t error
    LogView view
    SegmentFiles *files     # pinned when size > 0: the caller calls segment_unpin
    int log_fd
    int64_t segment_base
    int64_t position
    int64_t size            # bytes to send; 0: nothing below the bound
    int64_t available       # bytes readable below the bound from here (>= size), for min_bytes
    ReadHint next           # where the next read begins; log_read_follow makes it exact

# Where an offset that bounds reads lies: nothing at or after `position` of that segment is below
# it.
cdef struct LogPosition:
    int64_t segment_base
    int64_t position

cdef struct LogPositions:
    LogPosition high_watermark
    LogPosition last_stable
    LogPosition end

cdef struct SegmentList:    # immutable once published
    int32_t count
    Segment *segments[1]    # really `count`, ascending; the last is the active one

cdef struct LogSettings:
    int64_t segment_bytes
    int64_t segment_ms
    int64_t segment_jitter_ms
    int64_t segment_index_bytes
    int64_t index_interval_bytes
    int64_t producer_id_expiration_ms
    int64_t file_delete_delay_ms
    int64_t retention_ms                # below zero: no limit, as of the next
    int64_t retention_bytes
    int32_t preallocate

cdef struct PartitionLog:
    int32_t references      # pins (the partition table holds one)
    int32_t state           # atomic: LOG_ONLINE, LOG_OFFLINE (storage error), LOG_CLOSED (removed)
    # atomic copy, the value that `fetch_waiters` and `commit_waiters` watch
    int64_t published_high_watermark
    WaiterList fetch_waiters            # woken when the high watermark advances
    # acks=all produces whose last offset is not below the high watermark yet
    WaiterList commit_waiters
    int32_t max_message_bytes           # atomic copies of what Produce validates with
    int32_t timestamp_type              # 0 CreateTime, 1 LogAppendTime
    int64_t timestamp_before_max_ms
    int64_t timestamp_after_max_ms
    int32_t compacted
    # statistics, relaxed atomics
    int64_t bytes_in
    int64_t batches_in
    int64_t records_in
    int64_t writes                      # gathered writes that took these batches

    # --- private: what readers see ---
    int64_t sequence                    # of the seqlock: odd while the view changes
    LogView view
    LogPositions positions
    # atomic, unique in the process: changes when bytes are taken back
    int64_t generation
    SegmentList *segments               # atomic
    LeaderEpochs epochs                 # has its own lock

    # --- private: the writer's. `busy` is a role; whoever turns it from 0 to 1 has it ---
    int32_t busy
    AppendRequest *inbox                # lock-free stack, newest first
    AppendRequest *unwritten            # taken from there and left, with the role; oldest first
    int64_t queue_place                 # relaxed: in the append queue that used it last
    pthread_mutex_t control_lock        # only to hand the role to a control operation that waits
    pthread_cond_t control_turn
    int32_t control_waiting
    int32_t handed_over
    char *folder
    DiskState *disk                     # retained; NULL: a log by itself
    DiskJob append_job                  # in use by whoever has the role
    LogSettings settings
    ProducerTable producers
    int32_t is_leader
    int32_t hold_high_watermark
    int32_t folder_changed              # files were created or renamed since the folder was synced
    int32_t files_changed               # also below the recovery point, since they were synced
    int32_t storage_errno               # atomic; set before the state is
    int64_t recovery_point              # atomic
    int64_t end_offset                  # the writer's own copies of the view
    int64_t log_start_offset
    int64_t first_unstable              # or -1
    # of the opening: bytes of the log that were looked at, and those that were cut off
    int64_t recovered_read
    int64_t recovered_cut
    int32_t damaged                     # atomic: a segment has a bad_position

cdef enum:
    LOG_ONLINE = 0
    LOG_OFFLINE = 1
    LOG_CLOSED = 2

cdef enum:
    ERROR_UNKNOWN = -1
    ERROR_OFFSET_OUT_OF_RANGE = 1
    ERROR_CORRUPT_MESSAGE = 2
    ERROR_NOT_LEADER = 6
    ERROR_RECORD_LIST_TOO_LARGE = 18
    ERROR_STORAGE = 56
    ERROR_FENCED_EPOCH = 74
    ERROR_UNKNOWN_EPOCH = 75

# one reference; NULL: no memory
cdef PartitionLog *partition_log_new(const char *folder, DiskState *disk) noexcept nogil
cdef void partition_log_retain(PartitionLog *log) noexcept nogil
cdef void partition_log_release(PartitionLog *log) noexcept nogil
cdef void partition_log_view(PartitionLog *log, LogView *view) noexcept nogil
# The view with the places of its offsets in the files.
cdef void log_view_positions(PartitionLog *log, LogView *view,
                             LogPositions *positions) noexcept nogil
# Replaces what readers see. Only with the writer's role.
cdef void log_publish(PartitionLog *log, const LogView *view,
                      const LogPositions *positions) noexcept nogil
cdef void log_new_generation(PartitionLog *log) noexcept nogil
cdef int16_t partition_log_check_epoch(PartitionLog *log,
                                       int32_t current_leader_epoch) noexcept nogil
cdef void partition_log_epoch_end(PartitionLog *log, int32_t requested, int32_t *epoch,
                                  int64_t *end_offset) noexcept nogil

cdef SegmentList *log_segments(PartitionLog *log) noexcept nogil
cdef Segment *log_active(PartitionLog *log) noexcept nogil
# Index of the last segment with base_offset <= offset; 0 when all are above.
cdef int32_t segments_floor(SegmentList *list, int64_t offset) noexcept nogil
# A new list of `kept` segments from `first` on, and `added` behind them unless NULL. 0 or ENOMEM.
cdef int log_replace_segments(PartitionLog *log, int32_t first, int32_t kept,
                              Segment *added) noexcept nogil
# Storage error: LOG_OFFLINE, who waits is woken, the folder's alarm rings. Any thread.
cdef void log_fail(PartitionLog *log, int error) noexcept nogil
cdef int64_t log_live_count() noexcept nogil
