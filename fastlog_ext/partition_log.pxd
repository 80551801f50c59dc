# A partition's log: the only module through which the rest of the data plane appends, reads and
# waits. The structures and functions live in modules of their own; cimport all of them from here.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.disk cimport Disk
from fastlog_ext.log_state cimport (
    LOG_CLOSED, LOG_OFFLINE, LOG_ONLINE, ORIGIN_CLIENT, ORIGIN_COORDINATOR, ORIGIN_REPLICA,
    READ_TO_END, READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, AppendOrigin, AppendRequest, LogRead,
    LogView, PartitionLog, ReadBound, ReadHint, append_done,
    # KIP-320: 0, FENCED_LEADER_EPOCH 74 (older), UNKNOWN_LEADER_EPOCH 75 (newer)
    partition_log_check_epoch,
    # endOffsetFor, for Fetch's diverging epoch and OffsetForLeaderEpoch
    partition_log_epoch_end,
    partition_log_release, partition_log_retain, partition_log_view)
from fastlog_ext.log_append cimport partition_log_append, partition_log_append_chain
from fastlog_ext.log_read cimport log_read_follow, partition_log_read
from fastlog_ext.reclaim cimport ReclaimSlot

# A Python thread holds a slot for the length of one call.
cdef ReclaimSlot *enter() noexcept nogil
cdef void leave(ReclaimSlot *slot) noexcept nogil

# The handle of the control plane and of embedding programs.
cdef class Log:
    cdef PartitionLog *log
    cdef readonly str path
    cdef readonly str topic
    cdef readonly int partition
    cdef readonly bytes topic_id
    # of the process that opened it: a forked child must not touch the files
    cdef int process_id
    cdef object folder_lock     # of those who rename or remove files
    @staticmethod
    cdef Log handle(str path, str topic, int partition, bytes topic_id, Disk disk)
    cdef PartitionLog *pointer(self) except NULL    # raises in a forked child
    cdef LogView view(self) except *
    cdef change_leader(self, int32_t is_leader, int32_t leader_epoch)
    cdef roll_when(self, int64_t due_ms)
    cdef list submit(self, list batches, signed char origin, int32_t leader_epoch)
    cdef find_time(self, int64_t timestamp, bint greatest, int64_t walk_max, bint quick)

# A sequential reader that remembers its place.
cdef class Reader:
    cdef Log log
    cdef ReadHint hint
    cdef readonly long long offset

# A range of a log that is being sent: its bytes stay what they are until it is let go.
cdef class PinnedRange:
    cdef LogRead found
