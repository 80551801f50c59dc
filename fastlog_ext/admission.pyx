"""Counting connections. Touched when one begins and when it ends, never for a request.

Kafka's rules (its ConnectionQuotas): at the bound in all, and above the rate, accepting waits, so
that clients queue in the kernel; above the bound of an address the connection is closed at once.
"""
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from fastlog_ext.mailbox cimport mailbox_post
from fastlog_ext.sockets cimport address_key
from fastlog_ext.system cimport (
    ENOMEM, add32, exchange32, load32_seq, monotonic_ns, pthread_mutex_destroy, pthread_mutex_init,
    pthread_mutex_lock, pthread_mutex_unlock, store32_seq)

cdef enum:
    BUCKETS = 4096


cdef int admission_open(Admission *admission) noexcept nogil:
    memset(admission, 0, sizeof(Admission))
    admission.max_connections = INT32_MAX
    admission.max_per_address = INT32_MAX
    admission.rate = INT32_MAX
    admission.burst_seconds = 1
    admission.seed = <uint64_t>monotonic_ns()
    admission.buckets = <AddressCount **>calloc(BUCKETS, sizeof(AddressCount *))
    if admission.buckets == NULL:
        return ENOMEM
    return pthread_mutex_init(&admission.lock, NULL)


cdef void admission_close(Admission *admission) noexcept nogil:
    cdef AddressCount *entry
    cdef int number
    if admission.buckets == NULL:
        return
    for number in range(BUCKETS):
        while admission.buckets[number] != NULL:
            entry = admission.buckets[number]
            admission.buckets[number] = entry.next
            free(entry)
    free(admission.buckets)
    admission.buckets = NULL
    pthread_mutex_destroy(&admission.lock)


cdef uint64_t hash_key(Admission *admission, const uint8_t *key) noexcept nogil:
    cdef uint64_t high, low, mixed
    memcpy(&high, key, 8)
    memcpy(&low, key + 8, 8)
    mixed = (low ^ admission.seed) * <uint64_t>0x9E3779B97F4A7C15
    mixed = (mixed ^ (mixed >> 29) ^ high) * <uint64_t>0xBF58476D1CE4E5B9
    return mixed >> 40


cdef uint64_t admission_hash(Admission *admission, const sockaddr_storage *peer) noexcept nogil:
    cdef uint8_t key[16]
    address_key(peer, key)
    return hash_key(admission, key)


cdef AddressCount **find(Admission *admission, const uint8_t *key) noexcept nogil:
    """The link that leads to the address's entry, or to the end of its bucket."""
    cdef AddressCount **link = &admission.buckets[hash_key(admission, key) % BUCKETS]
    while link[0] != NULL and memcmp(link[0].address, key, 16) != 0:
        link = &link[0].next
    return link


cdef AddressCount *find_or_add(Admission *admission, const uint8_t *key) noexcept nogil:
    cdef AddressCount **link = find(admission, key)
    if link[0] == NULL:
        link[0] = <AddressCount *>calloc(1, sizeof(AddressCount))
        if link[0] != NULL:
            memcpy(link[0].address, key, 16)
            link[0].limit = -1
    return link[0]


cdef int admission_override(Admission *admission, const sockaddr_storage *peer,
                            int32_t limit) noexcept nogil:
    cdef uint8_t key[16]
    cdef AddressCount *entry
    address_key(peer, key)
    entry = find_or_add(admission, key)
    if entry == NULL:
        return ENOMEM
    entry.limit = limit
    return 0


cdef int admission_full(Admission *admission) noexcept nogil:
    return load32_seq(&admission.connections) >= admission.max_connections


cdef int admission_await(Admission *admission) noexcept nogil:
    store32_seq(&admission.waiting, 1)
    # Whoever closes one now sees `waiting`; if that happened before, the count tells.
    if not admission_full(admission) and exchange32(&admission.waiting, 0):
        return 0
    return 1


cdef int64_t admission_delay(Admission *admission, int64_t now_ms) noexcept nogil:
    cdef double most = <double>admission.rate * admission.burst_seconds
    if admission.rate == INT32_MAX:
        return 0
    if admission.allowed_at_ms == 0:
        admission.allowed = most
    else:
        admission.allowed += (now_ms - admission.allowed_at_ms) * 0.001 * admission.rate
        if admission.allowed > most:
            admission.allowed = most
    admission.allowed_at_ms = now_ms
    if admission.allowed >= 1:
        return 0
    if admission.rate == 0:
        return 1000
    return <int64_t>((1 - admission.allowed) * 1000 / admission.rate) + 1


cdef const char *admission_enter(Admission *admission, const sockaddr_storage *peer) noexcept nogil:
    cdef uint8_t key[16]
    cdef AddressCount *entry
    cdef const char *refusal = NULL
    cdef int32_t limit
    admission.allowed -= 1
    address_key(peer, key)
    pthread_mutex_lock(&admission.lock)
    entry = find_or_add(admission, key)
    if entry == NULL:
        refusal = "out of memory for a connection"
    else:
        limit = entry.limit if entry.limit >= 0 else admission.max_per_address
        if entry.connections >= limit:
            refusal = "as many connections as one address may have are open"
            drop_if_unused(admission, key)
        else:
            entry.connections += 1
    pthread_mutex_unlock(&admission.lock)
    if refusal == NULL:
        add32(&admission.connections, 1)
    return refusal


cdef void drop_if_unused(Admission *admission, const uint8_t *key) noexcept nogil:
    cdef AddressCount **link = find(admission, key)
    cdef AddressCount *entry = link[0]
    if entry.connections == 0 and entry.limit < 0:
        link[0] = entry.next
        free(entry)


cdef void admission_leave(Admission *admission, const sockaddr_storage *peer) noexcept nogil:
    cdef uint8_t key[16]
    address_key(peer, key)
    pthread_mutex_lock(&admission.lock)
    find(admission, key)[0].connections -= 1
    drop_if_unused(admission, key)
    pthread_mutex_unlock(&admission.lock)
    add32(&admission.connections, -1)
    if load32_seq(&admission.waiting) and exchange32(&admission.waiting, 0):
        mailbox_post(admission.acceptor, &admission.freed)
