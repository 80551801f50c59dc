"""The partition table: an immutable hash table behind one pointer, replaced as a whole by each
change."""
import threading

from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy
from fastlog_ext.partition_log cimport (
    Log, PartitionLog, partition_log_release, partition_log_retain)
from fastlog_ext.reclaim cimport reclaim_collect, reclaim_defer
from fastlog_ext.secret_hash cimport secret_hash
from fastlog_ext.system cimport load_ptr, store_ptr

cdef struct Snapshot:
    uint32_t mask               # both tables are open-addressed and at most half full
    int32_t count
    Topic **by_name
    Topic **by_id


cdef inline uint32_t hash_bytes(const uint8_t *data, int32_t size) noexcept nogil:
    """Clients choose names, and ids to ask for."""
    return <uint32_t>secret_hash(0, data, size)


cdef Topic *topic_by_name(TopicTable *table, const uint8_t *name, int16_t length) noexcept nogil:
    cdef Snapshot *snapshot = <Snapshot *>load_ptr(&table.snapshot)
    cdef uint32_t slot
    cdef Topic *topic
    if snapshot == NULL or length < 0:
        return NULL
    slot = hash_bytes(name, length) & snapshot.mask
    while snapshot.by_name[slot] != NULL:
        topic = snapshot.by_name[slot]
        if topic.name_length == length and memcmp(topic.name, name, length) == 0:
            return topic
        slot = (slot + 1) & snapshot.mask
    return NULL


cdef Topic *topic_by_id(TopicTable *table, const uint8_t *id) noexcept nogil:
    cdef Snapshot *snapshot = <Snapshot *>load_ptr(&table.snapshot)
    cdef uint32_t slot
    cdef Topic *topic
    if snapshot == NULL:
        return NULL
    slot = hash_bytes(id, 16) & snapshot.mask
    while snapshot.by_id[slot] != NULL:
        topic = snapshot.by_id[slot]
        if memcmp(topic.id, id, 16) == 0:
            return topic
        slot = (slot + 1) & snapshot.mask
    return NULL


# --- changes ---

cdef void free_topic(void *memory) noexcept nogil:
    cdef Topic *topic = <Topic *>memory
    cdef int32_t number
    if topic.partitions != NULL:
        for number in range(topic.partition_count):
            if topic.partitions[number] != NULL:
                partition_log_release(topic.partitions[number])
    free(topic.partitions)
    free(topic.name)
    free(topic)


cdef void free_snapshot(void *memory) noexcept nogil:
    cdef Snapshot *snapshot = <Snapshot *>memory
    free(snapshot.by_name)
    free(snapshot.by_id)
    free(snapshot)


cdef Snapshot *new_snapshot(int32_t count) noexcept nogil:
    cdef uint32_t capacity = 8
    cdef Snapshot *snapshot = <Snapshot *>calloc(1, sizeof(Snapshot))
    if snapshot == NULL:
        return NULL
    while capacity < <uint32_t>count * 2:
        capacity *= 2
    snapshot.mask = capacity - 1
    snapshot.by_name = <Topic **>calloc(capacity, sizeof(Topic *))
    snapshot.by_id = <Topic **>calloc(capacity, sizeof(Topic *))
    if snapshot.by_name == NULL or snapshot.by_id == NULL:
        free_snapshot(snapshot)
        return NULL
    return snapshot


cdef void insert(Snapshot *snapshot, Topic *topic) noexcept nogil:
    cdef uint32_t slot = hash_bytes(topic.name, topic.name_length) & snapshot.mask
    while snapshot.by_name[slot] != NULL:
        slot = (slot + 1) & snapshot.mask
    snapshot.by_name[slot] = topic
    slot = hash_bytes(topic.id, 16) & snapshot.mask
    while snapshot.by_id[slot] != NULL:
        slot = (slot + 1) & snapshot.mask
    snapshot.by_id[slot] = topic
    snapshot.count += 1


cdef int replace(TopicTable *table, Topic *old, Topic *new) except -1:
    """A snapshot without `old` and with `new` (either may be NULL) takes the place of the current
    one."""
    cdef Snapshot *current = <Snapshot *>table.snapshot
    cdef Snapshot *snapshot = new_snapshot((current.count if current != NULL else 0) + 1)
    cdef uint32_t slot
    if snapshot == NULL:
        raise MemoryError
    with nogil:
        if current != NULL:
            for slot in range(current.mask + 1):
                if current.by_name[slot] != NULL and current.by_name[slot] != old:
                    insert(snapshot, current.by_name[slot])
        if new != NULL:
            insert(snapshot, new)
        store_ptr(&table.snapshot, snapshot)
        if current != NULL:
            reclaim_defer(current, free_snapshot)
        if old != NULL:
            reclaim_defer(old, free_topic)
        reclaim_collect()
    return 0


cdef Topic *new_topic(bytes name, bytes topic_id, dict partitions, int32_t count) except NULL:
    cdef Topic *topic
    cdef Log log
    cdef int32_t number
    if not 0 < len(name) <= 32767 or len(topic_id) != 16:
        raise ValueError("a topic needs a name and an id of 16 bytes")
    if any(not 0 <= number < count for number in partitions):
        raise ValueError("a partition's number lies outside the topic")
    if None in partitions.values():
        raise TypeError("a partition that is not here must be absent, not None")
    topic = <Topic *>calloc(1, sizeof(Topic))
    if topic == NULL:
        raise MemoryError
    topic.name_length = <int16_t>len(name)
    topic.partition_count = count
    topic.name = <uint8_t *>malloc(len(name))
    topic.partitions = <PartitionLog **>calloc(max(count, 1), sizeof(PartitionLog *))
    if topic.name == NULL or topic.partitions == NULL:
        free_topic(topic)
        raise MemoryError
    memcpy(topic.name, <const char *>name, len(name))
    memcpy(topic.id, <const char *>topic_id, 16)
    try:
        for number, log in partitions.items():
            partition_log_retain(log.pointer())
            topic.partitions[number] = log.log
    except BaseException:
        free_topic(topic)
        raise
    return topic


cdef class Topics:
    """Which partitions this broker holds. The reactors look topics up in it without a lock."""

    def __cinit__(self):
        self.table.snapshot = NULL
        self.logs = {}
        self.changes = threading.Lock()

    def __dealloc__(self):
        cdef Snapshot *snapshot = <Snapshot *>self.table.snapshot
        cdef uint32_t slot
        self.table.snapshot = NULL
        if snapshot != NULL:
            for slot in range(snapshot.mask + 1):
                if snapshot.by_name[slot] != NULL:
                    reclaim_defer(snapshot.by_name[slot], free_topic)
            reclaim_defer(snapshot, free_snapshot)
            reclaim_collect()

    cdef Topic *find(self, bytes name) noexcept:
        return topic_by_name(&self.table, <const uint8_t *><const char *>name, <int16_t>len(name))

    def publish(self, str name, bytes topic_id, dict partitions, int partition_count):
        """Adds the topic, or replaces what was known of it. ValueError for a number outside the
        topic."""
        cdef bytes encoded = name.encode()
        cdef Topic *topic
        with self.changes:
            topic = new_topic(encoded, topic_id, partitions, partition_count)
            replace(&self.table, self.find(encoded), topic)
            self.logs[name] = dict(partitions)

    def remove(self, str name) -> bool:
        """Forgets the topic; its logs live on while somebody pins them. Whether it was known."""
        cdef bytes encoded = name.encode()
        cdef Topic *topic
        with self.changes:
            topic = self.find(encoded)
            if topic == NULL:
                return False
            replace(&self.table, topic, NULL)
            del self.logs[name]
            return True

    def get(self, str name):
        """{partition: Log} of a topic, or None."""
        found = self.logs.get(name)
        return None if found is None else dict(found)

    def names(self) -> list:
        return list(self.logs)
