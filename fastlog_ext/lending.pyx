"""Who is lent memory, and for how long.

The one whose frame lacks least, and every fourth time the one that has waited longest: long frames
hold up short ones little, and none waits for ever.

While others wait the borrower has to go on: a peer that sends little and often is not to keep the
memory that everybody waits for.
"""
from libc.stdint cimport int64_t
from fastlog_ext.buffers cimport PURPOSES, MemoryBudget, lending_begins, lending_ends
from fastlog_ext.endian cimport get32
from fastlog_ext.expiry cimport expire, waits_for_the_rest
from fastlog_ext.plane cimport Connection, Reactor
from fastlog_ext.system cimport load32_relaxed, store32
from fastlog_ext.timers cimport Timer, timer_set

cdef enum:
    LENT_AFTER_MS = 250         # of waiting: most shortages are over by then
    OLDEST_EACH = 4             # one in so many goes to who has waited longest
    LENT_MS = 3000              # for a frame, and
    LENT_BYTES_A_MS = 16384     # one more millisecond for so many bytes that came of it
    LOOK_MS = 1000
    PROGRESS = 65536            # bytes between two looks


cdef void lending_open(Reactor *reactor) noexcept nogil:
    reactor.lending_timer.owner = reactor
    reactor.lending_timer.fire = look_at_borrower


cdef inline int64_t lacks(Connection *connection) noexcept nogil:
    """Bytes to the end of the frame; the length of one that waits is here."""
    cdef int64_t left = connection.filled - connection.parsed
    if connection.input == NULL or left < 4:
        return 0                        # the machine has no memory
    return <int64_t>get32(connection.input.data + connection.parsed) + 4 - left


cdef Connection *oldest(Reactor *reactor) noexcept nogil:
    cdef Connection *found = NULL
    cdef Connection *head
    cdef int purpose
    for purpose in range(PURPOSES):
        head = reactor.starved[purpose].first
        if head != NULL and (found == NULL or head.starved_since_ms < found.starved_since_ms):
            found = head
    return found


cdef Connection *shortest(Reactor *reactor) noexcept nogil:
    cdef Connection *found = NULL
    cdef Connection *connection
    cdef int purpose
    for purpose in range(PURPOSES):
        connection = reactor.starved[purpose].first
        while connection != NULL:
            if found == NULL or lacks(connection) < lacks(found):
                found = connection
            connection = connection.next_starved
    return found


cdef inline int is_another_reactors_turn(Reactor *reactor) noexcept nogil:
    cdef MemoryBudget *budget = &reactor.plane.budget
    return (load32_relaxed(&budget.last_lender) == reactor.number
            and load32_relaxed(&budget.starving) > reactor.starving)


cdef Connection *lending_choose(Reactor *reactor) noexcept nogil:
    cdef MemoryBudget *budget = &reactor.plane.budget
    cdef Connection *chosen = oldest(reactor)
    if (chosen == NULL or chosen.starved_since_ms + LENT_AFTER_MS > reactor.now_ms
            or is_another_reactors_turn(reactor)
            or not lending_begins(&reactor.buffers, chosen)):
        return NULL
    store32(&budget.last_lender, reactor.number)
    reactor.lendings += 1
    if reactor.lendings % OLDEST_EACH:
        chosen = shortest(reactor)
        reactor.buffers.borrower = chosen
    reactor.lending_mark = chosen.received
    reactor.lent_at = chosen.received
    reactor.lent_at_ms = reactor.now_ms
    timer_set(&reactor.timers, &reactor.lending_timer, reactor.now_ms + LOOK_MS)
    return chosen


cdef void lending_settle(Reactor *reactor) noexcept nogil:
    if reactor.buffers.lending and reactor.buffers.lent_buffers == 0:
        lending_ends(&reactor.buffers)


cdef void look_at_borrower(Timer *timer) noexcept nogil:
    cdef Reactor *reactor = <Reactor *>timer.owner
    cdef Connection *borrower = <Connection *>reactor.buffers.borrower
    cdef int64_t came, late_ms
    if reactor.stopping or borrower == NULL or borrower.input == NULL or not borrower.input.lent:
        return                          # or its frame is whole
    came = borrower.received - reactor.lending_mark
    reactor.lending_mark = borrower.received
    late_ms = (reactor.lent_at_ms + LENT_MS
               + (borrower.received - reactor.lent_at) // LENT_BYTES_A_MS)
    if (load32_relaxed(&reactor.plane.budget.starving) and waits_for_the_rest(borrower)
            and (came < PROGRESS or reactor.now_ms >= late_ms)):
        expire(borrower, "a request too slow while the memory for requests is short")
    else:
        timer_set(&reactor.timers, timer, reactor.now_ms + LOOK_MS)
