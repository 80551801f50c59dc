# The partition table: name or topic id -> partitions. An immutable snapshot, swapped atomically and
# reclaimed by epoch; a reader is registered with `reclaim` and holds what it finds until its next
# quiescent point, or longer by partition_log_retain.
from libc.stdint cimport int16_t, int32_t, uint8_t
from fastlog_ext.partition_log cimport PartitionLog

cdef struct Topic:
    uint8_t *name
    int16_t name_length
    uint8_t id[16]
    int32_t partition_count
    PartitionLog **partitions       # NULL where this broker holds no replica

cdef struct TopicTable:
    void *snapshot                  # private

cdef Topic *topic_by_name(TopicTable *table, const uint8_t *name, int16_t length) noexcept nogil
cdef Topic *topic_by_id(TopicTable *table, const uint8_t *id) noexcept nogil

# The handle of the control plane, one a broker.
cdef class Topics:
    cdef TopicTable table
    cdef dict logs                  # name -> {partition: Log}, for Python
    cdef object changes             # one change at a time
    cdef Topic *find(self, bytes name) noexcept
