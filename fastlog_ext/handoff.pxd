# Requests of the control plane: out through a queue and an eventfd, answers back by mail.
from libc.stdint cimport int32_t, int64_t, uint8_t
from fastlog_ext.plane cimport Connection, Handoff, Plane

# 0 or ENOMEM
cdef int handoff_start(Connection *connection, const uint8_t *frame, int64_t size) noexcept nogil
# Any thread. The oldest request that nobody has taken, or NULL.
cdef Handoff *handoff_take(Plane *plane) noexcept nogil
# Any thread, once for each handoff, which is gone afterwards. `answer` (malloc'ed, four free bytes
# first for the length) is taken over; NULL closes the connection.
cdef void handoff_answer(Handoff *handoff, uint8_t *answer, int64_t size) noexcept nogil
