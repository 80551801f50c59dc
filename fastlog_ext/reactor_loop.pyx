"""A reactor's turn: events, mail, timers, what they left to do; then sleep.

The thread never has a Python thread state. It holds published pointers only within a turn: it is
offline for the reclaimer while it sleeps, and quiescent at the end of each turn.
"""
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from fastlog_ext.acceptor cimport acceptor_close, acceptor_open, acceptor_run
from fastlog_ext.append_queue cimport append_queue_close, append_queue_open
from fastlog_ext.buffers cimport PURPOSES, buffers_destroy, buffers_init, memory_fits
from fastlog_ext.connection cimport connection_pump
from fastlog_ext.connection_life cimport connection_close, reap_connections
from fastlog_ext.expiry cimport expiry_open
from fastlog_ext.fetch cimport fetches_answer_parked, fetches_destroy
from fastlog_ext.handoff cimport handoff_answer, handoff_take
from fastlog_ext.lending cimport lending_choose, lending_open, lending_settle
from fastlog_ext.mailbox cimport (
    Mail, mailbox_awake, mailbox_close, mailbox_drain, mailbox_open, mailbox_post,
    mailbox_prepare_sleep)
from fastlog_ext.plane cimport LISTENERS_MAX, Connection, Handoff, Plane, Reactor
from fastlog_ext.produce cimport produce_destroy, produce_flush
from fastlog_ext.reclaim cimport (
    reclaim_collect, reclaim_offline, reclaim_online, reclaim_quiescent, reclaim_register,
    reclaim_unregister)
from fastlog_ext.responses cimport responses_destroy
from fastlog_ext.sockets cimport (
    EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLL_CLOEXEC, EPOLL_CTL_ADD,
    epoll_create1, epoll_ctl, epoll_event, epoll_wait)
from fastlog_ext.starved cimport starved_join, starved_leave
from fastlog_ext.stats cimport TURNS, count
from fastlog_ext.system cimport EMFILE, close, last_errno, load32, monotonic_ms, store32
from fastlog_ext.timers cimport timers_destroy, timers_fire, timers_next

cdef extern from * nogil:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    /* This thread's turns are short: it asks for short slices and is let in sooner where others
       compete for the processor (EEVDF, Linux 6.12; without effect before). */
    static void fl_short_slices(unsigned long long nanoseconds) {
        struct { unsigned size, policy; unsigned long long flags; int nice; unsigned priority;
                 unsigned long long runtime, deadline, period; } as = {0};
        if (syscall(SYS_sched_getattr, 0, &as, sizeof as, 0) != 0 || as.policy != 0) return;
        as.size = sizeof as;
        as.flags = 1;   /* for this thread, not for those that it starts */
        as.runtime = nanoseconds;
        syscall(SYS_sched_setattr, 0, &as, 0); }
    """
    void short_slices "fl_short_slices"(uint64_t nanoseconds) noexcept

cdef enum:
    EVENTS = 128                # of one epoll_wait
    STARVED_MS = 5              # how often those without memory look again
    RETRIED_AT_ONCE = 64        # of them, for each purpose
    SLICE_NS = 100000           # some turns; what the scheduler gives by itself is 1 to 3 ms
    LAST_WAIT_MS = 2000         # after the drain: for appends that other threads are still writing
    FILE_SEND_MIN = 12288       # records shorter than this are read and sent with their header


cdef int reactor_open(Reactor *reactor, Plane *plane, int32_t number) noexcept nogil:
    cdef epoll_event event
    cdef int error
    memset(reactor, 0, sizeof(Reactor))
    reactor.plane = plane
    reactor.number = number
    reactor.file_send_min = FILE_SEND_MIN
    reactor.mailbox.event_fd = -1
    buffers_init(&reactor.buffers, &plane.budget, &reactor.counters)
    append_queue_open(&reactor.appends, &reactor.counters)
    reactor.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
    if reactor.epoll_fd < 0:
        return last_errno()
    error = mailbox_open(&reactor.mailbox)
    if error:
        return error
    event.events = EPOLLIN | EPOLLET    # each write is one event, so that nobody need read it
    event.data.ptr = NULL
    if epoll_ctl(reactor.epoll_fd, EPOLL_CTL_ADD, reactor.mailbox.event_fd, &event):
        return last_errno()
    reactor.slot = reclaim_register()
    if reactor.slot == NULL:
        return EMFILE
    reclaim_offline(reactor.slot)       # until its thread runs it holds nothing back
    reactor.stop_mail.owner = reactor
    reactor.stop_mail.deliver = begin_stop
    return 0


cdef void reactor_free(Reactor *reactor) noexcept nogil:
    mailbox_close(&reactor.mailbox)
    if reactor.epoll_fd >= 0:
        close(reactor.epoll_fd)
        reactor.epoll_fd = -1
    if reactor.slot != NULL:
        reclaim_unregister(reactor.slot)
        reactor.slot = NULL
    timers_destroy(&reactor.timers)
    produce_destroy(reactor)
    fetches_destroy(reactor)
    responses_destroy(reactor)
    buffers_destroy(&reactor.buffers)
    append_queue_close(&reactor.appends)


cdef void reactor_stop(Reactor *reactor) noexcept nogil:
    mailbox_post(&reactor.mailbox, &reactor.stop_mail)


cdef void begin_stop(Mail *mail) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>mail.owner
    reactor.stopping = 1
    reactor.stop_deadline_ms = monotonic_ms() + reactor.plane.drain_ms
    if reactor.number == 0:
        acceptor_close(reactor)
        store32(&reactor.plane.accepting_ended, 1)
    fetches_answer_parked(reactor)


cdef void close_finished(Reactor *reactor, int everyone) noexcept nogil:
    cdef Connection *connection
    cdef Connection *following = reactor.connections
    while following != NULL:
        connection = following
        following = connection.next
        if everyone or connection.first == NULL:
            connection_close(connection)


cdef void refuse_waiting(Plane *plane) noexcept nogil:
    """Requests that the control plane will not take any more."""
    cdef Handoff *handoff = handoff_take(plane)
    while handoff != NULL:
        handoff_answer(handoff, NULL, 0)
        handoff = handoff_take(plane)


cdef int stopped(Reactor *reactor) noexcept nogil:
    """1: nothing is left to do, or nothing that may be waited for."""
    cdef int late = reactor.now_ms >= reactor.stop_deadline_ms
    if not load32(&reactor.plane.accepting_ended):
        return 0
    mailbox_drain(&reactor.mailbox)                 # the last connections that were on their way
    if late:
        # what waits for replicas is answered as timed out
        timers_fire(&reactor.timers, INT64_MAX)
        refuse_waiting(reactor.plane)
    close_finished(reactor, late)
    reap_connections(reactor)
    return reactor.live == 0 or reactor.now_ms >= reactor.stop_deadline_ms + LAST_WAIT_MS


cdef void pump_dirty(Reactor *reactor) noexcept nogil:
    """Those marked so far; what they mark again has its turn after the next look at the network."""
    cdef Connection *connection
    cdef Connection *following = reactor.dirty
    reactor.dirty = NULL
    while following != NULL:
        connection = following
        following = connection.next_dirty
        connection.dirty = 0
        connection_pump(connection)


cdef inline int several_dirty(Reactor *reactor) noexcept nogil:
    return reactor.dirty != NULL and reactor.dirty.next_dirty != NULL


cdef void retry_starved(Reactor *reactor) noexcept nogil:
    """Those that have waited longest, while there is memory for what they want."""
    cdef Connection *connection
    cdef int purpose, number
    for purpose in range(PURPOSES):
        for number in range(RETRIED_AT_ONCE):
            connection = reactor.starved[purpose].first
            if connection == NULL or not memory_fits(&reactor.plane.budget, purpose):
                break
            connection_pump(connection)
            if (reactor.starved[purpose].first == connection
                    and memory_fits(&reactor.plane.budget, purpose)):
                # The machine has none for it: others may fare better.
                starved_leave(connection)
                starved_join(connection, purpose)
    connection = lending_choose(reactor)
    if connection != NULL:
        connection_pump(connection)
        lending_settle(reactor)


cdef int sleep_limit(Reactor *reactor) noexcept nogil:
    """For epoll_wait: milliseconds, 0 not at all, -1 without end."""
    cdef int64_t next_ms = timers_next(&reactor.timers)
    cdef int64_t limit = -1
    if reactor.dirty != NULL:
        return 0
    if next_ms >= 0:
        limit = next_ms - monotonic_ms()
        if limit < 0:
            limit = 0
        if limit > 60000:
            limit = 60000
    if reactor.starving and (limit < 0 or limit > STARVED_MS):
        limit = STARVED_MS
    if reactor.stopping and (limit < 0 or limit > STARVED_MS):
        limit = STARVED_MS
    return <int>limit


cdef int wait(Reactor *reactor, epoll_event *events) noexcept nogil:
    cdef int limit = sleep_limit(reactor)
    cdef int number
    if limit != 0 and not mailbox_prepare_sleep(&reactor.mailbox):
        limit = 0
    reclaim_offline(reactor.slot)
    number = epoll_wait(reactor.epoll_fd, events, EVENTS, limit)
    reclaim_online(reactor.slot)
    mailbox_awake(&reactor.mailbox)
    reactor.now_ms = monotonic_ms()
    return number


cdef inline int is_listener(Plane *plane, void *pointer) noexcept nogil:
    return (pointer >= <void *>&plane.listeners[0]
            and pointer < <void *>&plane.listeners[LISTENERS_MAX])


cdef void handle(Reactor *reactor, epoll_event *event) noexcept nogil:
    cdef Connection *connection
    cdef void *pointer = event.data.ptr
    if pointer == NULL:
        return                          # the mailbox; drained in each turn anyway
    if is_listener(reactor.plane, pointer):
        if reactor.accepting:
            acceptor_run(reactor, <int>(<int *>pointer - &reactor.plane.listeners[0]))
        return
    connection = <Connection *>pointer
    if connection.closed:
        return
    if event.events & (EPOLLHUP | EPOLLERR):
        connection_close(connection)    # nothing can be sent any more
        return
    if event.events & EPOLLRDHUP:
        # there may be requests before the end, and answers are awaited
        connection.hangup = 1
        connection.readable = 1
    if event.events & EPOLLIN:
        connection.readable = 1
    if event.events & EPOLLOUT:
        connection.writable = 1
    if not connection.dirty:            # else its turn comes, and one is enough
        connection_pump(connection)


cdef void *reactor_main(void *argument) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>argument
    cdef epoll_event events[EVENTS]
    cdef int number, place
    short_slices(SLICE_NS)
    reclaim_online(reactor.slot)
    reactor.now_ms = monotonic_ms()
    expiry_open(reactor)
    lending_open(reactor)
    if reactor.number == 0:
        acceptor_open(reactor)
    while True:
        number = wait(reactor, events)
        reactor.alone = number <= 1 and not several_dirty(reactor)
        for place in range(number):
            handle(reactor, &events[place])
        produce_flush(reactor)              # before the mail: it wakes fetches of this reactor
        mailbox_drain(&reactor.mailbox)
        timers_fire(&reactor.timers, reactor.now_ms)
        if reactor.starving and not reactor.stopping:
            retry_starved(reactor)
        pump_dirty(reactor)
        produce_flush(reactor)
        count(&reactor.counters, TURNS, 1)
        if reactor.stopping and stopped(reactor):
            break
        reap_connections(reactor)
        reclaim_quiescent(reactor.slot)
        reclaim_collect()
    reclaim_offline(reactor.slot)
    store32(&reactor.state, 2)
    return NULL
