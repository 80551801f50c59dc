# A connection at work: frames in, requests started in order, responses out.
from fastlog_ext.plane cimport Connection

# Does all that can be done without blocking, within this turn's budget. The connection may be
# closed afterwards (but not freed before the end of the turn).
cdef void connection_pump(Connection *connection) noexcept nogil
