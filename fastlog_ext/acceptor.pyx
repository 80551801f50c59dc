"""Accepting connections.

Without descriptors a listener would be ready for ever: it is then left alone for a moment instead.
"""
from libc.stdint cimport int32_t, int64_t, intptr_t
from fastlog_ext.connection_life cimport connection_join, connection_new
from fastlog_ext.events cimport events_put
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.plane cimport Connection, Plane, Reactor
from fastlog_ext.responses cimport mark_dirty
from fastlog_ext.sockets cimport (
    EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLL_CTL_ADD, EPOLL_CTL_DEL, accept_connection,
    epoll_ctl, epoll_event, set_no_delay)
from fastlog_ext.connection_life cimport connection_close
from fastlog_ext.system cimport (
    EINTR, EMFILE, ENFILE, ENOMEM, ECONNRESET, add32, close, last_errno, load32_relaxed)
from fastlog_ext.timers cimport Timer, timer_set
from fastlog_ext.transport cimport socket_transport

cdef enum:
    ACCEPT_AT_ONCE = 64         # of one listener in one turn
    PAUSE_MS = 100              # without descriptors


cdef int watch(Reactor *reactor) noexcept nogil:
    cdef epoll_event event
    cdef int32_t number
    for number in range(reactor.plane.listener_count):
        event.events = EPOLLIN
        event.data.ptr = &reactor.plane.listeners[number]
        if epoll_ctl(reactor.epoll_fd, EPOLL_CTL_ADD, reactor.plane.listeners[number], &event):
            return last_errno()
    reactor.accepting = 1
    return 0


cdef void unwatch(Reactor *reactor) noexcept nogil:
    cdef int32_t number
    for number in range(reactor.plane.listener_count):
        epoll_ctl(reactor.epoll_fd, EPOLL_CTL_DEL, reactor.plane.listeners[number], NULL)
    reactor.accepting = 0


cdef int acceptor_open(Reactor *reactor) noexcept nogil:
    reactor.accept_timer.owner = reactor
    reactor.accept_timer.fire = try_again
    return watch(reactor)


cdef void try_again(Timer *timer) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>timer.owner
    if not reactor.stopping and not reactor.accepting:
        watch(reactor)


cdef void acceptor_close(Reactor *reactor) noexcept nogil:
    cdef int32_t number
    if reactor.accepting:
        unwatch(reactor)
    for number in range(reactor.plane.listener_count):
        if reactor.plane.listeners[number] >= 0:
            close(reactor.plane.listeners[number])
            reactor.plane.listeners[number] = -1


cdef Reactor *least_loaded(Plane *plane) noexcept nogil:
    cdef Reactor *best = &plane.reactors[0]
    cdef int32_t number
    for number in range(1, plane.reactor_count):
        if load32_relaxed(&plane.reactors[number].load) < load32_relaxed(&best.load):
            best = &plane.reactors[number]
    return best


cdef void joined(Mail *mail) noexcept nogil:
    """On the new connection's own reactor."""
    cdef Connection *connection = <Connection *>mail.owner
    cdef Reactor *reactor = connection.reactor
    cdef epoll_event event
    connection_join(connection)
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
    event.data.ptr = connection
    if reactor.stopping or epoll_ctl(reactor.epoll_fd, EPOLL_CTL_ADD, connection.fd, &event):
        connection_close(connection)
        return
    mark_dirty(connection)


cdef void acceptor_run(Reactor *reactor, int listener) noexcept nogil:
    cdef Plane *plane = reactor.plane
    cdef Connection *connection
    cdef Reactor *home
    cdef int fd, error, number
    for number in range(ACCEPT_AT_ONCE):
        fd = accept_connection(plane.listeners[listener])
        if fd < 0:
            error = last_errno()
            if error == EINTR:
                continue
            if error == EMFILE or error == ENFILE or error == ENOMEM:
                events_put(&plane.events, "no_descriptors", "cannot accept a connection")
                unwatch(reactor)
                timer_set(&reactor.timers, &reactor.accept_timer, reactor.now_ms + PAUSE_MS)
            return
        set_no_delay(fd)
        home = least_loaded(plane)
        connection = connection_new(home, socket_transport(), <void *><intptr_t>fd, fd, listener)
        if connection == NULL:
            close(fd)
            return
        add32(&home.load, 1)
        connection.mail.owner = connection
        connection.mail.deliver = joined
        mailbox_post(&home.mailbox, &connection.mail)
