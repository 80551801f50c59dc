# Connections that wait for memory: one list for each purpose, oldest first, so that a look at the
# heads tells whether anybody can go on.
from fastlog_ext.plane cimport Connection, StarvedList
from fastlog_ext.system cimport add32

cdef inline void starved_leave(Connection *connection) noexcept nogil:
    cdef StarvedList *waiting = &connection.reactor.starved[connection.purpose]
    if not connection.starved:
        return
    if connection.previous_starved == NULL:
        waiting.first = connection.next_starved
    else:
        connection.previous_starved.next_starved = connection.next_starved
    if connection.next_starved == NULL:
        waiting.last = connection.previous_starved
    else:
        connection.next_starved.previous_starved = connection.previous_starved
    connection.starved = 0
    connection.reactor.starving -= 1
    add32(&connection.reactor.plane.budget.starving, -1)


# Keeps its place if it waits for that already.
cdef inline void starved_join(Connection *connection, int purpose) noexcept nogil:
    cdef StarvedList *waiting = &connection.reactor.starved[purpose]
    if connection.starved and connection.purpose == purpose:
        return
    starved_leave(connection)
    connection.purpose = purpose
    connection.starved = 1
    connection.reactor.starving += 1
    connection.starved_since_ms = connection.reactor.now_ms
    connection.next_starved = NULL
    connection.previous_starved = waiting.last
    if waiting.last == NULL:
        waiting.first = connection
    else:
        waiting.last.next_starved = connection
    waiting.last = connection
    add32(&connection.reactor.plane.budget.starving, 1)
