# A reactor's mailbox: any thread posts, the reactor takes. Lock-free; one eventfd write at most for
# each time that the reactor goes to sleep.
from libc.stdint cimport int32_t, int64_t

ctypedef void (*mail_deliver)(Mail *mail) noexcept nogil

# Intrusive: belongs to whoever posts it, and may be posted again once it has been delivered.
cdef struct Mail:
    Mail *next
    mail_deliver deliver    # called on the reactor's thread
    void *owner

cdef struct Mailbox:
    Mail *newest
    int32_t sleeping        # 1: the reactor may be blocked, whoever clears it writes the eventfd
    int event_fd

cdef int mailbox_open(Mailbox *box) noexcept nogil              # 0 or errno
cdef void mailbox_close(Mailbox *box) noexcept nogil
cdef void mailbox_post(Mailbox *box, Mail *mail) noexcept nogil
cdef void mailbox_kick(Mailbox *box) noexcept nogil             # wakes the reactor, posts nothing
# The reactor's side. Delivers in the order of posting; returns how many.
cdef int mailbox_drain(Mailbox *box) noexcept nogil
cdef int mailbox_prepare_sleep(Mailbox *box) noexcept nogil     # 1: may block; 0: there is mail
cdef void mailbox_awake(Mailbox *box) noexcept nogil
