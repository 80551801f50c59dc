# A Fetch request in memory: parsed, and its answer encoded. No side effects but the response.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from fastlog_ext.cursor cimport Cursor
from fastlog_ext.disk cimport DiskJob, DiskState
from fastlog_ext.mailbox cimport Mail
from fastlog_ext.partition_log cimport LogRead, PartitionLog
from fastlog_ext.plane cimport Reactor, Response
from fastlog_ext.timers cimport Timer
from fastlog_ext.waiters cimport Waiter
from fastlog_ext.wire cimport RequestHead, Text

cdef struct FetchPartition:
    Waiter waiter
    PartitionLog *log           # valid in this turn; retained while `retained`
    LogRead read
    int64_t offset
    int32_t topic
    int32_t index
    int32_t leader_epoch
    int32_t last_fetched_epoch
    int32_t max_bytes
    int16_t error
    int8_t retained
    int8_t listed
    int8_t diverges
    int8_t cold                 # what it wants is not cached; nobody has read it yet
    int8_t placed               # read.next is where it begins
    int8_t chosen               # stands in the answer
    int8_t sent                 # with records
    int8_t forgotten            # leaves its session
    # what a session's client was told last; -1: nothing, or an error
    int64_t told_high_watermark
    int64_t told_log_start
    int32_t diverging_epoch
    int64_t diverging_offset

cdef struct FetchTopic:
    const uint8_t *name         # or the id's 16 bytes (v13+)
    int32_t name_size
    int32_t partition_count     # scratch of fetch_set.pyx

# The partitions of a request: its own, or for as long as it takes those of its session.
cdef struct FetchSet:
    FetchTopic *topics
    int32_t topic_count
    int32_t topic_capacity
    FetchPartition *partitions
    int32_t partition_count
    int32_t partition_capacity
    int32_t *order              # numbers of partitions; NULL: as they stand

cdef struct FetchRequest:
    FetchRequest *next          # free list, or the reactor's list of parked ones
    int32_t behind              # in the free list: how many come after it
    FetchRequest *previous
    Mail woken                  # posted by the first wake
    Mail drained                # posted by the last wake after the reactor has let go
    Timer timer
    Reactor *reactor
    Response *response
    # its own copy: a waiting fetch must not hold the connection's buffer
    uint8_t *frame
    int64_t frame_capacity
    RequestHead head
    int32_t replica_id
    int32_t max_wait_ms
    int32_t min_bytes
    int32_t max_bytes
    int8_t read_committed
    int32_t session_id
    int32_t session_epoch
    int16_t error               # of the whole response
    int64_t deadline_ms
    # the protocol between the waking threads and the reactor, see fetch.pyx
    int32_t waiting             # atomic
    int32_t posted              # atomic
    int8_t parked
    int8_t delivered
    int8_t all_drained
    int8_t expired
    FetchSet set
    void *session               # whose partitions are in `set`, see fetch_sessions.pyx
    int32_t answered_session    # id in the answer; 0: none
    const uint8_t *forgotten    # the array of forgotten topics, checked, in `frame`
    int64_t forgotten_size
    # while the disk has the request, nobody else touches it; see cold_reads.pyx
    DiskJob job
    Mail cached
    void (*cold_done)(FetchRequest *request) noexcept nogil
    DiskState *cold_disk
    int64_t cold_bytes
    int8_t cold                 # something that it wants is not cached
    int8_t warmed               # how many times that has been cached
    int8_t unaided              # there is no thread for it
    int64_t charged             # of the memory budget and its connection's, unless it is small

cdef inline FetchPartition *fetch_set_nth(FetchSet *set, int32_t place) noexcept nogil:
    return &set.partitions[set.order[place] if set.order != NULL else place]

# One more at the end, not initialised. NULL: out of memory.
cdef FetchTopic *fetch_set_topic(FetchSet *set) noexcept nogil
cdef FetchPartition *fetch_set_partition(FetchSet *set) noexcept nogil
# A topic's name, or its id.
cdef void fetch_read_name(FetchRequest *request, Cursor *cursor, Text *name) noexcept nogil
cdef const char *fetch_parse(FetchRequest *request, const uint8_t *frame,
                             int64_t size) noexcept nogil
# Encodes head, topics and partitions; the records by file ranges or, when short, read into the
# response. 0, ENOMEM, or EIO (a short read). The pins of partitions' reads are given back or passed
# on.
cdef int fetch_encode(FetchRequest *request) noexcept nogil
