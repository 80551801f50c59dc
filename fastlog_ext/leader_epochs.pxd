# leader-epoch-checkpoint: which leader epoch starts at which offset (KIP-101, KIP-320). Belongs to
# the partition's writer; readers take the lock.
from libc.stdint cimport int32_t, int64_t
from fastlog_ext.system cimport pthread_mutex_t

cdef struct EpochEntry:
    int32_t epoch
    int64_t start_offset

cdef struct LeaderEpochs:
    pthread_mutex_t lock
    EpochEntry *entries
    int32_t count
    int32_t capacity
    char *path                      # of the checkpoint file
    int32_t latest                  # atomic copy of the newest epoch, -1: none
    int32_t unwritten               # the file may hold other entries
    int32_t newest_on_file          # the greatest epoch that it names, -1: none

# 0, errno, or -1: malformed. An absent or empty file has no entries.
cdef int leader_epochs_open(LeaderEpochs *epochs, const char *folder) noexcept nogil
cdef void leader_epochs_close(LeaderEpochs *epochs) noexcept nogil
# As Kafka's LeaderEpochFileCache: no change when it is the newest epoch already and does not start
# earlier; entries of the same or a newer epoch, or that start at or above, are dropped first.
# Written out by leader_epochs_write: until then a recovery finds the epoch in its batches, which
# lie behind the recovery point. Where the file names the epoch or a newer one, that would be
# passed over, and it is written at once. 0 or errno.
cdef int leader_epochs_assign(LeaderEpochs *epochs, int32_t epoch,
                              int64_t start_offset) noexcept nogil
cdef int32_t leader_epochs_latest(LeaderEpochs *epochs) noexcept nogil      # -1: none
# (largest epoch <= requested, its end offset); -1/-1 if unknown (Kafka's endOffsetFor).
cdef void leader_epochs_end_offset(LeaderEpochs *epochs, int32_t requested, int64_t log_end_offset,
                                   int32_t *epoch, int64_t *end_offset) noexcept nogil
# Writes and syncs the file where it is not right: before the recovery point moves. 0 or errno.
cdef int leader_epochs_write(LeaderEpochs *epochs) noexcept nogil
# What a start does, not written out: the next start would do it again.
cdef void leader_epochs_bound(LeaderEpochs *epochs, int64_t start_offset,
                              int64_t end_offset) noexcept nogil
cdef int leader_epochs_truncate_from_end(LeaderEpochs *epochs, int64_t end_offset) noexcept nogil
# Not written out either: a start that finds the older file drops the same entries again.
cdef void leader_epochs_truncate_from_start(LeaderEpochs *epochs,
                                            int64_t start_offset) noexcept nogil
cdef int leader_epochs_clear(LeaderEpochs *epochs) noexcept nogil
# The epoch in which the offset was written, -1: none.
cdef int32_t leader_epochs_for_offset(LeaderEpochs *epochs, int64_t offset) noexcept nogil
