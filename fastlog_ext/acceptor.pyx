"""Accepting connections.

A listener that nothing can be accepted from would be ready for ever, so it is left alone until the
reason has gone: too many connections (until one closes), too many in a second, few descriptors, or
whatever else the kernel says (then for a moment; the last descriptors are kept for the files that
the rest of the broker opens).
"""
from libc.stdint cimport int32_t, int64_t, intptr_t
from libc.stdlib cimport free
from fastlog_ext.admission cimport (
    admission_await, admission_delay, admission_enter, admission_full)
from fastlog_ext.connection_life cimport (
    connection_close, connection_join, connection_new, tell_of_peer)
from fastlog_ext.events cimport EVENT_TEXT, events_put
from fastlog_ext.expiry cimport expiry_expect
from fastlog_ext.mailbox cimport Mail, mailbox_post
from fastlog_ext.plane cimport Connection, Plane, Reactor
from fastlog_ext.responses cimport mark_dirty
from fastlog_ext.sockets cimport (
    EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLL_CTL_ADD, EPOLL_CTL_DEL, accept_connection,
    descriptors_above, epoll_ctl, epoll_event, set_no_delay)
from fastlog_ext.stats cimport CONNECTIONS_REFUSED, count
from fastlog_ext.system cimport (
    EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, add32, close, dup, last_errno, load32_relaxed,
    snprintf)
from fastlog_ext.timers cimport Timer, timer_set
from fastlog_ext.transport cimport socket_transport

cdef enum:
    ACCEPT_AT_ONCE = 16         # of one listener in one turn: each takes some ten microseconds
    PAUSE_MS = 100              # while descriptors are few, or nothing can be accepted
    DESCRIPTORS_KEPT = 32       # not given to connections


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
    reactor.plane.admission.acceptor = &reactor.mailbox
    reactor.plane.admission.freed.owner = reactor
    reactor.plane.admission.freed.deliver = one_has_closed
    return watch(reactor)


cdef void resume(Reactor *reactor) noexcept nogil:
    if not reactor.stopping and not reactor.accepting:
        watch(reactor)


cdef void pause(Reactor *reactor, int64_t milliseconds) noexcept nogil:
    unwatch(reactor)
    timer_set(&reactor.timers, &reactor.accept_timer, reactor.now_ms + milliseconds)


cdef int few_descriptors(Reactor *reactor) noexcept nogil:
    """A copy of a descriptor gets the lowest number that is free."""
    cdef int lowest = dup(reactor.epoll_fd)
    if lowest < 0:
        return 1
    close(lowest)
    return descriptors_above(lowest) < DESCRIPTORS_KEPT


cdef void try_again(Timer *timer) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>timer.owner
    if not reactor.stopping and few_descriptors(reactor):
        pause(reactor, PAUSE_MS)
    else:
        resume(reactor)


cdef void one_has_closed(Mail *mail) noexcept nogil:
    resume(<Reactor *>mail.owner)


cdef void acceptor_close(Reactor *reactor) noexcept nogil:
    cdef int32_t number
    if reactor.accepting:
        unwatch(reactor)
    for number in range(reactor.plane.listener_count):
        if reactor.plane.listeners[number] >= 0:
            close(reactor.plane.listeners[number])
            reactor.plane.listeners[number] = -1


cdef int may_accept(Reactor *reactor) noexcept nogil:
    """0: not now; what has to happen first will resume it."""
    cdef Plane *plane = reactor.plane
    cdef int64_t early_ms
    if admission_full(&plane.admission):
        unwatch(reactor)
        if admission_await(&plane.admission):
            events_put(&plane.events, "connections_full", "accepting waits until one closes")
            return 0
        watch(reactor)
    early_ms = admission_delay(&plane.admission, reactor.now_ms)
    if early_ms:
        events_put(&plane.events, "connections_too_fast", "accepting is slowed down")
        pause(reactor, early_ms)
        return 0
    return 1


cdef void no_descriptors(Reactor *reactor) noexcept nogil:
    events_put(&reactor.plane.events, "no_descriptors", "accepting waits until some are free")
    pause(reactor, PAUSE_MS)


cdef void cannot_accept(Reactor *reactor, int error) noexcept nogil:
    cdef char text[EVENT_TEXT]
    if error == EMFILE or error == ENFILE:
        no_descriptors(reactor)
        return
    snprintf(text, sizeof(text), "errno %d, again in %d ms", error, PAUSE_MS)
    events_put(&reactor.plane.events, "cannot_accept", text)
    pause(reactor, PAUSE_MS)


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
    expiry_expect(reactor)
    mark_dirty(connection)


cdef int welcome(Reactor *reactor, int fd, int listener) noexcept nogil:
    """Makes a connection of an accepted socket, or closes it. 0: out of memory."""
    cdef Reactor *home = least_loaded(reactor.plane)
    cdef Connection *connection = connection_new(
        home, socket_transport(), <void *><intptr_t>fd, fd, listener)
    cdef const char *refusal
    if connection == NULL:
        close(fd)
        return 0
    refusal = admission_enter(&reactor.plane.admission, &connection.peer)
    if refusal != NULL:
        count(&reactor.counters, CONNECTIONS_REFUSED, 1)
        tell_of_peer(connection, "connection_refused", refusal)
        free(connection)
        close(fd)
        return 1
    set_no_delay(fd)
    add32(&home.load, 1)
    connection.mail.owner = connection
    connection.mail.deliver = joined
    mailbox_post(&home.mailbox, &connection.mail)
    return 1


cdef void acceptor_run(Reactor *reactor, int listener) noexcept nogil:
    cdef int fd, error, number
    for number in range(ACCEPT_AT_ONCE):
        if not may_accept(reactor):
            return
        fd = accept_connection(reactor.plane.listeners[listener])
        if fd < 0:
            error = last_errno()
            if error == EINTR or error == ECONNABORTED:
                continue                # the next one may be there
            if error != EAGAIN:
                cannot_accept(reactor, error)
            return
        if not welcome(reactor, fd, listener):
            return
        # A new descriptor has the lowest number that was free.
        if descriptors_above(fd + 1) < DESCRIPTORS_KEPT:
            no_descriptors(reactor)
            return
