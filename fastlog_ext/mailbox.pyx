"""Mail between threads and a reactor.

A poster pushes and then looks whether the reactor sleeps; the reactor announces its sleep and then
looks whether there is mail, both sequentially consistent, so that one of them always sees the
other.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t
from fastlog_ext.sockets cimport EFD_CLOEXEC, EFD_NONBLOCK, eventfd
from fastlog_ext.system cimport (
    cas_ptr, close, exchange32, exchange_ptr, fence_seq, last_errno, load_ptr, store32_seq, write)


cdef int mailbox_open(Mailbox *box) noexcept nogil:
    box.newest = NULL
    box.sleeping = 0
    box.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    return last_errno() if box.event_fd < 0 else 0


cdef void mailbox_close(Mailbox *box) noexcept nogil:
    if box.event_fd >= 0:
        close(box.event_fd)
    box.event_fd = -1


cdef void mailbox_kick(Mailbox *box) noexcept nogil:
    cdef uint64_t one = 1
    if exchange32(&box.sleeping, 0):
        write(box.event_fd, &one, sizeof(one))


cdef void mailbox_post(Mailbox *box, Mail *mail) noexcept nogil:
    cdef void *head
    while True:
        head = load_ptr(<void **>&box.newest)
        mail.next = <Mail *>head
        if cas_ptr(<void **>&box.newest, head, mail):
            break
    mailbox_kick(box)


cdef int mailbox_drain(Mailbox *box) noexcept nogil:
    cdef Mail *mail
    cdef Mail *following
    cdef Mail *oldest = NULL
    cdef int count = 0
    if load_ptr(<void **>&box.newest) == NULL:
        return 0
    mail = <Mail *>exchange_ptr(<void **>&box.newest, NULL)
    while mail != NULL:
        following = mail.next
        mail.next = oldest
        oldest = mail
        mail = following
    while oldest != NULL:
        mail = oldest
        oldest = mail.next      # deliver may free the mail or post it again
        mail.deliver(mail)
        count += 1
    return count


cdef int mailbox_prepare_sleep(Mailbox *box) noexcept nogil:
    store32_seq(&box.sleeping, 1)
    fence_seq()
    if load_ptr(<void **>&box.newest) != NULL:
        store32_seq(&box.sleeping, 0)
        return 0
    return 1


cdef void mailbox_awake(Mailbox *box) noexcept nogil:
    # The eventfd is registered edge-triggered: each write is one event, so it need never be read.
    exchange32(&box.sleeping, 0)
