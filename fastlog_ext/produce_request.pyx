"""Produce as bytes. Versions: KIP-98 (3), KIP-207 (5), KIP-467 (8), KIP-482 (9), KIP-951 (10),
KIP-516 (13)."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.string cimport memset, strlen
from fastlog_ext.batch cimport BatchVerdict, batch_check_frame
from fastlog_ext.cursor cimport (
    Cursor, cursor_get16, cursor_get32, cursor_init, cursor_take)
from fastlog_ext.endian cimport put16, put32, put64
from fastlog_ext.growing cimport with_room
from fastlog_ext.named_once cimport NamedOnce, named_begin, named_end, named_put
from fastlog_ext.plane cimport Response
from fastlog_ext.responses cimport response_reserve
from fastlog_ext.stats cimport ALLOCATIONS, count
from fastlog_ext.system cimport E2BIG, ENOMEM
from fastlog_ext.wire cimport (
    Text, put_count, put_no_tags, put_text, read_count, read_head, read_length, read_text,
    skip_tags)

cdef enum:
    FLEXIBLE_FROM = 9
    ZSTD_FROM = 7
    BY_ID_FROM = 13
    INVALID_OFFSET = -1
    PARTITION_LEAST = 6         # bytes that any version's partition takes at least

cdef const char *TOO_MANY = (
    "a Produce request of more topics and partitions than fastlog.request.elements.max")


cdef ProduceTopic *new_topic(ProduceRequest *request) noexcept nogil:
    cdef int32_t capacity = request.topic_capacity
    cdef void *grown = with_room(request.topics, &request.topic_capacity,
                                 request.topic_count, sizeof(ProduceTopic), 1)
    if grown == NULL:
        return NULL
    count(&request.reactor.counters, ALLOCATIONS, request.topic_capacity > capacity)
    request.topics = <ProduceTopic *>grown
    request.topic_count += 1
    return &request.topics[request.topic_count - 1]


cdef ProducePartition *new_partition(ProduceRequest *request) noexcept nogil:
    cdef int32_t capacity = request.partition_capacity
    cdef void *grown = with_room(request.partitions, &request.partition_capacity,
                                 request.partition_count, sizeof(ProducePartition), 1)
    if grown == NULL:
        return NULL
    count(&request.reactor.counters, ALLOCATIONS, request.partition_capacity > capacity)
    request.partitions = <ProducePartition *>grown
    request.partition_count += 1
    return &request.partitions[request.partition_count - 1]


cdef inline int32_t elements_left(ProduceRequest *request) noexcept nogil:
    """How many topics and partitions may still come: each takes many times its bytes in memory,
    and its time of the reactor's turn."""
    return (request.reactor.plane.max_elements - request.topic_count
            - request.partition_count)


cdef int parse_partition(ProduceRequest *request, Cursor *cursor) noexcept nogil:
    cdef ProducePartition *partition = new_partition(request)
    cdef int32_t size
    if partition == NULL:
        return ENOMEM
    memset(partition, 0, sizeof(ProducePartition))
    partition.record_index = -1
    partition.log_start_offset = INVALID_OFFSET
    partition.append.base_offset = INVALID_OFFSET
    partition.append.append_time_ms = -1
    partition.index = cursor_get32(cursor)
    size = read_length(cursor, request.head.flexible)
    if size >= 0:
        partition.records = <uint8_t *>cursor_take(cursor, size)
        partition.size = size
    if request.head.flexible:
        skip_tags(cursor)
    return 0


cdef int parse_topic(ProduceRequest *request, Cursor *cursor) noexcept nogil:
    cdef ProduceTopic *topic = new_topic(request)
    cdef Text name
    cdef int32_t left
    if topic == NULL:
        return ENOMEM
    if request.head.version >= BY_ID_FROM:
        topic.name = cursor_take(cursor, 16)
        topic.name_size = 16
    else:
        read_text(cursor, request.head.flexible, &name)
        topic.name = name.data
        topic.name_size = name.size
        if name.data == NULL:
            cursor.failed = 1
    left = read_count(cursor, request.head.flexible, PARTITION_LEAST)
    if left > elements_left(request):
        return E2BIG
    topic.partition_count = left if left > 0 else 0
    while left > 0 and not cursor.failed:
        if parse_partition(request, cursor):
            return ENOMEM
        left -= 1
    if request.head.flexible:
        skip_tags(cursor)
    return 0


cdef void name_again(ProduceRequest *request, ProducePartition *before,
                     ProducePartition *again) noexcept nogil:
    cdef BatchVerdict first, second
    cdef int allow_zstd = request.head.version >= ZSTD_FROM
    cdef int was_whole = batch_check_frame(before.records, before.size, allow_zstd, &first)
    if not batch_check_frame(again.records, again.size, allow_zstd, &second) and was_whole:
        before.also_refused = second.error
        before.also_message = second.message
        return
    again.also_refused = before.also_refused
    again.also_message = before.also_message
    if not was_whole and not second.error:
        again.also_refused = first.error
        again.also_message = first.message
    before[0] = again[0]


cdef int name_once(ProduceRequest *request) noexcept nogil:
    """As in Kafka, of a partition that is named again only the last records count that are a whole
    batch. 0 or ENOMEM."""
    cdef NamedOnce named
    cdef ProduceTopic *topic
    cdef int32_t place, topic_number, left
    cdef int32_t number = 0
    cdef int32_t kept = 0
    if request.partition_count < 2:
        return 0
    if named_begin(&named, request.partition_count):
        return ENOMEM
    for topic_number in range(request.topic_count):
        topic = &request.topics[topic_number]
        left = topic.partition_count
        topic.partition_count = 0
        while left > 0:
            place = named_put(&named, topic.name, topic.name_size,
                              request.partitions[number].index, kept)
            if place < kept:
                name_again(request, &request.partitions[place], &request.partitions[number])
            else:
                request.partitions[place] = request.partitions[number]
                topic.partition_count += 1
                kept += 1
            number += 1
            left -= 1
    request.partition_count = kept
    named_end(&named)
    return 0


cdef const char *produce_parse(ProduceRequest *request, uint8_t *frame,
                               int64_t size) noexcept nogil:
    cdef Cursor cursor
    cdef Text transactional_id
    cdef int32_t left
    cdef int error
    request.topic_count = 0
    request.partition_count = 0
    cursor_init(&cursor, frame, size)
    read_head(&cursor, FLEXIBLE_FROM, &request.head)
    read_text(&cursor, request.head.flexible, &transactional_id)
    request.transactional = transactional_id.data != NULL
    request.acks = cursor_get16(&cursor)
    request.timeout_ms = cursor_get32(&cursor)
    left = read_count(&cursor, request.head.flexible, 3)
    if left > elements_left(request):
        return TOO_MANY
    while left > 0 and not cursor.failed:
        error = parse_topic(request, &cursor)
        if error == E2BIG:
            return TOO_MANY
        if error:
            return "out of memory for a Produce request"
        left -= 1
    if request.head.flexible:
        skip_tags(&cursor)
    if cursor.failed:
        return "malformed Produce request"
    if name_once(request):
        return "out of memory for a Produce request"
    return NULL


cdef inline int32_t text_size(const char *text) noexcept nogil:
    return <int32_t>strlen(text) if text != NULL else 0


cdef int64_t refusal_size(const ProducePartition *partition) noexcept nogil:
    """At most what encode_refusal writes."""
    cdef int64_t size = 16 + 2 * (10 + text_size(partition.message))
    cdef int32_t number
    for number in range(partition.refused_count):
        size += 10 + text_size(partition.refused[number].message)
    return size


cdef uint8_t *encode_record_error(uint8_t *out, int flexible, int32_t index,
                                  const char *message) noexcept nogil:
    put32(out, index)
    out = put_text(out + 4, flexible, <const uint8_t *>message, text_size(message))
    return put_no_tags(out, flexible)


cdef uint8_t *encode_refusal(uint8_t *out, const ProducePartition *partition,
                             int flexible) noexcept nogil:
    """record_errors and error_message (KIP-467)."""
    cdef int32_t number
    if partition.refused_count:
        out = put_count(out, flexible, partition.refused_count)
        for number in range(partition.refused_count):
            out = encode_record_error(out, flexible, partition.refused[number].index,
                                      partition.refused[number].message)
    elif partition.record_index >= 0:
        out = put_count(out, flexible, 1)
        out = encode_record_error(out, flexible, partition.record_index, partition.message)
    else:
        out = put_count(out, flexible, 0)
    return put_text(out, flexible, <const uint8_t *>partition.message,
                    text_size(partition.message))


cdef int encode_partition(ProduceRequest *request, ProducePartition *partition) noexcept nogil:
    cdef Response *response = request.response
    cdef int flexible = request.head.flexible
    cdef uint8_t *out = response_reserve(response, 64 + refusal_size(partition))
    if out == NULL:
        return ENOMEM
    put32(out, partition.index)
    put16(out + 4, partition.error)
    put64(out + 6, partition.append.base_offset)
    put64(out + 14, partition.append.append_time_ms)
    out += 22
    if request.head.version >= 5:
        put64(out, partition.log_start_offset)
        out += 8
    if request.head.version >= 8:
        out = encode_refusal(out, partition, flexible)
    out = put_no_tags(out, flexible)
    response.size = out - response.bytes
    return 0


cdef int encode_topic(ProduceRequest *request, ProduceTopic *topic, int32_t first) noexcept nogil:
    cdef Response *response = request.response
    cdef int flexible = request.head.flexible
    cdef int32_t number
    cdef uint8_t *out = response_reserve(response, topic.name_size + 16)
    if out == NULL:
        return ENOMEM
    if request.head.version >= BY_ID_FROM:
        for number in range(16):
            out[number] = topic.name[number]
        out += 16
    else:
        out = put_text(out, flexible, topic.name, topic.name_size)
    out = put_count(out, flexible, topic.partition_count)
    response.size = out - response.bytes
    for number in range(first, first + topic.partition_count):
        if encode_partition(request, &request.partitions[number]):
            return ENOMEM
    if flexible:
        out = response_reserve(response, 1)
        if out == NULL:
            return ENOMEM
        out[0] = 0
        response.size += 1
    return 0


cdef int produce_encode(ProduceRequest *request) noexcept nogil:
    cdef Response *response = request.response
    cdef int flexible = request.head.flexible
    cdef int32_t number
    cdef int32_t first = 0
    cdef int32_t topics = 0
    cdef uint8_t *out = response_reserve(response, 32)
    if out == NULL:
        return ENOMEM
    put32(out + 4, request.head.correlation_id)
    out = put_no_tags(out + 8, flexible)
    for number in range(request.topic_count):           # one without partitions is not answered
        topics += request.topics[number].partition_count > 0
    out = put_count(out, flexible, topics)
    response.size = out - response.bytes
    for number in range(request.topic_count):
        if request.topics[number].partition_count == 0:
            continue
        if encode_topic(request, &request.topics[number], first):
            return ENOMEM
        first += request.topics[number].partition_count
    out = response_reserve(response, 5)
    if out == NULL:
        return ENOMEM
    put32(out, 0)                       # throttle_time_ms
    out = put_no_tags(out + 4, flexible)
    response.size = out - response.bytes
    put32(response.bytes, <int32_t>(response.size - 4))
    return 0
