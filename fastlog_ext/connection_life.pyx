"""How a connection begins and ends."""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from fastlog_ext.admission cimport admission_hash, admission_leave
from fastlog_ext.buffers cimport BUFFER_SMALL, buffer_release
from fastlog_ext.events cimport EVENT_TEXT, events_put
from fastlog_ext.partition_log cimport partition_log_release
from fastlog_ext.plane cimport HANDOFF_QUEUES, Connection, Reactor
from fastlog_ext.responses cimport responses_are_due, responses_drop, unpin_connection
from fastlog_ext.sockets cimport (
    EPOLL_CTL_DEL, address_text, epoll_ctl, getpeername, getsockname, sockaddr, sockaddr_storage,
    socklen_t)
from fastlog_ext.stats cimport CONNECTIONS_CLOSED, CONNECTIONS_OPENED, MALFORMED, count
from fastlog_ext.starved cimport starved_leave
from fastlog_ext.system cimport add32, add64, snprintf, store32_relaxed
from fastlog_ext.transport cimport Transport

cdef int64_t last_id = 0


cdef Connection *connection_new(Reactor *reactor, const Transport *transport, void *state, int fd,
                                int32_t listener) noexcept nogil:
    cdef Connection *connection = <Connection *>calloc(1, sizeof(Connection))
    cdef socklen_t size = sizeof(sockaddr_storage)
    if connection == NULL:
        return NULL
    connection.reactor = reactor
    connection.transport = transport
    connection.state = state
    connection.fd = fd
    connection.listener = listener
    connection.id = add64(&last_id, 1)
    connection.pins = 1
    connection.read_size = BUFFER_SMALL
    connection.readable = 1
    connection.writable = 1
    connection.slow_begin = -1
    getpeername(fd, <sockaddr *>&connection.peer, &size)
    size = sizeof(sockaddr_storage)
    getsockname(fd, <sockaddr *>&connection.local, &size)
    connection.address_queue = admission_hash(&reactor.plane.admission,
                                              &connection.peer) % HANDOFF_QUEUES
    return connection


cdef void connection_join(Connection *connection) noexcept nogil:
    cdef Reactor *reactor = connection.reactor
    connection.joined_ms = reactor.now_ms
    connection.active_ms = reactor.now_ms
    connection.previous = NULL
    connection.next = reactor.connections
    if connection.next != NULL:
        connection.next.previous = connection
    reactor.connections = connection
    reactor.live += 1
    count(&reactor.counters, CONNECTIONS_OPENED, 1)


cdef void leave_registry(Connection *connection) noexcept nogil:
    if connection.reactor.look_at == connection:
        connection.reactor.look_at = connection.next
    if connection.previous == NULL:
        connection.reactor.connections = connection.next
    else:
        connection.previous.next = connection.next
    if connection.next != NULL:
        connection.next.previous = connection.previous


cdef void leave_dirty(Connection *connection) noexcept nogil:
    cdef Connection **link = &connection.reactor.dirty
    while link[0] != NULL and link[0] != connection:
        link = &link[0].next_dirty
    if link[0] == connection:
        link[0] = connection.next_dirty
    connection.dirty = 0


cdef void connection_close(Connection *connection) noexcept nogil:
    cdef int32_t number
    if connection.closed:
        return
    store32_relaxed(&connection.closed, 1)
    if connection.dirty:
        leave_dirty(connection)
    leave_registry(connection)
    starved_leave(connection)
    if connection.reactor.buffers.borrower == connection:
        connection.reactor.buffers.borrower = NULL
    # By name: a copy of the descriptor in a child that has yet to call exec would keep it watched.
    epoll_ctl(connection.reactor.epoll_fd, EPOLL_CTL_DEL, connection.fd, NULL)
    connection.transport.close(connection.state)
    add32(&connection.reactor.load, -1)
    admission_leave(&connection.reactor.plane.admission, &connection.peer)
    count(&connection.reactor.counters, CONNECTIONS_CLOSED, 1)
    responses_drop(connection)
    if connection.input != NULL:
        buffer_release(connection.input)
        connection.input = NULL
    for number in range(connection.hint_count):
        if connection.hints[number].log != NULL:
            partition_log_release(connection.hints[number].log)
    free(connection.hints)
    connection.hints = NULL
    connection.hint_count = 0
    unpin_connection(connection)


cdef void connection_end(Connection *connection) noexcept nogil:
    if responses_are_due(connection):
        connection.ending = 1
        connection.parsed = connection.filled
    else:
        connection_close(connection)


cdef void tell_of_peer(Connection *connection, const char *kind, const char *reason) noexcept nogil:
    cdef char host[64]
    cdef char text[EVENT_TEXT]
    cdef int port = address_text(&connection.peer, host, sizeof(host))
    snprintf(text, sizeof(text), "%s:%d: %s", host, port, reason)
    events_put(&connection.reactor.plane.events, kind, text)


cdef void connection_refuse(Connection *connection, const char *reason) noexcept nogil:
    if connection.closed:
        return
    count(&connection.reactor.counters, MALFORMED, 1)
    tell_of_peer(connection, "malformed", reason)
    connection_end(connection)


cdef void connection_starve(Connection *connection) noexcept nogil:
    if connection.closed:
        return
    tell_of_peer(connection, "out_of_memory", "a long answer while the memory for requests is full")
    connection_close(connection)


cdef void reap_connections(Reactor *reactor) noexcept nogil:
    cdef Connection *connection
    while reactor.graveyard != NULL:
        connection = reactor.graveyard
        reactor.graveyard = connection.next
        reactor.live -= 1
        free(connection)
