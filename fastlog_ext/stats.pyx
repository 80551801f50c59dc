"""Counters of the data plane, by name."""
from libc.stdint cimport int64_t
from fastlog_ext.system cimport load64_relaxed

NAMES = (
    "connections_opened", "connections_closed", "produce_requests", "fetch_requests",
    "other_requests", "bytes_in", "bytes_out", "fetches_parked", "produces_parked", "wakeups",
    "turns", "sendfiles", "preads", "sends", "receives", "malformed", "reads_paused",
    "batches_refused", "connections_refused", "connections_expired", "allocations",
    "bytes_moved", "cold_reads", "cold_bytes", "checks_beside")
assert len(NAMES) == COUNTERS


cdef dict counters_total(Counters **sets, int number):
    cdef int which, reactor
    cdef int64_t total
    result = {}
    for which in range(<int>COUNTERS):
        total = 0
        for reactor in range(number):
            total += load64_relaxed(&sets[reactor].values[which])
        result[NAMES[which]] = total
    return result
