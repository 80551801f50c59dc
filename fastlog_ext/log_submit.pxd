# Appends for a thread that waits: tools, tests, embedding programs. Never a reactor.
from libc.stdint cimport int32_t
from fastlog_ext.log_state cimport PartitionLog

# [(error, base offset, append time or -1)] of each batch, in order. Called with the GIL, and as a
# thread that the reclaimer knows.
cdef list append_all(PartitionLog *log, list batches, signed char origin, int32_t leader_epoch)
