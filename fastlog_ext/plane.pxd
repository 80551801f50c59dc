# The structures that the modules of the network half share. A reactor and all that hangs on it is
# touched by its own thread only, except what says otherwise.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint64_t
from fastlog_ext.admission cimport Admission
from fastlog_ext.append_queue cimport AppendQueue
from fastlog_ext.buffers cimport (
    BUFFER_HEAD, PURPOSES, Buffer, BufferCache, MemoryBudget)
from fastlog_ext.events cimport EventQueue
from fastlog_ext.mailbox cimport Mail, Mailbox
from fastlog_ext.partition_log cimport PartitionLog, ReadHint
from fastlog_ext.reclaim cimport ReclaimSlot
from fastlog_ext.segment cimport SegmentFiles
from fastlog_ext.sockets cimport sockaddr_storage
from fastlog_ext.stats cimport Counters
from fastlog_ext.system cimport pthread_mutex_t, pthread_t
from fastlog_ext.timers cimport Timer, TimerHeap
from fastlog_ext.topics cimport TopicTable
from fastlog_ext.transport cimport Transport

cdef enum:
    API_PRODUCE = 0
    API_FETCH = 1
    PRODUCE_FIRST = 3
    PRODUCE_LAST = 13
    FETCH_FIRST = 4
    FETCH_LAST = 18
    LISTENERS_MAX = 16
    HANDOFF_QUEUES = 64

# A range of a log's file that goes out after the first `after` bytes of its response.
cdef struct FilePiece:
    int64_t after
    SegmentFiles *files         # pinned
    int64_t position
    int64_t size

# One slot in a connection's queue of responses; leaves when it is ready and all before it have
# left.
cdef struct Response:
    Response *next
    Connection *connection
    int8_t ready
    uint8_t *bytes              # the length prefix first
    int64_t capacity
    int64_t size
    int64_t sent
    FilePiece *pieces
    int32_t piece_count
    int32_t piece_capacity
    int32_t piece_next          # pieces before it have left
    void *owner                 # the request, while it is not ready
    # it waits for others, and its connection is gone. NULL: it will be ready soon
    void (*cancel)(void *owner) noexcept nogil

cdef struct HintSlot:
    PartitionLog *log           # retained, so that its address cannot come to mean another log
    ReadHint hint

cdef struct Connection:
    Connection *next
    Connection *previous
    Connection *next_dirty
    Reactor *reactor
    const Transport *transport
    void *state                 # the transport's
    int fd                      # what epoll watches
    Mail mail
    int64_t id                  # unique in the process
    int32_t address_queue       # of its address: which of HANDOFF_QUEUES
    int32_t listener
    sockaddr_storage peer
    sockaddr_storage local
    int8_t dirty
    int8_t pumping              # it is its turn: what gets ready needs no second one
    int8_t hangup               # the peer has closed: read on to the end
    int8_t readable
    int8_t writable
    int32_t closed              # written on its reactor, relaxed: others may look
    int8_t ending               # nothing more is read; it closes when its answers have left
    # 1: a request has been handed over, to the control plane or to a thread that looks at its
    # records; what is behind it waits
    int8_t barrier
    int8_t in_session           # a fetch of a session is on its way: the next one waits for it
    int8_t starved              # 1: waits for memory, in the reactor's list for `purpose`
    int8_t purpose
    Connection *next_starved
    Connection *previous_starved
    int64_t starved_since_ms
    int32_t pins                # responses that are not ready, and the registry's own
    Buffer *input
    Buffer head                 # the input while only a frame's length is here
    uint8_t head_bytes[BUFFER_HEAD]
    int64_t parsed              # bytes of input already parsed
    int64_t filled
    int64_t frame_hint          # whole size of the last frame; 0: there was none yet
    int64_t received            # bytes, ever
    int64_t sent
    int64_t joined_ms
    int64_t active_ms           # when it last had its turn
    # What the last look for slow peers saw: where the request begins that is coming in (-1: none),
    # how far it had come, and when.
    int64_t slow_begin
    int64_t slow_mark
    int64_t slow_since_ms
    # 1: it was there when memory began to be short, and what it had received and sent by then
    int8_t pressed
    int64_t pressed_received
    int64_t pressed_sent
    int32_t read_size           # what one read may take: more while reads come back full
    Response *first
    Response *last
    int32_t queued
    int32_t pending             # queued and not ready
    int32_t appending           # Produce requests whose appends have not ended
    int64_t queued_bytes        # memory held by ready responses
    int64_t short_bytes         # of these, in responses that are too short to count by themselves
    int64_t charged_bytes       # what of them counts in the memory budget
    int64_t held_bytes          # of frames whose requests are under way and need them
    HintSlot *hints
    int32_t hint_count

cdef struct StarvedList:
    Connection *first           # has waited longest
    Connection *last

cdef struct Reactor:
    pthread_t thread
    int32_t number
    int32_t state               # atomic: 0 new, 1 runs, 2 ended
    int epoll_fd
    Plane *plane
    Mailbox mailbox             # any thread
    TimerHeap timers
    BufferCache buffers
    ReclaimSlot *slot
    Counters counters
    Connection *connections
    Connection *dirty           # to be pumped in this turn
    Connection *graveyard       # closed in this turn, freed at its end
    int32_t load                # atomic: connections assigned
    int32_t live                # connections not freed yet
    Response *free_responses
    int32_t free_response_count
    AppendQueue appends         # of this turn
    void *submitted             # Produce requests of these appends, oldest first
    void *last_submitted
    void *free_produces
    void *free_fetches
    void *parked                # list of parked fetches
    int64_t now_ms              # monotonic, taken once a turn
    int8_t stopping
    int8_t alone                # at most one connection has something to do in this turn
    int64_t stop_deadline_ms
    Mail stop_mail
    Timer look_timer            # for connections whose time is up
    int64_t look_ms
    Connection *look_at         # where a look that is under way goes on
    int64_t look_next_ms        # when the next one must begin
    StarvedList starved[PURPOSES]
    int32_t starving            # connections in these lists
    int32_t lendings
    Timer lending_timer
    int64_t lending_mark        # what the borrower had received at the last look
    int64_t lent_at             # what it had received when it was chosen, and when that was
    int64_t lent_at_ms
    int32_t pressed             # atomic, 1: a connection somewhere waits for memory
    Mail press_mail
    Timer press_timer
    # of the reactor that owns the listeners: nothing can be accepted now, try later
    Timer accept_timer
    int8_t accepting
    int64_t file_send_min

cdef struct Handoff:
    Mail mail
    Handoff *next
    Connection *connection      # pinned
    Response *response
    uint8_t *answer             # malloc'ed, NULL: close the connection
    int64_t answer_size
    int64_t frame_size
    uint8_t frame[1]

cdef struct HandoffQueue:
    Handoff *first
    Handoff *last

# Served in turn; an address has its requests in one of them.
cdef struct HandoffQueues:
    uint64_t waiting            # a bit for each queue: it is not empty
    int32_t turn
    HandoffQueue queues[HANDOFF_QUEUES]

# One broker's data plane.
cdef struct Plane:
    TopicTable *topics
    MemoryBudget budget         # atomic
    EventQueue events
    int32_t max_request_bytes
    int32_t max_control_bytes   # of a request that the control plane answers
    int32_t max_fetch_bytes
    int32_t max_elements        # of one Produce or Fetch: topics and partitions
    void *sessions              # of fetches, see fetch_sessions.pxd
    int32_t node_id
    int32_t reactor_count
    Reactor *reactors
    int32_t listener_count
    int listeners[LISTENERS_MAX]
    Admission admission
    int64_t idle_ms             # 0: without end; so are the next two
    int64_t first_request_ms
    int64_t receive_ms          # for each PROGRESS bytes of a request (expiry.pyx), or its rest
    int32_t accepting_ended     # atomic: no reactor will be given another connection
    int64_t drain_ms
    int request_fd
    pthread_mutex_t handoff_lock
    HandoffQueues handoffs[2]   # of peers that wait for the answer, of peers that have sent more
    int64_t handoffs_taken
    int32_t walk_records
    int64_t max_decoded_bytes   # of one Produce, to look at its records
