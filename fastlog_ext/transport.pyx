"""A plain socket."""
from libc.stdint cimport int64_t, intptr_t, uint8_t
from libc.string cimport memset
from fastlog_ext.sockets cimport MSG_MORE, MSG_NOSIGNAL, msghdr, recv, sendmsg
from fastlog_ext.system cimport EINTR, close, iovec, last_errno, off_t, sendfile

cdef Transport plain
plain.recv = socket_recv
plain.send = socket_send
plain.send_file = socket_send_file
plain.close = socket_close


cdef const Transport *socket_transport() noexcept nogil:
    return &plain


cdef int64_t socket_recv(void *state, uint8_t *out, int64_t size, int *error) noexcept nogil:
    cdef int64_t received
    while True:
        received = recv(<int><intptr_t>state, out, size, 0)
        if received >= 0:
            return received
        error[0] = last_errno()
        if error[0] != EINTR:
            return -1


cdef int64_t socket_send(void *state, iovec *pieces, int count, int more,
                         int *error) noexcept nogil:
    cdef msghdr message
    cdef int64_t sent
    memset(&message, 0, sizeof(message))
    message.msg_iov = pieces
    message.msg_iovlen = count
    while True:
        sent = sendmsg(<int><intptr_t>state, &message, MSG_NOSIGNAL | (MSG_MORE if more else 0))
        if sent >= 0:
            return sent
        error[0] = last_errno()
        if error[0] != EINTR:
            return -1


cdef int64_t socket_send_file(void *state, int file, int64_t position, int64_t size,
                              int *error) noexcept nogil:
    cdef off_t offset = position
    cdef int64_t sent
    while True:
        sent = sendfile(<int><intptr_t>state, file, &offset, size)
        if sent >= 0:
            return sent
        error[0] = last_errno()
        if error[0] != EINTR:
            return -1


cdef void socket_close(void *state) noexcept nogil:
    close(<int><intptr_t>state)
