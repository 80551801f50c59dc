# A Produce request in memory: parsed, and encoded. No side effects.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.batch cimport RefusedRecord
from fastlog_ext.buffers cimport Buffer
from fastlog_ext.disk cimport DiskJob
from fastlog_ext.mailbox cimport Mail
from fastlog_ext.partition_log cimport AppendRequest, PartitionLog
from fastlog_ext.plane cimport Reactor, Response
from fastlog_ext.timers cimport Timer
from fastlog_ext.waiters cimport Waiter
from fastlog_ext.wire cimport RequestHead, Text

cdef struct ProducePartition:
    AppendRequest append
    Waiter waiter
    PartitionLog *log       # retained; NULL: not found
    uint8_t *records        # NULL: null
    int32_t size
    int32_t index
    int16_t error
    int8_t listed           # the waiter is on the log's list
    int8_t heavy            # its records have not been looked at: that takes long
    int32_t record_index    # the first offending record, or -1
    const char *message     # static text or NULL
    # of records that were no whole batch, where it was named with others that are: Kafka appends
    # those and answers this
    int16_t also_refused
    const char *also_message
    int64_t log_start_offset
    RefusedRecord *refused  # malloc'ed, or NULL: at most `record_index`
    int32_t refused_count

cdef struct ProduceTopic:
    const uint8_t *name     # or the id's 16 bytes (v13)
    int32_t name_size
    int32_t partition_count

cdef struct ProduceRequest:
    ProduceRequest *next        # free, or submitted
    int32_t behind              # in the free list: how many come after it
    Mail mail
    Timer timer
    Reactor *reactor
    Response *response
    Buffer *input           # retained; names and batches lie there
    RequestHead head
    int8_t transactional
    int8_t checking         # a thread beside the reactor looks at its records
    int8_t committing       # 0: its appends are under way; 1: it waits for replicas
    int16_t acks
    int32_t timeout_ms
    # atomic: appends, then waiters, not finished yet, and one for the reactor
    int32_t pending
    ProduceTopic *topics
    int32_t topic_count
    int32_t topic_capacity
    ProducePartition *partitions
    int32_t partition_count
    int32_t partition_capacity
    uint8_t *names              # topics' names, once the input has been let go
    int32_t refused_records     # of all partitions
    int64_t held                # bytes of its frame, while it needs them, and of what is charged
    int64_t now_ms              # by the wall clock, when it came
    int64_t decoded             # bytes decompressed to look at its records
    int64_t looked              # what looking at them has cost the reactor: see produce_check.pyx
    DiskJob job                 # while it is checked
    int64_t charged             # of the memory budget, unless it is small

# NULL, or why it is malformed. Fills topics and partitions in the order of the request.
cdef const char *produce_parse(ProduceRequest *request, uint8_t *frame, int64_t size) noexcept nogil
cdef int produce_encode(ProduceRequest *request) noexcept nogil         # 0 or ENOMEM
