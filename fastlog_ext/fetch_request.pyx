"""Fetch as bytes. Versions: KIP-98 (4), KIP-107 (5), KIP-227 (7), KIP-320 (9, 12), KIP-392 (11),
KIP-516 (13), KIP-903 (15), KIP-951 (16), KIP-853 (17), KIP-1166 (18)."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from fastlog_ext.cursor cimport (
    Cursor, cursor_fail, cursor_get16, cursor_get32, cursor_get64, cursor_get8,
    cursor_get_uvarint, cursor_init, cursor_skip, cursor_take)
from fastlog_ext.endian cimport put16, put32, put64
from fastlog_ext.files cimport read_at
from fastlog_ext.growing cimport with_room
from fastlog_ext.hints cimport hint_keep
from fastlog_ext.log_state cimport log_fail
from fastlog_ext.named_once cimport NamedOnce, named_begin, named_end, named_put
from fastlog_ext.partition_log cimport LogRead, log_read_follow
from fastlog_ext.plane cimport Response
from fastlog_ext.responses cimport response_add_file, response_reserve, response_total
from fastlog_ext.segment cimport segment_unpin
from fastlog_ext.stats cimport PREADS, count
from fastlog_ext.system cimport E2BIG, EIO, ENOMEM, last_errno
from fastlog_ext.wire cimport (
    TAGS_MOST, Text, put_count, put_no_tags, put_text, put_uvarint, read_count, read_head,
    read_text, skip_tags)

cdef enum:
    FLEXIBLE_FROM = 12
    BY_ID_FROM = 13
    TAG_REPLICA_STATE = 1
    TAG_DIVERGING_EPOCH = 0
    PARTITION_LEAST = 16        # bytes that any version's partition takes at least
    UNKNOWN_TOPIC_OR_PARTITION = 3
    UNKNOWN_TOPIC_ID = 100

cdef const char *TOO_MANY = (
    "a Fetch request of more topics and partitions than fastlog.request.elements.max")


cdef FetchTopic *fetch_set_topic(FetchSet *set) noexcept nogil:
    cdef void *grown = with_room(set.topics, &set.topic_capacity,
                                 set.topic_count, sizeof(FetchTopic), 1)
    if grown == NULL:
        return NULL
    set.topics = <FetchTopic *>grown
    set.topic_count += 1
    return &set.topics[set.topic_count - 1]


cdef FetchPartition *fetch_set_partition(FetchSet *set) noexcept nogil:
    cdef void *grown = with_room(set.partitions, &set.partition_capacity,
                                 set.partition_count, sizeof(FetchPartition), 1)
    if grown == NULL:
        return NULL
    set.partitions = <FetchPartition *>grown
    set.partition_count += 1
    return &set.partitions[set.partition_count - 1]


cdef inline int32_t elements_left(FetchRequest *request) noexcept nogil:
    """How many topics and partitions may still come: each takes many times its bytes in memory,
    and its time of the reactor's turn."""
    return (request.reactor.plane.max_elements - request.set.topic_count
            - request.set.partition_count)


cdef int parse_partition(FetchRequest *request, Cursor *cursor) noexcept nogil:
    cdef FetchPartition *partition = fetch_set_partition(&request.set)
    cdef int16_t version = request.head.version
    if partition == NULL:
        return ENOMEM
    memset(partition, 0, sizeof(FetchPartition))
    partition.topic = request.set.topic_count - 1
    partition.leader_epoch = -1
    partition.last_fetched_epoch = -1
    partition.index = cursor_get32(cursor)
    if version >= 9:
        partition.leader_epoch = cursor_get32(cursor)
    partition.offset = cursor_get64(cursor)
    if version >= 12:
        partition.last_fetched_epoch = cursor_get32(cursor)
    if version >= 5:
        cursor_get64(cursor)            # the follower's log start
    partition.max_bytes = cursor_get32(cursor)
    if request.head.flexible:
        skip_tags(cursor)               # the replica's directory and high watermark
    return 0


cdef void fetch_read_name(FetchRequest *request, Cursor *cursor, Text *name) noexcept nogil:
    if request.head.version >= BY_ID_FROM:
        name.data = cursor_take(cursor, 16)
        name.size = 16
        return
    read_text(cursor, request.head.flexible, name)
    if name.data == NULL:
        cursor.failed = 1


cdef int parse_topic(FetchRequest *request, Cursor *cursor) noexcept nogil:
    cdef FetchTopic *topic = fetch_set_topic(&request.set)
    cdef Text name
    cdef int32_t left
    if topic == NULL:
        return ENOMEM
    fetch_read_name(request, cursor, &name)
    topic.name = name.data
    topic.name_size = name.size
    left = read_count(cursor, request.head.flexible, PARTITION_LEAST)
    if left > elements_left(request):
        return E2BIG
    while left > 0 and not cursor.failed:
        if parse_partition(request, cursor):
            return ENOMEM
        left -= 1
    if request.head.flexible:
        skip_tags(cursor)
    return 0


cdef void check_forgotten(FetchRequest *request, Cursor *cursor) noexcept nogil:
    """Where the forgotten topics stand, and that they are sound; fetch_set.pyx reads them."""
    cdef Text name
    cdef int32_t left, partitions
    cdef int32_t allowed = elements_left(request)
    request.forgotten = cursor.at
    left = read_count(cursor, request.head.flexible, 3)
    allowed -= left
    if allowed < 0:
        cursor_fail(cursor)
    while left > 0 and not cursor.failed:
        fetch_read_name(request, cursor, &name)
        partitions = read_count(cursor, request.head.flexible, 4)
        if partitions > allowed:
            cursor_fail(cursor)
        elif partitions > 0:
            cursor_skip(cursor, <int64_t>partitions * 4)
            allowed -= partitions
        if request.head.flexible:
            skip_tags(cursor)
        left -= 1
    request.forgotten_size = cursor.at - request.forgotten


cdef void parse_tags(FetchRequest *request, Cursor *cursor) noexcept nogil:
    """The tagged fields of the request; replica_state replaced replica_id in version 15
    (KIP-903)."""
    cdef uint32_t left = cursor_get_uvarint(cursor)
    cdef uint32_t tag, size
    cdef Cursor field
    if left > TAGS_MOST:
        cursor_fail(cursor)
    while left and not cursor.failed:
        tag = cursor_get_uvarint(cursor)
        size = cursor_get_uvarint(cursor)
        cursor_init(&field, cursor.at, 0)
        if cursor_take(cursor, size) != NULL:
            field.end = cursor.at
            if tag == TAG_REPLICA_STATE and request.head.version >= 15:
                request.replica_id = cursor_get32(&field)
                cursor_get64(&field)
                skip_tags(&field)
                if field.failed:
                    cursor.failed = 1
        left -= 1


cdef int copy_frame(FetchRequest *request, const uint8_t *frame, int64_t size) noexcept nogil:
    if request.frame_capacity < size:
        free(request.frame)
        request.frame_capacity = 0
        request.frame = <uint8_t *>malloc(size)
        if request.frame == NULL:
            return ENOMEM
        request.frame_capacity = size
    memcpy(request.frame, frame, size)
    return 0


cdef int name_once(FetchSet *set) noexcept nogil:
    """As in Kafka, a partition that is named again stays where it was and is asked for as the last
    time. 0 or ENOMEM."""
    cdef NamedOnce named
    cdef FetchTopic *topic
    cdef int32_t number, place
    cdef int32_t kept = 0
    if set.partition_count < 2:
        return 0
    if named_begin(&named, set.partition_count):
        return ENOMEM
    for number in range(set.partition_count):
        topic = &set.topics[set.partitions[number].topic]
        place = named_put(&named, topic.name, topic.name_size, set.partitions[number].index, kept)
        if place < kept:
            set.partitions[number].topic = set.partitions[place].topic
        else:
            kept += 1
        if place < number:
            set.partitions[place] = set.partitions[number]
    set.partition_count = kept
    named_end(&named)
    return 0


cdef const char *fetch_parse(FetchRequest *request, const uint8_t *frame,
                             int64_t size) noexcept nogil:
    cdef Cursor cursor
    cdef int32_t left
    cdef int error
    cdef Text rack
    request.set.topic_count = 0
    request.set.partition_count = 0
    if copy_frame(request, frame, size):
        return "out of memory for a Fetch request"
    cursor_init(&cursor, request.frame, size)
    read_head(&cursor, FLEXIBLE_FROM, &request.head)
    request.replica_id = cursor_get32(&cursor) if request.head.version < 15 else -1
    request.max_wait_ms = cursor_get32(&cursor)
    request.min_bytes = cursor_get32(&cursor)
    request.max_bytes = cursor_get32(&cursor)
    request.read_committed = cursor_get8(&cursor) == 1
    request.session_id = 0
    request.session_epoch = -1
    request.forgotten_size = 0
    if request.head.version >= 7:
        request.session_id = cursor_get32(&cursor)
        request.session_epoch = cursor_get32(&cursor)
    left = read_count(&cursor, request.head.flexible, 4)
    if left > elements_left(request):
        return TOO_MANY
    while left > 0 and not cursor.failed:
        error = parse_topic(request, &cursor)
        if error == E2BIG:
            return TOO_MANY
        if error:
            return "out of memory for a Fetch request"
        left -= 1
    if request.head.version >= 7:
        check_forgotten(request, &cursor)
    if request.head.version >= 11:
        read_text(&cursor, request.head.flexible, &rack)
        if rack.data == NULL:
            cursor_fail(&cursor)        # null, which it may not be
    if request.head.flexible:
        parse_tags(request, &cursor)
    if cursor.failed:
        return "malformed Fetch request"
    # (a session keeps its partitions apart itself)
    if request.session_epoch <= 0 and name_once(&request.set):
        return "out of memory for a Fetch request"
    return NULL


cdef int16_t error_for(FetchRequest *request, int16_t error) noexcept nogil:
    """Clients before version 6 know no KAFKA_STORAGE_ERROR; this one makes them refresh their
    metadata."""
    return 6 if error == 56 and request.head.version <= 5 else error


cdef int32_t aborted_count(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    """Aborted transactions: none yet. Null (-1) says that none were looked for, since the read
    failed or was of uncommitted data; a partition that was not found has, as in Kafka, none."""
    if partition.error in (UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID):
        return 0
    if not request.read_committed or partition.error or partition.diverges:
        return -1
    return 0


cdef uint8_t *encode_partition_head(FetchRequest *request, FetchPartition *partition,
                                    uint8_t *out) noexcept nogil:
    """All before the records' length."""
    cdef int16_t version = request.head.version
    cdef int failed = partition.error != 0
    put32(out, partition.index)
    put16(out + 4, error_for(request, partition.error))
    put64(out + 6, -1 if failed else partition.read.view.high_watermark)
    put64(out + 14, -1 if failed else partition.read.view.last_stable_offset)
    out += 22
    if version >= 5:
        put64(out, -1 if failed else partition.read.view.log_start_offset)
        out += 8
    out = put_count(out, request.head.flexible, aborted_count(request, partition))
    if version >= 11:
        put32(out, -1)                  # preferred_read_replica
        out += 4
    return out


cdef uint8_t *encode_partition_tail(FetchRequest *request, FetchPartition *partition,
                                    uint8_t *out) noexcept nogil:
    if not request.head.flexible:
        return out
    if not partition.diverges:
        out[0] = 0
        return out + 1
    out[0] = 1
    out[1] = TAG_DIVERGING_EPOCH
    out[2] = 13
    put32(out + 3, partition.diverging_epoch)
    put64(out + 7, partition.diverging_offset)
    out[15] = 0
    return out + 16


cdef int read_records(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    """The records into the response itself."""
    cdef Response *response = request.response
    cdef LogRead *read = &partition.read
    cdef uint8_t *out = response_reserve(response, read.size)
    cdef int64_t got
    if out == NULL:
        return ENOMEM
    count(&request.reactor.counters, PREADS, 1)
    got = read_at(read.log_fd, out, read.size, read.position)
    if got != read.size:
        if got < 0:
            log_fail(partition.log, last_errno())
        return EIO
    log_read_follow(read, out)
    response.size += read.size
    segment_unpin(read.files)
    return 0


cdef int add_records(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    """The one place where records go into a response. The pin of their file goes with them, and
    where they end is where this connection's next fetch is expected."""
    cdef Response *response = request.response
    cdef int result
    if partition.read.size < request.reactor.file_send_min:
        result = read_records(request, partition)
    else:
        log_read_follow(&partition.read, NULL)
        result = response_add_file(response, &partition.read)
    if result == 0:
        partition.read.size = 0
        hint_keep(response.connection, partition.log, &partition.read.next)
    return result


cdef int encode_partition(FetchRequest *request, FetchPartition *partition) noexcept nogil:
    cdef Response *response = request.response
    cdef int flexible = request.head.flexible
    cdef int result
    cdef uint8_t *out = response_reserve(response, 64)
    if out == NULL:
        return ENOMEM
    out = encode_partition_head(request, partition, out)
    out = put_count(out, flexible, <int32_t>partition.read.size)
    response.size = out - response.bytes
    if partition.read.size > 0:
        result = add_records(request, partition)
        if result:
            return result
    out = response_reserve(response, 32)
    if out == NULL:
        return ENOMEM
    response.size = encode_partition_tail(request, partition, out) - response.bytes
    return 0


cdef int32_t next_chosen(FetchSet *set, int32_t place) noexcept nogil:
    while place < set.partition_count and not fetch_set_nth(set, place).chosen:
        place += 1
    return place


cdef int32_t end_of_topic(FetchSet *set, int32_t place, int32_t *count) noexcept nogil:
    """From a chosen place: how many are chosen before another topic's turn comes, and where that
    begins."""
    cdef int32_t topic = fetch_set_nth(set, place).topic
    count[0] = 0
    while place < set.partition_count and fetch_set_nth(set, place).topic == topic:
        count[0] += 1
        place = next_chosen(set, place + 1)
    return place


cdef int encode_topic(FetchRequest *request, int32_t place, int32_t end,
                      int32_t partitions) noexcept nogil:
    cdef Response *response = request.response
    cdef FetchSet *set = &request.set
    cdef FetchTopic *topic = &set.topics[fetch_set_nth(set, place).topic]
    cdef int flexible = request.head.flexible
    cdef int result
    cdef uint8_t *out = response_reserve(response, topic.name_size + 16)
    if out == NULL:
        return ENOMEM
    if request.head.version >= BY_ID_FROM:
        memcpy(out, topic.name, 16)
        out += 16
    else:
        out = put_text(out, flexible, topic.name, topic.name_size)
    out = put_count(out, flexible, partitions)
    response.size = out - response.bytes
    while place < end:
        result = encode_partition(request, fetch_set_nth(set, place))
        if result:
            return result
        place = next_chosen(set, place + 1)
    out = response_reserve(response, 1)
    if out == NULL:
        return ENOMEM
    response.size = put_no_tags(out, flexible) - response.bytes
    return 0


cdef int32_t count_topics(FetchSet *set) noexcept nogil:
    cdef int32_t topics = 0
    cdef int32_t count
    cdef int32_t place = next_chosen(set, 0)
    while place < set.partition_count:
        topics += 1
        place = end_of_topic(set, place, &count)
    return topics


cdef int fetch_encode(FetchRequest *request) noexcept nogil:
    cdef Response *response = request.response
    cdef FetchSet *set = &request.set
    cdef int flexible = request.head.flexible
    cdef int32_t place, end, partitions
    cdef int result
    cdef uint8_t *out = response_reserve(response, 64)
    if out == NULL:
        return ENOMEM
    put32(out + 4, request.head.correlation_id)
    out = put_no_tags(out + 8, flexible)
    put32(out, 0)                       # throttle_time_ms
    out += 4
    if request.head.version >= 7:
        put16(out, request.error)
        put32(out + 2, request.answered_session)
        out += 6
    out = put_count(out, flexible, count_topics(set))
    response.size = out - response.bytes
    place = next_chosen(set, 0)
    while place < set.partition_count:
        end = end_of_topic(set, place, &partitions)
        result = encode_topic(request, place, end, partitions)
        if result:
            return result
        place = end
    out = response_reserve(response, 1)
    if out == NULL:
        return ENOMEM
    response.size = put_no_tags(out, flexible) - response.bytes
    put32(response.bytes, <int32_t>(response_total(response) - 4))
    return 0
