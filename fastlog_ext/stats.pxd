# Counters of the data plane. Each reactor owns one set and is its only writer; anyone may read.
from libc.stdint cimport int64_t
from fastlog_ext.system cimport load64_relaxed, store64_relaxed

# In the order of the names in stats.pyx.
cdef enum Counter:
    CONNECTIONS_OPENED
    CONNECTIONS_CLOSED
    PRODUCE_REQUESTS
    FETCH_REQUESTS
    OTHER_REQUESTS
    BYTES_IN
    BYTES_OUT
    FETCHES_PARKED
    PRODUCES_PARKED
    WAKEUPS
    TURNS
    SENDFILES
    PREADS
    SENDS
    RECEIVES
    MALFORMED
    READS_PAUSED
    BATCHES_REFUSED
    CONNECTIONS_REFUSED
    CONNECTIONS_EXPIRED
    ALLOCATIONS
    BYTES_MOVED
    COLD_READS
    COLD_BYTES
    CHECKS_BESIDE
    COUNTERS

cdef struct Counters:
    int64_t values[COUNTERS]

cdef inline void count(Counters *counters, Counter which, int64_t amount) noexcept nogil:
    store64_relaxed(&counters.values[<int>which],
                    load64_relaxed(&counters.values[<int>which]) + amount)

cdef dict counters_total(Counters **sets, int number)
