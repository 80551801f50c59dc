"""Framing, dispatch, back-pressure.

Frames are parsed where they were received. A buffer serves several frames; requests that need their
bytes longer hold a reference. The last frame's size is the guess for the next: a read is cut at a
multiple of it, so that in a steady stream no frame is split between two buffers and nothing is ever
copied. How much a read may take follows what comes: twice as much after one that came back full,
half as much after one that hardly used it.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.string cimport memcpy
from fastlog_ext.buffers cimport (
    BUFFER_HEAD, BUFFER_SMALL, FOR_REST, FOR_SHORT, FOR_START, Buffer, BufferCache,
    MemoryBudget, buffer_lend, buffer_of_head, buffer_release, buffer_retain, buffer_take,
    is_head)
from fastlog_ext.connection_life cimport (
    connection_close, connection_end, connection_refuse)
from fastlog_ext.endian cimport get16, get32
from fastlog_ext.fetch cimport fetch_start
from fastlog_ext.handoff cimport handoff_start
from fastlog_ext.plane cimport (
    API_FETCH, API_PRODUCE, FETCH_FIRST, FETCH_LAST, PRODUCE_FIRST, PRODUCE_LAST, Connection)
from fastlog_ext.pressure cimport memory_press
from fastlog_ext.produce cimport produce_flush, produce_start
from fastlog_ext.responses cimport mark_dirty, responses_are_due, responses_send
from fastlog_ext.starved cimport starved_join, starved_leave
from fastlog_ext.stats cimport BYTES_IN, BYTES_MOVED, READS_PAUSED, RECEIVES, count
from fastlog_ext.system cimport EAGAIN, load64_relaxed

cdef enum:
    # responses of one connection that wait to leave; past it, no more is parsed
    QUEUED_MOST = 256
    QUEUED_BYTES_MOST = 4194304 # the same in bytes of memory
    QUEUED_BYTES_SHORT = 65536  # while memory is not plenty
    HELD_BYTES_MOST = 33554432  # of frames that are still needed; one always is let in
    # Once a connection has read so many bytes, others have their turn: at most this and one read.
    RECEIVE_BUDGET = 262144
    # Where no others are: longer writes to each partition, whose pages cost less.
    RECEIVE_BUDGET_ALONE = 1048576
    BELIEVED_AT_ONCE = 1179648  # room that a frame gets because of its length alone
    HEAD_LEAST = 10             # api_key, version, correlation_id, client_id's length
    GUESS_LEAST = 4096          # frames below this are not worth cutting reads for
    GUESS_MOST = 4194304        # nor is a buffer above this worth having for a guess
    READ_MOST = 524288          # bytes of one read

# What stopped the parser.
cdef enum:
    NEEDS_BYTES = 0
    QUEUE_FULL = 1
    # a request that others have is before it, or it must wait for what is before it
    BARRIER = 2


cdef inline int plenty_of_memory(Connection *connection) noexcept nogil:
    cdef MemoryBudget *budget = &connection.reactor.plane.budget
    return load64_relaxed(&budget.used) <= budget.limit // 4


cdef inline int queue_full(Connection *connection) noexcept nogil:
    return (connection.queued >= QUEUED_MOST or connection.queued_bytes >= QUEUED_BYTES_MOST
            or connection.held_bytes >= HELD_BYTES_MOST
            or (connection.queued_bytes >= QUEUED_BYTES_SHORT
                and not plenty_of_memory(connection)))


cdef int must_wait_for_appends(Connection *connection) noexcept nogil:
    """A Fetch sees what was produced before it. 1: not yet, or the connection has been closed."""
    if connection.appending:
        produce_flush(connection.reactor)
    return connection.closed or connection.appending > 0


cdef const char *start_frame(Connection *connection, Buffer *buffer, uint8_t *frame, int32_t size,
                             int16_t api_key, int16_t version) noexcept nogil:
    """NULL, or why the connection must be closed."""
    if api_key == API_PRODUCE:
        if version < PRODUCE_FIRST or version > PRODUCE_LAST:
            return "Produce in a version that is not served"
        return produce_start(connection, buffer, frame, size)
    if api_key == API_FETCH:
        if version < FETCH_FIRST or version > FETCH_LAST:
            return "Fetch in a version that is not served"
        return fetch_start(connection, frame, size)
    if handoff_start(connection, frame, size):
        return "out of memory for a request"
    return NULL


cdef int parse(Connection *connection) noexcept nogil:
    """Starts every whole frame in the buffer that may start now. The caller holds a reference to
    the buffer."""
    cdef Buffer *buffer = connection.input
    cdef int64_t left
    cdef int32_t size
    cdef int16_t api_key
    cdef uint8_t *frame
    cdef const char *reason
    while not connection.closed and not connection.ending:
        if connection.barrier or connection.reactor.stopping:
            return BARRIER
        left = connection.filled - connection.parsed
        if left < 4:
            return NEEDS_BYTES
        frame = buffer.data + connection.parsed
        size = get32(frame)
        if size < HEAD_LEAST or size > connection.reactor.plane.max_request_bytes:
            connection_refuse(connection, "frame of impossible size")
            break
        api_key = get16(frame + 4) if left >= 6 else API_PRODUCE
        if (api_key != API_PRODUCE and api_key != API_FETCH
                and size > connection.reactor.plane.max_control_bytes):
            connection_refuse(connection, "request too large for its kind")
            break
        if left < <int64_t>size + 4:
            return NEEDS_BYTES
        if queue_full(connection):
            return QUEUE_FULL
        if api_key != API_PRODUCE and api_key != API_FETCH and connection.pending:
            return BARRIER
        if api_key == API_FETCH and (connection.in_session or must_wait_for_appends(connection)):
            return BARRIER
        connection.parsed += <int64_t>size + 4
        connection.frame_hint = <int64_t>size + 4
        reason = start_frame(connection, buffer, frame + 4, size, api_key, get16(frame + 6))
        if reason != NULL:
            connection_refuse(connection, reason)
    return BARRIER


cdef void release_input(Connection *connection) noexcept nogil:
    """An idle connection holds no buffer."""
    cdef Buffer *buffer = connection.input
    if buffer != NULL and connection.parsed == connection.filled:
        connection.input = NULL
        connection.parsed = 0
        connection.filled = 0
        buffer_release(buffer)


cdef int parse_input(Connection *connection) noexcept nogil:
    cdef Buffer *buffer = connection.input
    cdef int result
    if buffer == NULL:
        return BARRIER if (connection.barrier or connection.ending
                           or connection.reactor.stopping) else NEEDS_BYTES
    buffer_retain(buffer)
    result = parse(connection)
    release_input(connection)
    buffer_release(buffer)
    return result


cdef int64_t frame_size(Connection *connection) noexcept nogil:
    """Of what is being received, with its length prefix: a guess until its first bytes are here. A
    long frame has room for what has come and as much again: a length is only a claim, and believed
    beyond that only while there is plenty, or of a peer that has sent as much before."""
    cdef int64_t left = connection.filled - connection.parsed
    cdef int64_t believed
    if left >= 4:
        if plenty_of_memory(connection):
            believed = max(<int64_t>BELIEVED_AT_ONCE, 2 * left, connection.frame_hint)
        else:
            believed = max(2 * left, min(connection.frame_hint, <int64_t>BELIEVED_AT_ONCE))
        return min(<int64_t>get32(connection.input.data + connection.parsed) + 4, believed)
    if left < connection.frame_hint <= GUESS_MOST:
        return connection.frame_hint
    return left + 1


cdef int64_t buffer_size(Connection *connection, int64_t frame) noexcept nogil:
    """As much as one read may take."""
    return max(frame, <int64_t>connection.read_size) if plenty_of_memory(connection) else frame


cdef inline int64_t whole_frame(Connection *connection) noexcept nogil:
    """Its size as its peer claims it; before that is here, room to read it."""
    if connection.input == NULL or connection.filled - connection.parsed < 4:
        return BUFFER_SMALL
    return <int64_t>get32(connection.input.data + connection.parsed) + 4


cdef int what_for(Connection *connection, int64_t size) noexcept nogil:
    if max(size, whole_frame(connection)) <= BUFFER_SMALL:
        return FOR_SHORT
    return FOR_START if connection.input == NULL or is_head(connection.input) else FOR_REST


cdef int make_room(Connection *connection, int64_t frame) noexcept nogil:
    """A buffer that holds the frame that is being received. 0: no memory now. Unless there is
    plenty, its length is read before it has any."""
    cdef Buffer *old = connection.input
    cdef Buffer *buffer
    cdef BufferCache *buffers = &connection.reactor.buffers
    cdef int64_t left = connection.filled - connection.parsed
    cdef int purpose = FOR_SHORT
    cdef int64_t size
    if old != NULL and (connection.parsed + frame <= old.capacity
                        or (is_head(old) and left < BUFFER_HEAD)):
        return 1
    if left < BUFFER_HEAD and not plenty_of_memory(connection):
        buffer = buffer_of_head(buffers, &connection.head, connection.head_bytes)
    else:
        size = buffer_size(connection, frame)
        purpose = what_for(connection, size)
        buffer = buffer_take(buffers, size, purpose)
        if buffer == NULL and buffers.borrower == connection:
            buffer = buffer_lend(buffers, whole_frame(connection), old)
    if buffer == NULL:
        starved_join(connection, purpose)
        memory_press(connection.reactor.plane)
        count(&connection.reactor.counters, READS_PAUSED, 1)
        return 0
    starved_leave(connection)
    if old != NULL:
        memcpy(buffer.data, old.data + connection.parsed, left)
        count(&connection.reactor.counters, BYTES_MOVED, left)
        buffer_release(old)
    connection.input = buffer
    connection.parsed = 0
    connection.filled = left
    return 1


cdef int64_t read_limit(Connection *connection, int64_t frame) noexcept nogil:
    """How much to read: to the end of the frame, and of as many more like the last as fit. Lent
    memory is for one frame, and that of short ones not for the beginning of a long one."""
    cdef int64_t room = connection.input.capacity - connection.filled
    cdef int64_t here = connection.filled - connection.parsed
    cdef int64_t rest = frame - here
    cdef int64_t guess = connection.frame_hint
    if is_head(connection.input):
        return BUFFER_HEAD - here
    if connection.input.lent or (connection.input.purpose == FOR_SHORT
                                 and not plenty_of_memory(connection)):
        rest = whole_frame(connection) - here if here >= 4 else 4 - here
        return min(rest, room, <int64_t>READ_MOST)
    if frame > BUFFER_SMALL and frame >= connection.read_size:
        return min(rest, <int64_t>READ_MOST)
    if guess < GUESS_LEAST or rest > room:
        return room
    return rest + (min(room, <int64_t>connection.read_size) - rest) // guess * guess


cdef void adapt(Connection *connection, int64_t limit, int64_t got) noexcept nogil:
    """What the next read may take."""
    if got == limit and connection.read_size < READ_MOST and 2 * limit >= connection.read_size:
        connection.read_size *= 2
    elif got < connection.read_size // 4 and connection.read_size > BUFFER_SMALL:
        connection.read_size //= 2


cdef int64_t receive(Connection *connection) noexcept nogil:
    """How many bytes came; 0: none now, or the connection has been closed."""
    cdef int64_t frame = frame_size(connection)
    cdef int64_t limit, got
    cdef int error = 0
    if not make_room(connection, frame):
        return 0
    limit = read_limit(connection, frame)
    got = connection.transport.recv(
        connection.state, connection.input.data + connection.filled, limit, &error)
    count(&connection.reactor.counters, RECEIVES, 1)
    if got > 0:
        connection.filled += got
        connection.received += got
        # Edge-triggered: a short read has emptied the socket, and what comes next is another event.
        connection.readable = got == limit or connection.hangup
        count(&connection.reactor.counters, BYTES_IN, got)
        if not is_head(connection.input):
            adapt(connection, limit, got)
        return got
    if got < 0 and (error == EAGAIN):
        connection.readable = 0
    elif got == 0:
        connection_end(connection)
    else:
        connection_close(connection)
    release_input(connection)
    return 0


cdef int flush(Connection *connection, int *again) noexcept nogil:
    """0, or -1: the connection has been closed."""
    cdef int result
    if connection.first == NULL or not connection.writable:
        return 0
    result = responses_send(connection)
    if result < 0:
        connection_close(connection)
        return -1
    again[0] |= result
    return 0


cdef int pump(Connection *connection) noexcept nogil:
    """1: there is more to do, after the others' turn."""
    cdef int64_t budget = RECEIVE_BUDGET_ALONE if connection.reactor.alone else RECEIVE_BUDGET
    cdef int64_t got
    cdef int again = 0
    cdef int state
    while True:
        state = parse_input(connection)
        if connection.closed or flush(connection, &again):
            return 0
        if connection.ending and not responses_are_due(connection):
            connection_close(connection)
            return 0
        if state == QUEUE_FULL and not queue_full(connection):
            continue
        if state == QUEUE_FULL and connection.hangup and not responses_are_due(connection):
            connection_close(connection)    # what it waits for may take as long as it likes
            return 0
        if state != NEEDS_BYTES or not connection.readable:
            return again
        if connection.held_bytes and not plenty_of_memory(connection):
            return again            # the rest is for those that wait for nothing; its answer wakes
        if budget <= 0:
            return 1
        got = receive(connection)
        if got == 0:
            return 0 if connection.closed else again
        budget -= got


cdef void connection_pump(Connection *connection) noexcept nogil:
    cdef int again
    if connection.closed:
        return
    connection.active_ms = connection.reactor.now_ms
    connection.pumping = 1
    again = pump(connection)
    connection.pumping = 0
    if again:
        mark_dirty(connection)
