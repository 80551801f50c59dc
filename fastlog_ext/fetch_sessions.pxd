# Fetch sessions (KIP-227): what a client has named once is remembered, so that its next request
# names only what changed and its next answer holds only what is new.
#
# A session belongs to the process; a client may go on with it over another connection, on another
# reactor. One request at a time holds it, from its start to its answer, and has its partitions in
# place of its own; a request that comes meanwhile over another connection is refused. (Kafka lets
# the later one go on and refuses the answer of the earlier.)
from libc.stdint cimport int16_t, int32_t, int64_t
from fastlog_ext.fetch_request cimport FetchRequest

cdef struct FetchSessions:
    void *private

# bytes: of all partitions remembered. NULL: out of memory.
cdef FetchSessions *fetch_sessions_open(int32_t slots, int64_t eviction_ms,
                                        int64_t bytes) noexcept nogil
cdef void fetch_sessions_close(FetchSessions *sessions) noexcept nogil
cdef int32_t fetch_sessions_count(FetchSessions *sessions) noexcept nogil
# Does what a request says about sessions before anything is read: closes one, or takes one and
# brings it up to date. Returns 0 or the error of the whole answer.
cdef int16_t fetch_session_take(FetchRequest *request) noexcept nogil
# What has been read will be answered: chooses the partitions that the answer holds, and for a
# first request makes a session if there is room (request.answered_session says which).
cdef void fetch_session_choose(FetchRequest *request) noexcept nogil
# Gives back what `take` took, the partitions that were answered with records behind all others.
cdef void fetch_session_release(FetchRequest *request) noexcept nogil
