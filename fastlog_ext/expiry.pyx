"""Timeouts of connections.

Nothing is timed while requests come and go. A look at each connection of the reactor, as often as
the timeouts need it and at most once a second, compares the connection with what the last look
noted on it. Some have theirs in one turn and some in the next; a reactor without connections is not
woken at all.

Activity is what Kafka takes for it: an event of the socket, or an answer that leaves. A fetch that
waits for longer than `connections.max.idle.ms` loses its connection, as there.
"""
from libc.stdint cimport INT64_MAX, int32_t, int64_t
from fastlog_ext.buffers cimport memory_is_short
from fastlog_ext.connection_life cimport connection_close, tell_of_peer
from fastlog_ext.endian cimport get32
from fastlog_ext.mailbox cimport Mail
from fastlog_ext.plane cimport Connection, Plane, Reactor
from fastlog_ext.stats cimport CONNECTIONS_EXPIRED, count
from fastlog_ext.system cimport store32_seq
from fastlog_ext.timers cimport Timer, timer_set

cdef enum:
    LOOK_LEAST_MS = 1000        # between two looks
    LOOK_MOST_MS = 60000
    LOOKED_AT_ONCE = 512        # connections in one turn: a tenth of a millisecond
    CLOSING = 15                # one that is closed costs as much as so many more
    PROGRESS = 65536            # bytes of a request that renew its time
    PRESSED_MS = 1000           # for so many bytes, while others wait for the memory


cdef void expiry_open(Reactor *reactor) noexcept nogil:
    cdef Plane *plane = reactor.plane
    cdef int64_t interval = LOOK_MOST_MS
    cdef int64_t limits[3]
    cdef int number
    limits[0] = plane.idle_ms
    limits[1] = plane.first_request_ms
    limits[2] = plane.receive_ms
    for number in range(3):
        if limits[number] > 0 and limits[number] // 4 < interval:
            interval = limits[number] // 4
    reactor.look_ms = interval if interval > LOOK_LEAST_MS else LOOK_LEAST_MS
    reactor.look_timer.owner = reactor
    reactor.look_timer.fire = look
    reactor.press_mail.owner = reactor
    reactor.press_mail.deliver = deliver_press
    reactor.press_timer.owner = reactor
    reactor.press_timer.fire = press_fired


cdef void expiry_expect(Reactor *reactor) noexcept nogil:
    cdef Plane *plane = reactor.plane
    if reactor.look_timer.place == 0 and (plane.idle_ms or plane.first_request_ms
                                          or plane.receive_ms):
        timer_set(&reactor.timers, &reactor.look_timer, reactor.now_ms + reactor.look_ms)


cdef int waits_for_the_rest(Connection *connection) noexcept nogil:
    cdef int64_t left = connection.filled - connection.parsed
    if (connection.input == NULL or left == 0 or connection.barrier or connection.starved
            or connection.readable):
        return 0
    return left < 4 or left < <int64_t>get32(connection.input.data + connection.parsed) + 4


cdef int64_t receive_deadline(Connection *connection, int64_t now_ms) noexcept nogil:
    """When the request that is coming in must have gone on; requests are told apart by where they
    begin in the stream."""
    cdef int64_t begin
    if not waits_for_the_rest(connection):
        connection.slow_begin = -1
        return INT64_MAX
    begin = connection.received - (connection.filled - connection.parsed)
    if begin != connection.slow_begin or connection.received - connection.slow_mark >= PROGRESS:
        connection.slow_begin = begin
        connection.slow_mark = connection.received
        connection.slow_since_ms = now_ms
    return connection.slow_since_ms + connection.reactor.plane.receive_ms


cdef int64_t deadline(Connection *connection, int64_t now_ms, const char **reason) noexcept nogil:
    """The earliest there is; `reason` NULL: it was just idle, which is not worth a word."""
    cdef Plane *plane = connection.reactor.plane
    cdef int64_t first = INT64_MAX
    cdef int64_t due
    reason[0] = NULL
    if plane.idle_ms > 0:
        first = connection.active_ms + plane.idle_ms
    if plane.first_request_ms > 0 and connection.frame_hint == 0:
        due = connection.joined_ms + plane.first_request_ms
        if due < first:
            first = due
            reason[0] = "no request within the time for the first"
    if plane.receive_ms > 0:
        due = receive_deadline(connection, now_ms)
        if due < first:
            first = due
            reason[0] = "a request that does not come to its end"
    return first


cdef void expire(Connection *connection, const char *reason) noexcept nogil:
    count(&connection.reactor.counters, CONNECTIONS_EXPIRED, 1)
    if reason != NULL:
        tell_of_peer(connection, "connection_timed_out", reason)
    connection_close(connection)


cdef void look(Timer *timer) noexcept nogil:
    """A part of all connections; the others after what else the reactor has to do."""
    cdef Reactor *reactor = <Reactor *>timer.owner
    cdef int64_t now_ms = reactor.now_ms
    cdef int64_t due
    cdef const char *reason
    cdef Connection *connection
    cdef int32_t left = LOOKED_AT_ONCE
    if reactor.stopping:
        return
    if reactor.look_at == NULL:
        reactor.look_at = reactor.connections
        reactor.look_next_ms = now_ms + reactor.look_ms
    while reactor.look_at != NULL and left > 0:
        connection = reactor.look_at
        reactor.look_at = connection.next
        left -= 1
        due = deadline(connection, now_ms, &reason)
        if due <= now_ms:
            expire(connection, reason)
            left -= CLOSING
        elif due < reactor.look_next_ms:
            reactor.look_next_ms = due
    if reactor.look_at != NULL:
        timer_set(&reactor.timers, &reactor.look_timer, now_ms + 1)
    elif reactor.connections != NULL:
        timer_set(&reactor.timers, &reactor.look_timer,
                  max(reactor.look_next_ms, now_ms + LOOK_LEAST_MS))


# --- who keeps the memory of others ---

cdef void deliver_press(Mail *mail) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>mail.owner
    cdef Connection *connection = reactor.connections
    while connection != NULL:
        connection.pressed_received = connection.received
        connection.pressed_sent = connection.sent
        connection.pressed = 1
        connection = connection.next
    if timer_set(&reactor.timers, &reactor.press_timer, reactor.now_ms + PRESSED_MS):
        store32_seq(&reactor.pressed, 0)


cdef const char *keeps_memory(Connection *connection) noexcept nogil:
    """Of whom: it has hardly sent or read anything since memory began to be short. Or NULL."""
    if not connection.pressed:
        return NULL
    if (waits_for_the_rest(connection)
            and connection.received - connection.pressed_received < PROGRESS):
        return "an unfinished request while the memory for requests is short"
    if (connection.queued_bytes > PROGRESS and not connection.writable
            and connection.sent - connection.pressed_sent < PROGRESS):
        return "answers that are not read while the memory for requests is short"
    return NULL


cdef void press_fired(Timer *timer) noexcept nogil:
    """Whoever keeps memory makes room for the others."""
    cdef Reactor *reactor = <Reactor *>timer.owner
    cdef Connection *connection
    cdef Connection *following = reactor.connections
    cdef const char *reason
    store32_seq(&reactor.pressed, 0)
    while following != NULL and not reactor.stopping:
        connection = following
        following = connection.next
        reason = NULL
        if memory_is_short(&reactor.plane.budget):
            reason = keeps_memory(connection)
        connection.pressed = 0
        if reason != NULL:
            expire(connection, reason)
