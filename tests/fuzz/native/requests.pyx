"""Produce and Fetch as they come from a socket: parsed, looked at, answered."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from fastlog_ext.batch cimport batch_first
from fastlog_ext.cursor cimport Cursor, cursor_init
from fastlog_ext.endian cimport get16, put16
from fastlog_ext.fetch_request cimport FetchRequest, fetch_encode, fetch_parse
from fastlog_ext.plane cimport (
    FETCH_FIRST, FETCH_LAST, PRODUCE_FIRST, PRODUCE_LAST, Connection, Plane, Reactor, Response)
from fastlog_ext.produce_request cimport ProduceRequest, produce_encode, produce_parse
from fastlog_ext.wire cimport RequestHead, read_head
from tests.fuzz.native.loop cimport Target

cdef enum:
    HEAD_LEAST = 10             # what the connection refuses before any parser

cdef ProduceRequest produce
cdef FetchRequest fetch
cdef Response response
cdef Connection connection
cdef Plane plane
cdef Reactor reactor
memset(&produce, 0, sizeof(produce))
memset(&fetch, 0, sizeof(fetch))
memset(&response, 0, sizeof(response))
memset(&plane, 0, sizeof(plane))
memset(&reactor, 0, sizeof(reactor))
memset(&connection, 0, sizeof(connection))
reactor.file_send_min = 1 << 40
plane.max_elements = 131072
plane.budget.limit = 1 << 40
reactor.plane = &plane
connection.reactor = &reactor
response.connection = &connection
produce.reactor = &reactor
fetch.reactor = &reactor


cdef int32_t version_within(uint8_t *data, int32_t first, int32_t last) noexcept nogil:
    """The connection lets no other through."""
    cdef int32_t version = get16(data + 2)
    if not first <= version <= last:
        version = first + (version & 0x7fff) % (last - first + 1)
        put16(data + 2, <int16_t>version)
    return version


cdef int inside(const uint8_t *piece, int64_t size, const uint8_t *data,
                int32_t whole) noexcept nogil:
    return size >= 0 and (piece == NULL or (data <= piece and piece + size <= data + whole))


cdef const char *run_produce(uint8_t *data, int32_t size) noexcept nogil:
    cdef int64_t partitions = 0
    cdef int32_t number
    version_within(data, PRODUCE_FIRST, PRODUCE_LAST)
    if produce_parse(&produce, data, size) != NULL:
        return NULL
    for number in range(produce.topic_count):
        if produce.topics[number].partition_count < 0 or not inside(
                produce.topics[number].name, produce.topics[number].name_size, data, size):
            return b"a topic outside of the frame"
        partitions += produce.topics[number].partition_count
    if partitions != produce.partition_count:
        return b"the partitions do not add up"
    for number in range(produce.partition_count):
        if not inside(produce.partitions[number].records, produce.partitions[number].size, data,
                      size):
            return b"records outside of the frame"
        if produce.partitions[number].records != NULL:
            batch_first(produce.partitions[number].records, produce.partitions[number].size)
    response.size = 0
    produce.response = &response
    if produce_encode(&produce):
        return b"the answer to Produce cannot be encoded"
    return NULL


cdef const char *run_fetch(uint8_t *data, int32_t size) noexcept nogil:
    cdef int32_t number
    version_within(data, FETCH_FIRST, FETCH_LAST)
    free(fetch.frame)           # or else the copy would lie in a larger block than it needs
    fetch.frame = NULL
    fetch.frame_capacity = 0
    if fetch_parse(&fetch, data, size) != NULL:
        return NULL
    for number in range(fetch.set.topic_count):
        if not inside(fetch.set.topics[number].name, fetch.set.topics[number].name_size,
                      fetch.frame, size):
            return b"a topic outside of the frame"
    for number in range(fetch.set.partition_count):
        if not 0 <= fetch.set.partitions[number].topic < fetch.set.topic_count:
            return b"a partition of no topic"
        fetch.set.partitions[number].chosen = 1
    if fetch.forgotten_size and not inside(fetch.forgotten, fetch.forgotten_size, fetch.frame,
                                           size):
        return b"forgotten topics outside of the frame"
    response.size = 0
    fetch.response = &response
    fetch.error = 0
    if fetch_encode(&fetch):
        return b"the answer to Fetch cannot be encoded"
    return NULL


cdef const char *run(uint8_t *data, int32_t size) noexcept nogil:
    cdef Cursor cursor
    cdef RequestHead head
    cdef int16_t flexible_from
    if size < HEAD_LEAST:
        return NULL
    if get16(data) == 0:
        return run_produce(data, size)
    if get16(data) == 1:
        return run_fetch(data, size)
    for flexible_from in range(0, 12, 11):      # any other request: its head, either way
        cursor_init(&cursor, data, size)
        read_head(&cursor, flexible_from, &head)
        if not data <= cursor.at <= data + size:
            return b"the head ends outside of the frame"
    return NULL


cdef int32_t mend(uint8_t *data, int32_t size, uint64_t chance) noexcept nogil:
    """Back to a request that has a parser of its own."""
    if size >= HEAD_LEAST:
        put16(data, <int16_t>(chance & 1))
    return size


def target() -> Target:
    cdef Target made = Target()
    made.run = run
    made.mend = mend
    return made
