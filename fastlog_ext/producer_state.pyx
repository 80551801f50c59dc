"""Idempotent producers of a partition (KIP-98): validation, memory, expiry, snapshots."""
import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset, strlen
from fastlog_ext.batch cimport (
    ATTRIBUTE_CONTROL, ATTRIBUTE_TRANSACTIONAL, BATCH_ATTRIBUTES, BATCH_BASE_SEQUENCE,
    BATCH_HEADER_SIZE, BATCH_LAST_OFFSET_DELTA, BATCH_MAX_TIMESTAMP, BATCH_PRODUCER_EPOCH,
    BATCH_PRODUCER_ID, BATCH_RECORD_COUNT)
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.cursor cimport (
    Cursor, cursor_get8, cursor_get16, cursor_get32, cursor_get64, cursor_get_varint,
    cursor_get_varlong, cursor_init, cursor_take)
from fastlog_ext.endian cimport get16, get32, get64, put16, put32, put64
from fastlog_ext.files cimport file_size, open_file, read_at, sync_file, write_at
from fastlog_ext.producer_table cimport (
    producer_add, producer_close_transaction, producer_open_transaction, producer_remove)
from fastlog_ext.system cimport (
    ENOMEM, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY, close, last_errno, rename, snprintf)

cdef enum:
    ERROR_OUT_OF_ORDER_SEQUENCE = 45
    ERROR_INVALID_PRODUCER_EPOCH = 47
    ERROR_INVALID_TXN_STATE = 48
    NO_EPOCH = -1
    NO_SEQUENCE = -1
    SNAPSHOT_VERSION = 1
    SNAPSHOT_HEADER = 10            # version int16, crc uint32, count int32
    SNAPSHOT_CHECKED_FROM = 6       # what the CRC covers: from the count on
    SNAPSHOT_ENTRY = 46
    PATH_LIMIT = 4200


# --- sequences: int32, from 0 again after 2^31 - 1 ---

cdef inline int32_t sequence_plus(int32_t sequence, int32_t delta) noexcept nogil:
    if sequence > INT32_MAX - delta:
        return delta - (INT32_MAX - sequence) - 1
    return sequence + delta


cdef inline int32_t sequence_minus(int32_t sequence, int32_t delta) noexcept nogil:
    if sequence < delta:
        return INT32_MAX - (delta - sequence) + 1
    return sequence - delta


cdef inline int32_t last_sequence_of(const BatchInfo *info) noexcept nogil:
    if info.base_sequence == NO_SEQUENCE:
        return NO_SEQUENCE
    return sequence_plus(info.base_sequence, info.last_offset_delta)


cdef inline ProducerBatch *batch_at(const ProducerEntry *entry, int number) noexcept nogil:
    return <ProducerBatch *>&entry.batches[(entry.first + number) % PRODUCER_BATCHES]


cdef inline int32_t last_sequence(const ProducerEntry *entry) noexcept nogil:
    if entry.batch_count == 0:
        return NO_SEQUENCE
    return batch_at(entry, entry.batch_count - 1).last_sequence


# --- the check ---

cdef int find_duplicate(const ProducerEntry *entry, const BatchInfo *info,
                        ProducerCheck *check) noexcept nogil:
    cdef ProducerBatch *batch
    cdef int32_t last = last_sequence_of(info)
    cdef int number
    if info.producer_epoch != entry.epoch:
        return 0
    for number in range(entry.batch_count):
        batch = batch_at(entry, number)
        if batch.last_sequence == last and (
                sequence_minus(batch.last_sequence, batch.offset_delta) == info.base_sequence):
            check.duplicate = 1
            check.duplicate_base_offset = batch.last_offset - batch.offset_delta
            check.duplicate_last_offset = batch.last_offset
            check.duplicate_timestamp = batch.timestamp
            return 1
    return 0


cdef int16_t sequence_error(const ProducerEntry *entry, const BatchInfo *info) noexcept nogil:
    cdef int32_t last
    if entry.epoch == NO_EPOCH:
        return 0
    if info.producer_epoch != entry.epoch:
        return 0 if info.base_sequence == 0 else ERROR_OUT_OF_ORDER_SEQUENCE
    last = last_sequence(entry)
    if info.base_sequence == <int64_t>last + 1 or (info.base_sequence == 0 and last == INT32_MAX):
        return 0
    return ERROR_OUT_OF_ORDER_SEQUENCE


cdef inline void accept(ProducerCheck *check) noexcept nogil:
    check.error = 0
    check.duplicate = 0
    check.duplicate_base_offset = check.duplicate_last_offset = check.duplicate_timestamp = -1


cdef void producer_check(ProducerTable *table, const BatchInfo *info,
                         ProducerCheck *check) noexcept nogil:
    cdef ProducerEntry *entry = producer_find(table, info.producer_id)
    if entry == NULL:
        accept(check)                   # nothing known, or forgotten: any sequence begins anew
    else:
        producer_preview_check(entry, info, check)


cdef void producer_preview(ProducerTable *table, int64_t producer_id,
                           ProducerEntry *entry) noexcept nogil:
    cdef ProducerEntry *known = producer_find(table, producer_id)
    if known != NULL:
        entry[0] = known[0]
        return
    memset(entry, 0, sizeof(ProducerEntry))
    entry.epoch = NO_EPOCH
    entry.transaction_offset = -1


cdef void producer_preview_check(const ProducerEntry *entry, const BatchInfo *info,
                                 ProducerCheck *check) noexcept nogil:
    accept(check)
    if find_duplicate(entry, info, check):
        return
    if info.producer_epoch < entry.epoch:
        check.error = ERROR_INVALID_PRODUCER_EPOCH
        return
    check.error = sequence_error(entry, info)
    if check.error == 0 and entry.transaction_offset >= 0 and not (
            info.attributes & ATTRIBUTE_TRANSACTIONAL):
        check.error = ERROR_INVALID_TXN_STATE


# --- what was appended ---

cdef inline void set_epoch(ProducerEntry *entry, int16_t epoch) noexcept nogil:
    if entry.epoch != epoch:
        entry.epoch = epoch
        entry.first = entry.batch_count = 0


cdef void add_batch(ProducerEntry *entry, int32_t sequence, int64_t last_offset, int32_t delta,
                    int64_t timestamp) noexcept nogil:
    cdef ProducerBatch *batch
    if entry.batch_count == PRODUCER_BATCHES:
        entry.first = (entry.first + 1) % PRODUCER_BATCHES
        entry.batch_count -= 1
    batch = batch_at(entry, entry.batch_count)
    batch.last_sequence = sequence
    batch.last_offset = last_offset
    batch.offset_delta = delta
    batch.timestamp = timestamp
    entry.batch_count += 1


cdef void note_batch(ProducerEntry *entry, const BatchInfo *info) noexcept nogil:
    add_batch(entry, last_sequence_of(info), info.base_offset + info.last_offset_delta,
              info.last_offset_delta, info.max_timestamp)


cdef void producer_preview_add(ProducerEntry *entry, const BatchInfo *info) noexcept nogil:
    set_epoch(entry, info.producer_epoch)
    note_batch(entry, info)
    if info.attributes & ATTRIBUTE_TRANSACTIONAL and entry.transaction_offset < 0:
        entry.transaction_offset = info.base_offset


cdef int read_marker(const uint8_t *batch, int64_t size, int16_t *kind,
                     int32_t *coordinator_epoch) noexcept nogil:
    """1 and what the batch's first record says (kind: 0 abort, 1 commit); 0: no such record."""
    cdef Cursor cursor
    cdef const uint8_t *key
    cdef const uint8_t *value
    cdef int32_t key_size, value_size
    cursor_init(&cursor, batch + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE)
    cursor_get_varint(&cursor)          # length
    cursor_get8(&cursor)                # attributes
    cursor_get_varlong(&cursor)         # timestamp delta
    cursor_get_varint(&cursor)          # offset delta
    key_size = cursor_get_varint(&cursor)
    key = cursor_take(&cursor, key_size)
    value_size = cursor_get_varint(&cursor)
    value = cursor_take(&cursor, value_size)
    if cursor.failed or key_size < 4 or value_size < 6:
        return 0
    kind[0] = get16(key + 2)            # after its version
    coordinator_epoch[0] = get32(value + 2)
    return 1


cdef int producer_update(ProducerTable *table, const BatchInfo *info, const unsigned char *batch,
                         int64_t now_ms) noexcept nogil:
    cdef ProducerEntry *entry
    cdef int16_t kind = -1
    cdef int32_t coordinator_epoch = -1
    cdef int control = info.attributes & ATTRIBUTE_CONTROL
    if info.producer_id < 0:
        return 0
    if control:
        # Compaction leaves an empty control batch where all of the transaction is gone.
        if info.record_count <= 0 or not read_marker(batch, info.size, &kind, &coordinator_epoch):
            return 0
        if kind != 0 and kind != 1:
            return 0
    entry = producer_find(table, info.producer_id)
    if entry == NULL:
        entry = producer_add(table, info.producer_id)
        if entry == NULL:
            return ENOMEM
    set_epoch(entry, info.producer_epoch)
    entry.last_timestamp = info.max_timestamp
    if control:
        entry.coordinator_epoch = coordinator_epoch
        producer_close_transaction(table, entry)
        return 0
    note_batch(entry, info)
    if info.attributes & ATTRIBUTE_TRANSACTIONAL and entry.transaction_offset < 0:
        producer_open_transaction(table, entry, info.base_offset)
    return 0


cdef inline int expired(int64_t transaction_offset, int64_t last_timestamp, int64_t now_ms,
                        int64_t expiration_ms) noexcept nogil:
    return transaction_offset < 0 and now_ms - last_timestamp >= expiration_ms


cdef void producer_expire(ProducerTable *table, int64_t now_ms,
                          int64_t expiration_ms) noexcept nogil:
    cdef ProducerEntry *entry = table.oldest
    cdef ProducerEntry *following
    while entry != NULL:
        following = entry.next
        if expired(entry.transaction_offset, entry.last_timestamp, now_ms, expiration_ms):
            producer_remove(table, entry)
        entry = following


# --- snapshots ---

cdef void encode_entry(uint8_t *out, ProducerEntry *entry) noexcept nogil:
    cdef ProducerBatch *batch = NULL
    if entry.batch_count > 0:
        batch = batch_at(entry, entry.batch_count - 1)
    put64(out, entry.producer_id)
    put16(out + 8, entry.epoch)
    put32(out + 10, NO_SEQUENCE if batch == NULL else batch.last_sequence)
    put64(out + 14, -1 if batch == NULL else batch.last_offset)
    put32(out + 22, 0 if batch == NULL else batch.offset_delta)
    put64(out + 26, entry.last_timestamp)
    put32(out + 34, entry.coordinator_epoch)
    put64(out + 38, entry.transaction_offset)


cdef inline uint32_t checksum(const uint8_t *data, int64_t size) noexcept nogil:
    return crc32c(0, data + SNAPSHOT_CHECKED_FROM, size - SNAPSHOT_CHECKED_FROM)


cdef uint8_t *encode_snapshot(ProducerTable *table, int64_t *size) noexcept nogil:
    """malloc'ed; NULL: out of memory."""
    cdef uint8_t *data
    cdef uint8_t *out
    cdef ProducerEntry *entry = table.oldest
    size[0] = SNAPSHOT_HEADER + SNAPSHOT_ENTRY * table.count
    data = <uint8_t *>malloc(size[0])
    if data == NULL:
        return NULL
    put16(data, SNAPSHOT_VERSION)
    put32(data + SNAPSHOT_CHECKED_FROM, <int32_t>table.count)
    out = data + SNAPSHOT_HEADER
    while entry != NULL:
        encode_entry(out, entry)
        out += SNAPSHOT_ENTRY
        entry = entry.next
    put32(data + 2, <int32_t>checksum(data, size[0]))
    return data


cdef int write_whole(const char *path, const uint8_t *data, int64_t size) noexcept nogil:
    """To a temporary name, synced, and renamed. 0 or errno."""
    cdef char temporary[PATH_LIMIT + 8]
    cdef int error
    cdef int fd = open_file(path, b".tmp", O_WRONLY | O_CREAT | O_TRUNC)
    if fd < 0:
        return -fd
    error = write_at(fd, data, size, 0)
    if not error:
        error = sync_file(fd)
    if close(fd) != 0 and not error:
        error = last_errno()
    snprintf(temporary, PATH_LIMIT + 8, b"%s.tmp", path)
    if not error and rename(temporary, path) != 0:
        error = last_errno()
    return error


cdef int producer_write_snapshot(ProducerTable *table, const char *folder,
                                 int64_t offset) noexcept nogil:
    cdef char path[PATH_LIMIT]
    cdef int64_t size = 0
    cdef int error
    cdef uint8_t *data = encode_snapshot(table, &size)
    if data == NULL:
        return ENOMEM
    snprintf(path, PATH_LIMIT, b"%s/%020lld.snapshot", folder, <long long>offset)
    error = write_whole(path, data, size)
    free(data)
    if not error:
        table.last_snapshot_offset = offset
    return error


cdef int decode_entry(ProducerTable *table, Cursor *cursor, int64_t now_ms,
                      int64_t expiration_ms) noexcept nogil:
    cdef ProducerEntry *entry
    cdef int64_t producer_id = cursor_get64(cursor)
    cdef int16_t epoch = cursor_get16(cursor)
    cdef int32_t sequence = cursor_get32(cursor)
    cdef int64_t last_offset = cursor_get64(cursor)
    cdef int32_t delta = cursor_get32(cursor)
    cdef int64_t timestamp = cursor_get64(cursor)
    cdef int32_t coordinator_epoch = cursor_get32(cursor)
    cdef int64_t transaction_offset = cursor_get64(cursor)
    if cursor.failed:
        return -1
    if expired(transaction_offset, timestamp, now_ms, expiration_ms):
        return 0
    entry = producer_find(table, producer_id)
    if entry != NULL:
        producer_remove(table, entry)      # the last one of an id counts
    entry = producer_add(table, producer_id)
    if entry == NULL:
        return ENOMEM
    entry.epoch = epoch
    entry.coordinator_epoch = coordinator_epoch
    entry.last_timestamp = timestamp
    if last_offset >= 0:
        add_batch(entry, sequence, last_offset, delta, timestamp)
    if transaction_offset >= 0:
        producer_open_transaction(table, entry, transaction_offset)
    return 0


cdef int decode_snapshot(ProducerTable *table, const uint8_t *data, int64_t size, int64_t now_ms,
                         int64_t expiration_ms) noexcept nogil:
    """0, ENOMEM (the table is empty then), or -1: malformed, the table as it was."""
    cdef Cursor cursor
    cdef int32_t count, number
    cdef int error = 0
    cursor_init(&cursor, data, size)
    if cursor_get16(&cursor) != SNAPSHOT_VERSION:
        return -1
    if size < SNAPSHOT_HEADER or <uint32_t>cursor_get32(&cursor) != checksum(data, size):
        return -1
    count = cursor_get32(&cursor)
    if count < 0 or <int64_t>count * SNAPSHOT_ENTRY > size - SNAPSHOT_HEADER:
        return -1
    producer_clear(table)
    for number in range(count):
        error = decode_entry(table, &cursor, now_ms, expiration_ms)
        if error:
            producer_clear(table)
            return error
    return 0


cdef int64_t offset_in_name(const char *path) noexcept nogil:
    """Of .../NNN.snapshot; -1: the name is none."""
    cdef int64_t end = <int64_t>strlen(path) - 9
    cdef int64_t at = end
    cdef int64_t offset = 0
    while at > 0 and c'0' <= path[at - 1] <= c'9' and end - at < 20:
        at -= 1
    if at >= end or at < 0:
        return -1
    while at < end:
        offset = offset * 10 + (path[at] - c'0')
        at += 1
    return offset


cdef int producer_load_snapshot(ProducerTable *table, const char *path, int64_t now_ms,
                                int64_t expiration_ms) noexcept nogil:
    cdef uint8_t *data
    cdef int64_t size, got
    cdef int error
    cdef int fd = open_file(path, b"", O_RDONLY)
    if fd < 0:
        return -fd
    size = file_size(fd)
    data = <uint8_t *>malloc(max(size, <int64_t>1))
    if data == NULL or size < 0:
        error = ENOMEM if data == NULL else last_errno()
    else:
        got = read_at(fd, data, size, 0)
        error = last_errno() if got < 0 else 0
        if not error:
            error = decode_snapshot(table, data, got, now_ms, expiration_ms)
    free(data)
    close(fd)
    if not error:
        table.last_snapshot_offset = max(offset_in_name(path), <int64_t>0)
        table.last_map_offset = table.last_snapshot_offset
    return error


# --- the Python edge ---

cdef list producer_list(ProducerTable *table):
    cdef list found = []
    cdef ProducerEntry *entry = table.oldest
    while entry != NULL:
        found.append((entry.producer_id, entry.epoch, last_sequence(entry), entry.last_timestamp,
                      entry.coordinator_epoch, entry.transaction_offset))
        entry = entry.next
    return found


cdef BatchInfo info_of(bytes batch) except *:
    """The header alone, unchecked but for its size."""
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(batch)
    cdef BatchInfo info
    if PyBytes_GET_SIZE(batch) < BATCH_HEADER_SIZE:
        raise ValueError("not a record batch: fewer than 61 bytes")
    memset(&info, 0, sizeof(info))
    info.base_offset = get64(data)
    info.size = <int32_t>PyBytes_GET_SIZE(batch)
    info.attributes = get16(data + BATCH_ATTRIBUTES)
    info.last_offset_delta = get32(data + BATCH_LAST_OFFSET_DELTA)
    info.max_timestamp = get64(data + BATCH_MAX_TIMESTAMP)
    info.producer_id = get64(data + BATCH_PRODUCER_ID)
    info.producer_epoch = get16(data + BATCH_PRODUCER_EPOCH)
    info.base_sequence = get32(data + BATCH_BASE_SEQUENCE)
    info.record_count = get32(data + BATCH_RECORD_COUNT)
    return info


cdef class ProducerState:
    """The producer table of one partition, for tests and tools. For use by one thread at a time."""
    cdef ProducerTable table

    def __cinit__(self):
        if producer_table_init(&self.table) != 0:
            raise MemoryError

    def __dealloc__(self):
        producer_table_destroy(&self.table)

    def __len__(self):
        return self.table.count

    @property
    def first_unstable_offset(self) -> int:
        """First offset of the earliest open transaction, or -1."""
        return producer_first_unstable_offset(&self.table)

    @property
    def last_snapshot_offset(self) -> int:
        return self.table.last_snapshot_offset

    def check(self, bytes batch) -> tuple:
        """(error code, None or (base offset, last offset, timestamp) of the batch it repeats)."""
        cdef BatchInfo info = info_of(batch)
        cdef ProducerCheck check
        producer_check(&self.table, &info, &check)
        if not check.duplicate:
            return check.error, None
        return check.error, (check.duplicate_base_offset, check.duplicate_last_offset,
                             check.duplicate_timestamp)

    def update(self, bytes batch, int64_t now_ms=0) -> None:
        """Remembers a batch as appended at the base offset in its header."""
        cdef BatchInfo info = info_of(batch)
        if producer_update(&self.table, &info, <const uint8_t *>PyBytes_AS_STRING(batch), now_ms):
            raise MemoryError

    def expire(self, int64_t now_ms, int64_t expiration_ms) -> None:
        producer_expire(&self.table, now_ms, expiration_ms)

    def clear(self) -> None:
        producer_clear(&self.table)

    def producers(self) -> list:
        """(id, epoch, last sequence, last timestamp, coordinator epoch, offset where an open
        transaction began or -1) each, in the order in which they came."""
        return producer_list(&self.table)

    def batches(self, int64_t producer_id) -> list:
        """(first sequence, last sequence, first offset, last offset, timestamp), oldest first."""
        cdef ProducerEntry *entry = producer_find(&self.table, producer_id)
        cdef ProducerBatch *batch
        cdef list found = []
        cdef int number
        if entry != NULL:
            for number in range(entry.batch_count):
                batch = batch_at(entry, number)
                found.append((
                    sequence_minus(batch.last_sequence, batch.offset_delta), batch.last_sequence,
                    batch.last_offset - batch.offset_delta, batch.last_offset, batch.timestamp))
        return found

    def snapshot(self, folder, int64_t offset) -> str:
        """Writes Kafka's `<offset>.snapshot` and returns its path; OSError."""
        cdef bytes path = os.fsencode(folder)
        cdef const char *text = path
        cdef int error
        with nogil:
            error = producer_write_snapshot(&self.table, text, offset)
        if error:
            raise OSError(error, os.strerror(error), os.fsdecode(path))
        return os.path.join(os.fsdecode(path), f"{offset:020d}.snapshot")

    def load(self, path, int64_t now_ms=0, int64_t expiration_ms=0x7fffffffffffffff) -> None:
        """Replaces the content. OSError; ValueError: malformed, or the CRC is wrong."""
        cdef bytes name = os.fsencode(path)
        cdef const char *text = name
        cdef int error
        with nogil:
            error = producer_load_snapshot(&self.table, text, now_ms, expiration_ms)
        if error < 0:
            raise ValueError(f"{os.fsdecode(name)}: not a producer snapshot, or its CRC is wrong")
        if error:
            raise OSError(error, os.strerror(error), os.fsdecode(name))
