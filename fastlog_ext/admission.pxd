# Who may connect: bounds on the connections in all, from one address, and begun in a second.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from fastlog_ext.mailbox cimport Mail, Mailbox
from fastlog_ext.sockets cimport sockaddr_storage
from fastlog_ext.system cimport pthread_mutex_t

# The connections of one address.
cdef struct AddressCount:
    AddressCount *next
    uint8_t address[16]         # IPv4 in its mapped form
    int32_t connections
    int32_t limit               # this address's own, or -1

cdef struct Admission:
    int32_t max_connections
    int32_t max_per_address
    int32_t rate                # a second; INT32_MAX: no bound
    int32_t burst_seconds       # so many seconds' worth may come at once
    int32_t connections         # atomic: those admitted and not closed yet
    int32_t waiting             # atomic: 1 when the acceptor waits for one to close
    Mailbox *acceptor           # where `freed` goes then
    Mail freed
    double allowed              # by the rate, at `allowed_at_ms`; the acceptor's own
    int64_t allowed_at_ms
    pthread_mutex_t lock        # of the counts by address
    AddressCount **buckets
    uint64_t seed

cdef int admission_open(Admission *admission) noexcept nogil        # 0 or ENOMEM; no bounds yet
cdef void admission_close(Admission *admission) noexcept nogil
# A bound of its own for one address. 0 or ENOMEM
cdef int admission_override(Admission *admission, const sockaddr_storage *peer,
                            int32_t limit) noexcept nogil
# Spreads addresses in a way that nobody outside can foresee.
cdef uint64_t admission_hash(Admission *admission, const sockaddr_storage *peer) noexcept nogil
cdef int admission_full(Admission *admission) noexcept nogil
# 1: `freed` will be posted when a connection closes. 0: one has closed meanwhile.
cdef int admission_await(Admission *admission) noexcept nogil
# 0, or how many milliseconds too early the next connection would be.
cdef int64_t admission_delay(Admission *admission, int64_t now_ms) noexcept nogil
# Counts one that was accepted. NULL, or why it must be closed (static text).
cdef const char *admission_enter(Admission *admission, const sockaddr_storage *peer) noexcept nogil
# For each that entered, once, on any thread.
cdef void admission_leave(Admission *admission, const sockaddr_storage *peer) noexcept nogil
