"""The data plane as the control plane sees it.

`DataPlane` owns the reactors; `Request` is one request that the control plane answers.
"""
import atexit
import ipaddress
import os
import socket
import threading

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from fastlog_ext.admission cimport admission_close, admission_open, admission_override
from fastlog_ext.endian cimport get16
from fastlog_ext.events cimport events_close, events_open, events_take
from fastlog_ext.fetch_sessions cimport (
    FetchSessions, fetch_sessions_close, fetch_sessions_count, fetch_sessions_open)
from fastlog_ext.handoff cimport handoff_answer, handoff_take
from fastlog_ext.plane cimport LISTENERS_MAX, Connection, Handoff, Plane, Reactor
from fastlog_ext.reactor_loop cimport reactor_free, reactor_main, reactor_open, reactor_stop
from fastlog_ext.sockets cimport (
    EFD_CLOEXEC, EFD_NONBLOCK, address_text, eventfd, join_within, parse_address, sockaddr_storage,
    start_thread)
from fastlog_ext.stats cimport Counters, counters_total
from fastlog_ext.system cimport (
    close, last_errno, load32, load32_relaxed, load64_relaxed, pthread_mutex_destroy,
    pthread_mutex_init, store32)
from fastlog_ext.topics cimport Topics

# Planes whose threads run. Strong references: one that is forgotten is stopped at exit, never freed
# under them.
_running = set()
_JOIN_SECONDS = 5


def _stop_all():
    for plane in list(_running):
        plane.stop(0)


def _after_fork_in_child():
    for plane in list(_running):
        (<DataPlane>plane)._forked()
    _running.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_after_fork_in_child)


cdef tuple _address(sockaddr_storage *address):
    cdef char text[64]
    cdef int port = address_text(address, text, sizeof(text))
    return (text.decode("ascii"), port)


cdef class Request:
    """A request for the control plane, from one connection, which sends nothing after it until it
    is answered.

    Answer with `respond` or `close`, once, from any thread. One that is dropped unanswered closes
    its connection.
    """

    cdef Handoff *handoff
    cdef DataPlane plane
    cdef readonly int api_key
    cdef readonly int api_version
    cdef readonly bytes frame
    cdef readonly str listener
    cdef readonly tuple peer
    cdef readonly tuple local
    cdef readonly long long connection_id

    def __init__(self):
        raise TypeError("requests come from DataPlane.take_requests")

    def respond(self, answer):
        """Sends `answer` (bytes: response header and body, without the length prefix)."""
        cdef const uint8_t[::1] view = answer
        cdef int64_t size = view.shape[0]
        cdef uint8_t *copy
        self._check()
        copy = <uint8_t *>malloc(size + 4)
        if copy == NULL:
            raise MemoryError()
        if size:
            memcpy(copy + 4, &view[0], size)
        self._answer(copy, size)

    def close(self):
        """Closes the connection instead of answering."""
        self._check()
        self._answer(NULL, 0)

    cdef _check(self):
        self.plane._check()
        if self.handoff == NULL:
            raise ValueError("the request has been answered already")

    cdef void _answer(self, uint8_t *answer, int64_t size):
        cdef Handoff *handoff = self.handoff
        self.handoff = NULL
        handoff_answer(handoff, answer, size)

    def __dealloc__(self):
        # The plane may have been cleared by the collector, but its memory stays while a request is
        # open.
        if self.handoff != NULL:
            handoff_answer(self.handoff, NULL, 0)
            self.handoff = NULL

    def __repr__(self):
        return f"<Request api_key={self.api_key} version={self.api_version} peer={self.peer}>"


cdef Request _new_request(DataPlane plane, Handoff *handoff):
    cdef Connection *connection = handoff.connection
    cdef Request request = Request.__new__(Request)
    request.handoff = handoff
    request.plane = plane
    request.frame = PyBytes_FromStringAndSize(<char *>handoff.frame, handoff.frame_size)
    request.api_key = get16(handoff.frame)
    request.api_version = get16(handoff.frame + 2)
    request.listener = plane._listener_names[connection.listener]
    request.peer = _address(&connection.peer)
    request.local = _address(&connection.local)
    request.connection_id = connection.id
    return request


cdef class DataPlane:
    """Reactor threads that serve Produce and Fetch, and hand every other request to the control
    plane.

    topics: the partition table. reactors: threads. max_request_bytes: a longer frame closes its
    connection; so does one above max_control_bytes that is for the control plane. max_fetch_bytes:
    bound of a Fetch response's records. request_memory: bytes of input buffers in use past which
    connections are not read from. max_elements: a Produce or Fetch that names more topics and
    partitions closes its connection. walk_records: validate every record of every batch.
    max_decoded_bytes: a Produce whose records expand to more, where they are looked at, is refused.
    fetch_sessions: remembered at most (KIP-227), in at most a quarter of request_memory; one unused
    for fetch_session_eviction_ms gives way.
    `limit_connections` bounds who may connect and for how long.
    """

    cdef Plane *plane
    cdef Topics _topics
    cdef list _listener_names
    cdef int _state                 # 0 new, 1 runs, 2 stopped
    cdef int _leaked
    cdef int _pid
    cdef object _lock
    cdef object __weakref__

    def __cinit__(self, Topics topics not None, *, int reactors, int max_request_bytes=104857600,
                  int max_control_bytes=104857600, int max_fetch_bytes=57671680, int node_id=-1,
                  long long request_memory=536870912, bint walk_records=False,
                  long long max_decoded_bytes=268435456, int max_elements=131072,
                  int fetch_sessions=1000,
                  long long fetch_session_eviction_ms=120000, long long file_send_min=-1):
        cdef int number, error
        if reactors < 1 or reactors > 256:
            raise ValueError("reactors must be between 1 and 256")
        self._topics = topics
        self._listener_names = []
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.plane = <Plane *>calloc(1, sizeof(Plane))
        if self.plane == NULL:
            raise MemoryError()
        self.plane.request_fd = -1
        self.plane.topics = &topics.table
        self.plane.budget.limit = request_memory
        self.plane.max_request_bytes = max_request_bytes
        self.plane.max_control_bytes = max_control_bytes
        self.plane.max_fetch_bytes = max_fetch_bytes
        self.plane.max_elements = max_elements
        self.plane.node_id = node_id
        self.plane.walk_records = walk_records
        self.plane.max_decoded_bytes = max_decoded_bytes
        self.plane.sessions = fetch_sessions_open(fetch_sessions, fetch_session_eviction_ms,
                                                  request_memory // 4)
        if self.plane.sessions == NULL:
            raise MemoryError()
        self.plane.request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.plane.request_fd < 0:
            raise OSError(last_errno(), "eventfd")
        if events_open(&self.plane.events, self.plane.request_fd):
            raise MemoryError()
        if admission_open(&self.plane.admission):
            raise MemoryError()
        pthread_mutex_init(&self.plane.handoff_lock, NULL)
        self.plane.reactors = <Reactor *>calloc(reactors, sizeof(Reactor))
        if self.plane.reactors == NULL:
            raise MemoryError()
        for number in range(reactors):
            self.plane.reactor_count = number + 1
            error = reactor_open(&self.plane.reactors[number], self.plane, number)
            if error:
                raise OSError(error, "cannot open a reactor")
            if file_send_min >= 0:
                self.plane.reactors[number].file_send_min = file_send_min

    def __dealloc__(self):
        cdef int number
        if self.plane == NULL or self._state == 1 or self._leaked:
            return
        if self.plane.reactors != NULL:
            for number in range(self.plane.reactor_count):
                reactor_free(&self.plane.reactors[number])
            free(self.plane.reactors)
        for number in range(self.plane.listener_count):
            if self.plane.listeners[number] >= 0:
                close(self.plane.listeners[number])
        fetch_sessions_close(<FetchSessions *>self.plane.sessions)
        events_close(&self.plane.events)
        admission_close(&self.plane.admission)
        pthread_mutex_destroy(&self.plane.handoff_lock)
        close(self.plane.request_fd)
        free(self.plane)

    cdef _check(self):
        if self._pid != os.getpid():
            raise RuntimeError("this data plane belongs to the parent of a forked process")

    def limit_connections(self, *, int in_all=INT32_MAX, int per_address=INT32_MAX, overrides=(),
                          int per_second=INT32_MAX, int burst_seconds=1, long long idle_ms=0,
                          long long first_request_ms=0, long long receive_ms=0):
        """Bounds connections, before `start`. Above `in_all`, and above `per_second` once
        `burst_seconds` worth of it are used up, accepting waits; above `per_address` (`overrides`:
        pairs of a numeric address and its own bound) a connection is closed at once.

        A connection ends that is idle, has not asked anything yet, or does not go on with a request
        for so many milliseconds; 0: never. ValueError: no numeric address.
        """
        cdef sockaddr_storage parsed
        self._check()
        if self._state != 0:
            raise RuntimeError("limits are set before start")
        for address, bound in overrides:
            if not parse_address(address.encode(), &parsed):
                raise ValueError(f"{address} is not an address")
            if admission_override(&self.plane.admission, &parsed, bound):
                raise MemoryError()
        self.plane.admission.max_connections = in_all
        self.plane.admission.max_per_address = per_address
        self.plane.admission.rate = per_second
        self.plane.admission.burst_seconds = burst_seconds
        self.plane.idle_ms = idle_ms
        self.plane.first_request_ms = first_request_ms
        self.plane.receive_ms = receive_ms

    def listen(self, host, int port, str name, *, int backlog=1024, int send_buffer=-1,
               int receive_buffer=-1):
        """Binds a listener (port 0: any free one), before `start`. Returns (host, port). Raises
        OSError.

        backlog: connections that the kernel keeps until they are accepted. send_buffer,
        receive_buffer: bytes of each connection's buffers in the kernel; -1: it sizes them itself.
        """
        self._check()
        if self._state != 0:
            raise RuntimeError("listeners are added before start")
        if self.plane.listener_count == LISTENERS_MAX:
            raise ValueError("too many listeners")
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections inherit these.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if send_buffer >= 0:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            if receive_buffer >= 0:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            server.bind(address)
            if ipaddress.ip_address(server.getsockname()[0]).is_loopback:
                # What is accepted inherits it. A machine's own choice may pace by timers (BBR),
                # each of which costs more than the kilobytes it holds back.
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            server.listen(backlog)
            server.setblocking(False)
            bound = server.getsockname()[:2]
            self.plane.listeners[self.plane.listener_count] = server.detach()
        self.plane.listener_count += 1
        self._listener_names.append(name)
        return bound

    def start(self):
        """Starts the threads. Raises OSError when one cannot be created; then none runs."""
        cdef int number, error
        self._check()
        if self._state != 0:
            raise RuntimeError("started already")
        self._state = 1
        _running.add(self)
        for number in range(self.plane.reactor_count):
            error = start_thread(&self.plane.reactors[number].thread, reactor_main,
                                 &self.plane.reactors[number])
            if error:
                self.stop(0)
                raise OSError(error, "cannot start a reactor's thread")
            store32(&self.plane.reactors[number].state, 1)

    def stop(self, drain_seconds=0):
        """Stops accepting, answers what is in flight for at most `drain_seconds`, closes
        everything, joins.

        Parked fetches are answered at once. Idempotent. False: a thread could not be joined, or
        something outside still holds a connection; the memory is then left to the process's end.
        """
        cdef int number, joined
        cdef bint clean = True
        cdef long limit = <long>drain_seconds + _JOIN_SECONDS
        self._check()
        with self._lock:
            if self._state != 1:
                self._state = 2
                return not self._leaked
            self.plane.drain_ms = <int64_t>(drain_seconds * 1000)
            if load32(&self.plane.reactors[0].state) == 0:
                store32(&self.plane.accepting_ended, 1)
            for number in range(self.plane.reactor_count):
                if load32(&self.plane.reactors[number].state):
                    reactor_stop(&self.plane.reactors[number])
            for number in range(self.plane.reactor_count):
                if load32(&self.plane.reactors[number].state) == 0:
                    continue
                with nogil:
                    joined = join_within(self.plane.reactors[number].thread, limit)
                if joined or self.plane.reactors[number].live:
                    clean = False
            if not clean and not self._leaked:
                # What its threads and connections use (the table of topics too) is never freed.
                Py_INCREF(self)
            self._leaked = not clean
            self._state = 2
            _running.discard(self)
            return clean

    @property
    def request_fd(self):
        """An eventfd: readable when requests or events wait. The reader reads it, then takes
        all."""
        self._check()
        return self.plane.request_fd

    def take_requests(self, int limit=1000):
        """At most `limit` waiting requests: of each address in turn, oldest first, but peers that
        have sent more requests behind theirs mostly after the others."""
        cdef Handoff *handoff
        self._check()
        requests = []
        while len(requests) < limit:
            handoff = handoff_take(self.plane)
            if handoff == NULL:
                break
            requests.append(_new_request(self, handoff))
        return requests

    def take_events(self):
        """What happened, as (kind, text): `malformed`, `connection_refused`,
        `connection_timed_out`, `connections_full`, `connections_too_fast`, `no_descriptors`,
        `out_of_memory`, `cannot_accept`, `events_dropped`."""
        self._check()
        return events_take(&self.plane.events)

    def stats(self):
        """Counters since the start, summed over the reactors, and gauges of this moment."""
        cdef Counters *sets[256]
        cdef int number
        self._check()
        load = 0
        for number in range(self.plane.reactor_count):
            sets[number] = &self.plane.reactors[number].counters
            load += load32_relaxed(&self.plane.reactors[number].load)
        result = counters_total(sets, self.plane.reactor_count)
        result["connections"] = load
        result["fetch_sessions"] = fetch_sessions_count(<FetchSessions *>self.plane.sessions)
        result["request_memory"] = (load64_relaxed(&self.plane.budget.used)
                                    + load64_relaxed(&self.plane.budget.lent))
        return result

    cdef _forked(self):
        """In the child of a fork, where no thread of ours runs: let go of what the parent
        serves."""
        cdef int number
        cdef Connection *connection
        for number in range(self.plane.listener_count):
            if self.plane.listeners[number] >= 0:
                close(self.plane.listeners[number])
        for number in range(self.plane.reactor_count):
            close(self.plane.reactors[number].epoll_fd)
            close(self.plane.reactors[number].mailbox.event_fd)
            # A request that the child drops answers into nothing, not into a file opened since.
            self.plane.reactors[number].mailbox.event_fd = -1
            # A thread may have been in the middle of a change, but the forward links are always
            # whole.
            connection = self.plane.reactors[number].connections
            while connection != NULL:
                if not connection.closed:
                    close(connection.fd)
                connection = connection.next
        close(self.plane.request_fd)
        self._leaked = True
        self._state = 2
