"""A hash table of places over an array of partitions."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset
from fastlog_ext.cursor cimport Cursor, cursor_get32, cursor_init
from fastlog_ext.fetch_request cimport (
    FetchPartition, FetchRequest, FetchSet, FetchTopic, fetch_read_name, fetch_set_partition,
    fetch_set_topic)
from fastlog_ext.secret_hash cimport secret_hash
from fastlog_ext.wire cimport Text, read_count, skip_tags

cdef enum:
    FEWEST_PLACES = 16


cdef int32_t *place_of(PlacedSet *placed, const uint8_t *name, int32_t size,
                       int32_t index) noexcept nogil:
    """Where the partition's number stands, or the free place where it would."""
    cdef uint64_t mask = placed.place_mask
    cdef uint64_t place = secret_hash(<uint32_t>index, name, size) & mask
    cdef FetchPartition *partition
    cdef FetchTopic *topic
    while placed.places[place]:
        partition = &placed.set.partitions[placed.places[place] - 1]
        topic = &placed.set.topics[partition.topic]
        if (partition.index == index and topic.name_size == size
                and memcmp(topic.name, name, size) == 0):
            break
        place = (place + 1) & mask
    return &placed.places[place]


cdef int fit_places(PlacedSet *placed, int32_t count) noexcept nogil:
    """New places for `count` partitions, at most half full. 0, or -1."""
    cdef int32_t capacity = FEWEST_PLACES
    cdef int32_t number
    cdef int32_t *grown
    cdef FetchPartition *partition
    cdef FetchTopic *topic
    while capacity < 2 * count:
        capacity *= 2
    grown = <int32_t *>calloc(capacity, sizeof(int32_t))
    if grown == NULL:
        return -1
    free(placed.places)
    placed.places = grown
    placed.place_mask = capacity - 1
    for number in range(placed.set.partition_count):
        partition = &placed.set.partitions[number]
        topic = &placed.set.topics[partition.topic]
        place_of(placed, topic.name, topic.name_size, partition.index)[0] = number + 1
    return 0


cdef int32_t own_topic(PlacedSet *placed, const FetchTopic *topic) noexcept nogil:
    """The number of a topic with its own copy of the name: the last one if it is that, else a new
    one. -1: out of memory."""
    cdef FetchSet *set = &placed.set
    cdef FetchTopic *last
    cdef uint8_t *name
    if set.topic_count:
        last = &set.topics[set.topic_count - 1]
        if (last.name_size == topic.name_size
                and memcmp(last.name, topic.name, topic.name_size) == 0):
            return set.topic_count - 1
    name = <uint8_t *>malloc(topic.name_size + 1)
    if name == NULL:
        return -1
    last = fetch_set_topic(set)
    if last == NULL:
        free(name)
        return -1
    memcpy(name, topic.name, topic.name_size)
    last.name = name
    last.name_size = topic.name_size
    placed.name_bytes += topic.name_size
    return set.topic_count - 1


cdef FetchPartition *add(PlacedSet *placed, const FetchTopic *topic,
                         int32_t index) noexcept nogil:
    cdef FetchSet *set = &placed.set
    cdef int32_t number = own_topic(placed, topic)
    cdef int32_t *order
    cdef FetchPartition *partition
    if number < 0:
        return NULL
    partition = fetch_set_partition(set)
    if partition == NULL:
        return NULL
    order = <int32_t *>realloc(set.order, set.partition_capacity * sizeof(int32_t))
    if order == NULL:
        set.partition_count -= 1
        return NULL
    set.order = order
    order[set.partition_count - 1] = set.partition_count - 1
    memset(partition, 0, sizeof(FetchPartition))
    partition.topic = number
    partition.index = index
    partition.told_high_watermark = -1
    partition.told_log_start = -1
    place_of(placed, topic.name, topic.name_size, index)[0] = set.partition_count
    return partition


cdef FetchPartition *placed_put(PlacedSet *placed, const FetchSet *other,
                                int32_t number) noexcept nogil:
    cdef const FetchPartition *given = &other.partitions[number]
    cdef const FetchTopic *topic = &other.topics[given.topic]
    cdef FetchPartition *partition
    cdef int32_t *place
    if placed.places == NULL or 2 * (placed.set.partition_count + 1) > placed.place_mask + 1:
        if fit_places(placed, placed.set.partition_count + 1):
            return NULL
    place = place_of(placed, topic.name, topic.name_size, given.index)
    if place[0]:
        partition = &placed.set.partitions[place[0] - 1]
    else:
        partition = add(placed, topic, given.index)
        if partition == NULL:
            return NULL
    partition.offset = given.offset
    partition.max_bytes = given.max_bytes
    partition.leader_epoch = given.leader_epoch
    partition.last_fetched_epoch = given.last_fetched_epoch
    return partition


cdef void drop_topics(PlacedSet *placed) noexcept nogil:
    """Topics without partitions go. `partition_count` first counts, then says what the topic's
    number becomes."""
    cdef FetchSet *set = &placed.set
    cdef int32_t number
    cdef int32_t kept = 0
    for number in range(set.topic_count):
        set.topics[number].partition_count = 0
    for number in range(set.partition_count):
        set.topics[set.partitions[number].topic].partition_count += 1
    for number in range(set.topic_count):
        if set.topics[number].partition_count == 0:
            set.topics[number].partition_count = -1
        else:
            set.topics[number].partition_count = kept
            kept += 1
    for number in range(set.partition_count):
        set.partitions[number].topic = set.topics[set.partitions[number].topic].partition_count
    compress_topics(placed)


cdef void compress_topics(PlacedSet *placed) noexcept nogil:
    cdef FetchSet *set = &placed.set
    cdef FetchTopic *topic
    cdef int32_t number
    cdef int32_t kept = 0
    for number in range(set.topic_count):
        topic = &set.topics[number]
        if topic.partition_count < 0:
            placed.name_bytes -= topic.name_size
            free(<void *>topic.name)
        else:
            set.topics[kept] = topic[0]
            kept += 1
    set.topic_count = kept


cdef int drop_forgotten(PlacedSet *placed) noexcept nogil:
    """Closes the gaps in the array, the order and the places."""
    cdef FetchSet *set = &placed.set
    cdef int32_t *renumbered = <int32_t *>malloc((set.partition_count + 1) * sizeof(int32_t))
    cdef int32_t number
    cdef int32_t kept = 0
    if renumbered == NULL:
        return -1
    for number in range(set.partition_count):
        renumbered[number] = -1
        if not set.partitions[number].forgotten:
            renumbered[number] = kept
            if kept != number:
                memcpy(&set.partitions[kept], &set.partitions[number], sizeof(FetchPartition))
            kept += 1
    compress_order(set, renumbered)
    free(renumbered)
    set.partition_count = kept
    drop_topics(placed)
    return fit_places(placed, kept)


cdef void compress_order(FetchSet *set, const int32_t *renumbered) noexcept nogil:
    cdef int32_t place
    cdef int32_t kept = 0
    for place in range(set.partition_count):
        if renumbered[set.order[place]] >= 0:
            set.order[kept] = renumbered[set.order[place]]
            kept += 1


cdef int placed_forget(PlacedSet *placed, FetchRequest *request) noexcept nogil:
    cdef Cursor cursor
    cdef Text name
    cdef int32_t *place
    cdef int32_t partitions
    cdef int32_t topics
    cdef int gone = 0
    if placed.places == NULL:
        return 0
    cursor_init(&cursor, request.forgotten, request.forgotten_size)
    topics = read_count(&cursor, request.head.flexible, 3)
    while topics > 0 and not cursor.failed:
        fetch_read_name(request, &cursor, &name)
        partitions = read_count(&cursor, request.head.flexible, 4)
        while partitions > 0 and not cursor.failed:
            place = place_of(placed, name.data, name.size, cursor_get32(&cursor))
            if place[0]:
                placed.set.partitions[place[0] - 1].forgotten = 1
                gone = 1
            partitions -= 1
        if request.head.flexible:
            skip_tags(&cursor)
        topics -= 1
    return drop_forgotten(placed) if gone else 0


cdef void placed_rotate(PlacedSet *placed) noexcept nogil:
    cdef FetchSet *set = &placed.set
    cdef int32_t *moved
    cdef int32_t place, number
    cdef int32_t kept = 0
    cdef int32_t sent = 0
    for number in range(set.partition_count):
        sent += set.partitions[number].sent
    if sent == 0 or sent == set.partition_count:
        return
    moved = <int32_t *>malloc(sent * sizeof(int32_t))
    if moved == NULL:
        return                  # it only means that they keep their places
    sent = 0
    for place in range(set.partition_count):
        number = set.order[place]
        if set.partitions[number].sent:
            set.partitions[number].sent = 0
            moved[sent] = number
            sent += 1
        else:
            set.order[kept] = number
            kept += 1
    memcpy(set.order + kept, moved, sent * sizeof(int32_t))
    free(moved)


cdef int64_t placed_bytes(PlacedSet *placed) noexcept nogil:
    cdef FetchSet *set = &placed.set
    return (set.partition_capacity * <int64_t>(sizeof(FetchPartition) + sizeof(int32_t))
            + set.topic_capacity * <int64_t>sizeof(FetchTopic)
            + (placed.place_mask + 1) * <int64_t>sizeof(int32_t) + placed.name_bytes)


cdef void placed_clear(PlacedSet *placed) noexcept nogil:
    cdef int32_t number
    for number in range(placed.set.topic_count):
        free(<void *>placed.set.topics[number].name)
    free(placed.set.topics)
    free(placed.set.partitions)
    free(placed.set.order)
    free(placed.places)
    memset(placed, 0, sizeof(PlacedSet))
