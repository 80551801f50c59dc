"""leader-epoch-checkpoint, producer snapshots, and the offset checkpoints of a folder.

The first byte of an input says which it is.
"""
import os

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset
from fastlog_ext.crc32c cimport crc32c
from fastlog_ext.endian cimport put16, put32
from fastlog_ext.files cimport truncate_to, write_at
from fastlog_ext.leader_epochs cimport (
    LeaderEpochs, leader_epochs_close, leader_epochs_end_offset, leader_epochs_for_offset,
    leader_epochs_open)
from fastlog_ext.producer_state cimport (
    ProducerEntry, ProducerTable, producer_expire, producer_find, producer_first_unstable_offset,
    producer_load_snapshot, producer_table_destroy, producer_table_init)
from tests.fuzz.native.loop cimport Target

cdef enum:
    EPOCHS = 0
    SNAPSHOT = 1
    OFFSETS = 2
    CHECKED_FROM = 6            # of a snapshot: behind its version and checksum
    EXPIRATION_MS = 86400000
    NOW_MS = 1700000000000

cdef bytes folder_name, snapshot_name
cdef const char *folder
cdef const char *snapshot
cdef int epochs_fd = -1
cdef int snapshot_fd = -1
cdef object parse_offsets = None


cdef int put(int fd, const uint8_t *data, int32_t size) noexcept nogil:
    return write_at(fd, data, size, 0) or truncate_to(fd, size)


cdef const char *run_epochs(const uint8_t *data, int32_t size) noexcept nogil:
    cdef LeaderEpochs epochs
    cdef int32_t number, epoch
    cdef int64_t offset
    cdef int error
    if put(epochs_fd, data, size):
        return b"the checkpoint cannot be written"
    error = leader_epochs_open(&epochs, folder)
    if error > 0:
        return b"an I/O error"
    if error < 0:
        return NULL
    for number in range(1, epochs.count):
        if (epochs.entries[number].epoch <= epochs.entries[number - 1].epoch
                or epochs.entries[number].start_offset <= epochs.entries[number - 1].start_offset):
            leader_epochs_close(&epochs)
            return b"epochs that do not ascend"
    for number in range(-1, 20):
        leader_epochs_end_offset(&epochs, number, 1000, &epoch, &offset)
        leader_epochs_for_offset(&epochs, number * 10)
    leader_epochs_close(&epochs)
    return NULL


cdef const char *run_snapshot(const uint8_t *data, int32_t size) noexcept nogil:
    cdef ProducerTable table
    cdef ProducerEntry *entry
    cdef int64_t count = 0
    cdef int error
    if put(snapshot_fd, data, size):
        return b"the snapshot cannot be written"
    if producer_table_init(&table):
        return b"out of memory"
    error = producer_load_snapshot(&table, snapshot, NOW_MS, EXPIRATION_MS)
    if error == 0:
        entry = table.oldest
        while entry != NULL:
            count += 1
            if producer_find(&table, entry.producer_id) != entry:
                producer_table_destroy(&table)
                return b"a producer that is not found by its id"
            entry = entry.next
        producer_first_unstable_offset(&table)
        producer_expire(&table, NOW_MS + EXPIRATION_MS, EXPIRATION_MS)
    elif table.count != 0:
        count = -1
    if error == 0 and count < table.count:
        count = -1
    producer_table_destroy(&table)
    if error > 0:
        return b"an I/O error"
    if count < 0:
        return b"a wrong number of producers"
    return NULL


cdef const char *run_offsets(const uint8_t *data, int32_t size) noexcept with gil:
    """The parser is Python: all it may raise is ValueError."""
    try:
        found = parse_offsets(data[:size].decode("utf-8"))
        for partition, offset in found.items():
            assert len(partition) == 2 and partition[1] >= 0 and offset >= 0
    except ValueError:
        return NULL
    except Exception:
        return b"another exception than ValueError"
    return NULL


cdef const char *run(uint8_t *data, int32_t size) noexcept nogil:
    cdef int kind = data[0] % 8 if size > 0 else 0
    if size < 1:
        return NULL
    if kind == OFFSETS:
        return run_offsets(data + 1, size - 1)
    return run_snapshot(data + 1, size - 1) if kind & 1 else run_epochs(data + 1, size - 1)


cdef int32_t mend(uint8_t *data, int32_t size, uint64_t chance) noexcept nogil:
    """A snapshot with the right version and checksum."""
    if size > 1 + CHECKED_FROM and data[0] & 1:
        put16(data + 1, 1)
        put32(data + 3, <int32_t>crc32c(0, data + 1 + CHECKED_FROM, size - 1 - CHECKED_FROM))
    return size


def target(str where, parser) -> Target:
    """`parser` reads the offset checkpoints, as fastlog.logs.checkpoints.parse."""
    global folder_name, snapshot_name, folder, snapshot, epochs_fd, snapshot_fd, parse_offsets
    cdef Target made = Target()
    folder_name = os.fsencode(where)
    snapshot_name = os.fsencode(f"{where}/{5:020d}.snapshot")
    folder = folder_name
    snapshot = snapshot_name
    epochs_fd = os.open(f"{where}/leader-epoch-checkpoint", os.O_RDWR | os.O_CREAT)
    snapshot_fd = os.open(snapshot_name, os.O_RDWR | os.O_CREAT)
    parse_offsets = parser
    made.run = run
    made.mend = mend
    return made
