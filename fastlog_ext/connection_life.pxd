# A connection from accept to free.
from libc.stdint cimport int32_t
from fastlog_ext.plane cimport Connection, Reactor
from fastlog_ext.transport cimport Transport

# Takes over the transport's state; addresses are those of `fd`. NULL: out of memory (the state is
# the caller's).
cdef Connection *connection_new(Reactor *reactor, const Transport *transport, void *state, int fd,
                                int32_t listener) noexcept nogil
# into its reactor's registry
cdef void connection_join(Connection *connection) noexcept nogil
# Closes the transport and drops what can be dropped. What is in flight finds `closed` set later.
# Idempotent.
cdef void connection_close(Connection *connection) noexcept nogil
# Reads no more, and closes once the answers have left that are under way.
cdef void connection_end(Connection *connection) noexcept nogil
# Ends it for what the peer sent, and says so once in the event queue.
cdef void connection_refuse(Connection *connection, const char *reason) noexcept nogil
# Puts an event of this kind (static text), with the peer's address before the reason.
cdef void tell_of_peer(Connection *connection, const char *kind, const char *reason) noexcept nogil
# Closes it because its answer has no memory, and says so once in the event queue.
cdef void connection_starve(Connection *connection) noexcept nogil
cdef void reap_connections(Reactor *reactor) noexcept nogil             # at the end of a turn
