"""Response slots and how they leave."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset
from fastlog_ext.growing cimport with_room
from fastlog_ext.partition_log cimport LogRead
from fastlog_ext.plane cimport Connection, FilePiece, Plane, Reactor, Response
from fastlog_ext.pressure cimport memory_press
from fastlog_ext.segment cimport segment_unpin
from fastlog_ext.stats cimport ALLOCATIONS, BYTES_OUT, SENDFILES, SENDS, count
from fastlog_ext.system cimport EAGAIN, ENOMEM, add64, iovec, load64_relaxed

cdef enum:
    FREE_RESPONSES = 1024       # slots that a reactor keeps
    KEPT_CAPACITY = 65536       # bytes that a free slot may keep
    KEPT_PIECES = 1024          # ranges of files
    FIRST_CAPACITY = 512
    GATHER = 256                # pieces in one send
    FILE_CHUNK = 1048576        # of one sendfile
    SEND_BUDGET = 4194304       # bytes that one connection sends before others have their turn


cdef Response *response_begin(Connection *connection) noexcept nogil:
    cdef Reactor *reactor = connection.reactor
    cdef Response *response = reactor.free_responses
    if response != NULL:
        reactor.free_responses = response.next
        reactor.free_response_count -= 1
    else:
        response = <Response *>malloc(sizeof(Response))
        if response == NULL:
            return NULL
        count(&reactor.counters, ALLOCATIONS, 1)
        memset(response, 0, sizeof(Response))
    response.next = NULL
    response.connection = connection
    response.ready = 0
    response.owner = NULL
    response.cancel = NULL
    if connection.last == NULL:
        connection.first = response
    else:
        connection.last.next = response
    connection.last = response
    connection.queued += 1
    connection.pending += 1
    connection.pins += 1
    return response


cdef inline int64_t charged(int64_t capacity) noexcept nogil:
    """Long answers count like requests: each waits for a peer to read it."""
    return capacity if capacity > KEPT_CAPACITY else 0


cdef int charge(Response *response, int64_t capacity) noexcept nogil:
    """0, or ENOMEM: the peer is not to have a longer answer. One goes beyond the bound at most."""
    cdef Plane *plane = response.connection.reactor.plane
    cdef int64_t more = charged(capacity) - charged(response.capacity)
    if more > 0 and load64_relaxed(&plane.budget.used) >= plane.budget.limit:
        memory_press(plane)
        return ENOMEM
    if more:
        add64(&plane.budget.used, more)
    return 0


cdef void charge_short(Connection *connection) noexcept nogil:
    cdef int64_t due = connection.short_bytes // KEPT_CAPACITY * KEPT_CAPACITY
    if due != connection.charged_bytes:
        add64(&connection.reactor.plane.budget.used, due - connection.charged_bytes)
        connection.charged_bytes = due


cdef inline void count_short(Connection *connection, const Response *response,
                             int64_t bytes) noexcept nogil:
    """Many short answers that nobody reads are as much as a long one."""
    if not charged(response.capacity):
        connection.short_bytes += bytes
        charge_short(connection)


cdef int response_adopt(Response *response, uint8_t *bytes, int64_t size) noexcept nogil:
    if charge(response, size):
        return ENOMEM
    free(response.bytes)
    response.bytes = bytes
    response.capacity = size
    response.size = size
    return 0


cdef void drop_bytes(Reactor *reactor, Response *response) noexcept nogil:
    if charged(response.capacity):
        add64(&reactor.plane.budget.used, -response.capacity)
    free(response.bytes)
    response.bytes = NULL
    response.capacity = 0


cdef uint8_t *response_reserve(Response *response, int64_t size) noexcept nogil:
    cdef int64_t capacity = response.capacity
    cdef uint8_t *grown
    if response.size + size > capacity:
        if capacity == 0:
            capacity = FIRST_CAPACITY
        while capacity < response.size + size:
            capacity *= 2
        if charge(response, capacity):
            return NULL
        grown = <uint8_t *>realloc(response.bytes, capacity)
        if grown == NULL:
            add64(&response.connection.reactor.plane.budget.used,
                  charged(response.capacity) - charged(capacity))
            return NULL
        count(&response.connection.reactor.counters, ALLOCATIONS, 1)
        response.bytes = grown
        response.capacity = capacity
    return response.bytes + response.size


cdef int response_add_file(Response *response, const LogRead *read) noexcept nogil:
    cdef FilePiece *piece
    cdef int32_t capacity = response.piece_capacity
    cdef void *pieces = with_room(response.pieces, &response.piece_capacity, response.piece_count,
                                  sizeof(FilePiece), 4)
    if pieces == NULL:
        return ENOMEM
    count(&response.connection.reactor.counters, ALLOCATIONS, response.piece_capacity > capacity)
    response.pieces = <FilePiece *>pieces
    piece = &response.pieces[response.piece_count]
    piece.after = response.size
    piece.files = read.files
    piece.position = read.position
    piece.size = read.size
    response.piece_count += 1
    return 0


cdef int64_t response_total(Response *response) noexcept nogil:
    cdef int64_t total = response.size
    cdef int32_t number
    for number in range(response.piece_next, response.piece_count):
        total += response.pieces[number].size
    return total


cdef void response_clear(Response *response) noexcept nogil:
    cdef int32_t number
    for number in range(response.piece_next, response.piece_count):
        segment_unpin(response.pieces[number].files)
    response.piece_next = 0
    response.piece_count = 0
    response.size = 0
    response.sent = 0


cdef void free_response(Reactor *reactor, Response *response) noexcept nogil:
    response_clear(response)
    if reactor.free_response_count >= FREE_RESPONSES:
        drop_bytes(reactor, response)
        free(response.pieces)
        free(response)
        return
    if charged(response.capacity):
        drop_bytes(reactor, response)
    if response.piece_capacity > KEPT_PIECES:
        free(response.pieces)
        response.pieces = NULL
        response.piece_capacity = 0
    response.next = reactor.free_responses
    reactor.free_responses = response
    reactor.free_response_count += 1


cdef void responses_destroy(Reactor *reactor) noexcept nogil:
    cdef Response *response
    while reactor.free_responses != NULL:
        response = reactor.free_responses
        reactor.free_responses = response.next
        free(response.bytes)
        free(response.pieces)
        free(response)
    reactor.free_response_count = 0


cdef void mark_dirty(Connection *connection) noexcept nogil:
    if connection.dirty or connection.pumping or connection.closed:
        return
    connection.dirty = 1
    connection.next_dirty = connection.reactor.dirty
    connection.reactor.dirty = connection


cdef void unpin_connection(Connection *connection) noexcept nogil:
    connection.pins -= 1
    if connection.pins == 0:
        connection.next = connection.reactor.graveyard
        connection.reactor.graveyard = connection


cdef void response_ready(Response *response) noexcept nogil:
    cdef Connection *connection = response.connection
    response.ready = 1
    response.owner = NULL
    response.cancel = NULL
    connection.pending -= 1
    if connection.closed:
        free_response(connection.reactor, response)
    else:
        connection.queued_bytes += response.size
        count_short(connection, response, response.size)
        mark_dirty(connection)
    unpin_connection(connection)


cdef void responses_drop(Connection *connection) noexcept nogil:
    """Frees what is ready; what is not finds the connection closed when it gets ready."""
    cdef Response *response
    cdef Response *following = connection.first
    connection.first = NULL
    connection.last = NULL
    connection.queued = 0
    connection.queued_bytes = 0
    connection.short_bytes = 0
    charge_short(connection)
    while following != NULL:
        response = following
        following = response.next
        response.next = NULL
        if response.ready:
            free_response(connection.reactor, response)
        elif response.cancel != NULL:
            response.cancel(response.owner)


cdef int responses_are_due(Connection *connection) noexcept nogil:
    cdef Response *response = connection.first
    while response != NULL and response.cancel == NULL:
        response = response.next
    return connection.first != NULL and response == NULL


cdef inline int64_t bytes_before_file(Response *response) noexcept nogil:
    """Where the bytes that may go out now end."""
    if response.piece_next < response.piece_count:
        return response.pieces[response.piece_next].after
    return response.size


cdef inline int finished(Response *response) noexcept nogil:
    return response.sent == response.size and response.piece_next == response.piece_count


cdef void pop_finished(Connection *connection) noexcept nogil:
    cdef Response *response
    while connection.first != NULL and connection.first.ready and finished(connection.first):
        response = connection.first
        connection.first = response.next
        if connection.first == NULL:
            connection.last = NULL
        connection.queued -= 1
        connection.queued_bytes -= response.size
        count_short(connection, response, -response.size)
        free_response(connection.reactor, response)


cdef int gather(Connection *connection, iovec *pieces, int64_t *total, int *more) noexcept nogil:
    """The bytes that can leave before the next file range. Returns how many pieces."""
    cdef Response *response = connection.first
    cdef int number = 0
    cdef int64_t limit
    total[0] = 0
    more[0] = 0
    while response != NULL and response.ready and number < GATHER:
        limit = bytes_before_file(response)
        if limit > response.sent:
            pieces[number].iov_base = response.bytes + response.sent
            pieces[number].iov_len = limit - response.sent
            total[0] += limit - response.sent
            number += 1
        if response.piece_next < response.piece_count:
            more[0] = 1
            break
        response = response.next
    return number


cdef void advance(Connection *connection, int64_t sent) noexcept nogil:
    cdef Response *response = connection.first
    cdef int64_t part
    while sent > 0:
        part = bytes_before_file(response) - response.sent
        if part > sent:
            part = sent
        response.sent += part
        sent -= part
        response = response.next


cdef int64_t send_file_piece(Connection *connection, int *error) noexcept nogil:
    """One sendfile of the piece that is next. A file shorter than it was when read is an error:
    what was announced cannot be sent any more."""
    cdef Response *response = connection.first
    cdef FilePiece *piece = &response.pieces[response.piece_next]
    cdef int64_t size = piece.size if piece.size < FILE_CHUNK else FILE_CHUNK
    cdef int64_t sent = connection.transport.send_file(
        connection.state, piece.files.log_fd, piece.position, size, error)
    count(&connection.reactor.counters, SENDFILES, 1)
    if sent == 0:
        error[0] = 0
        return -1
    if sent > 0:
        piece.position += sent
        piece.size -= sent
        if piece.size == 0:
            segment_unpin(piece.files)
            response.piece_next += 1
    return sent


cdef int responses_send(Connection *connection) noexcept nogil:
    cdef iovec pieces[GATHER]
    cdef int64_t total, sent
    cdef int64_t budget = SEND_BUDGET
    cdef int number, more
    cdef int error = 0
    while True:
        pop_finished(connection)
        if connection.first == NULL or not connection.first.ready or not connection.writable:
            return 0
        if budget <= 0:
            return 1
        number = gather(connection, pieces, &total, &more)
        if number:
            sent = connection.transport.send(connection.state, pieces, number, more, &error)
            count(&connection.reactor.counters, SENDS, 1)
            if sent > 0:
                advance(connection, sent)
        else:
            sent = send_file_piece(connection, &error)
        if sent < 0:
            if error == EAGAIN:
                connection.writable = 0
                return 0
            return -1
        budget -= sent
        connection.sent += sent
        count(&connection.reactor.counters, BYTES_OUT, sent)
