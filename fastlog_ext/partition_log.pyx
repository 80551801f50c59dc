"""The Python handle of a partition's log. All that blocks releases the GIL."""
import os
import resource
import threading

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset
from fastlog_ext.batch_format cimport BATCH_DECODED_MAX
from fastlog_ext.disk cimport Disk, DiskState
from fastlog_ext.files cimport read_at
from fastlog_ext.leader_epochs cimport leader_epochs_assign
from fastlog_ext.log_append cimport log_acquire, log_release
from fastlog_ext.log_publish cimport log_publish_offsets, log_wake
from fastlog_ext.log_settings cimport apply_settings
from fastlog_ext.log_settings import DEFAULTS
from fastlog_ext.log_state cimport (
    SegmentList, log_fail, log_live_count, log_segments, partition_log_new)
from fastlog_ext.log_submit cimport append_all
from fastlog_ext.log_time cimport TIME_TOO_LONG, TimeQuery, log_find_time
from fastlog_ext.log_trim cimport (
    close_log, flush, raise_log_start, roll, take_offline, truncate, truncate_fully)
from fastlog_ext.producer_state cimport producer_expire, producer_list
from fastlog_ext.reclaim cimport (
    ReclaimSlot, reclaim_collect, reclaim_pending, reclaim_register, reclaim_unregister)
from fastlog_ext.recovery cimport check, recover
from fastlog_ext.recovery import CorruptLog
from fastlog_ext.segment cimport (
    segment_files_live_count, segment_live_count, segment_max_timestamp, segment_open_count,
    segment_set_open_limit, segment_unpin)
from fastlog_ext.system cimport (
    getpid, last_errno, load32, load64, sched_yield)

TO_HIGH_WATERMARK, TO_LAST_STABLE, TO_END = READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, READ_TO_END


# --- reclamation: a Python thread holds a slot for the length of one call. That a control operation
# has the role of writer is not enough: it pins sealed segments, whose files others may close ---

cdef ReclaimSlot *enter() noexcept nogil:
    cdef ReclaimSlot *slot = reclaim_register()
    # A thousand threads are inside, and each must be able to leave: callers let the GIL go.
    while slot == NULL:
        sched_yield()
        slot = reclaim_register()
    return slot


cdef void leave(ReclaimSlot *slot) noexcept nogil:
    reclaim_unregister(slot)
    reclaim_collect()


class LongLookup(Exception):
    """A lookup by time that would walk more than it may."""


cdef class Log:
    """A partition's log. Errors of the file system are OSError with errno and path; a log whose
    storage failed answers appends and reads with KAFKA_STORAGE_ERROR (56), a closed one with
    NOT_LEADER_OR_FOLLOWER (6)."""

    def __cinit__(self):
        self.log = NULL
        self.process_id = getpid()
        self.folder_lock = threading.Lock()

    def __init__(self):
        raise TypeError("use Log.open")

    def __dealloc__(self):
        if self.log != NULL and self.process_id == getpid():
            partition_log_release(self.log)
            reclaim_collect()

    cdef PartitionLog *pointer(self) except NULL:
        if self.process_id != getpid():
            raise RuntimeError("the log belongs to the process that opened it")
        return self.log

    @staticmethod
    def open(str path, *, str topic, int partition, bytes topic_id, dict settings, bint clean,
             int64_t recovery_point=0, int64_t log_start_offset=0, int64_t high_watermark=0,
             Disk disk=None):
        """Recovers the folder, and creates it if it is absent. `clean`: it was closed properly.
        Without replicas the high watermark is the end of the log, whatever the checkpoint said.
        `disk` rings when the log's storage fails. Raises OSError, CorruptLog, ValueError
        (settings)."""
        cdef Log self = Log.handle(path, topic, partition, topic_id, disk)
        apply_settings(self.log, {**DEFAULTS, **settings})
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
        try:
            recover(self.log, self.path, clean, recovery_point, log_start_offset)
        finally:
            leave(slot)
        return self

    @staticmethod
    def offline(str path, *, str topic, int partition, bytes topic_id, int error):
        """A log that cannot be reached, of a folder that failed with that errno; opens no file."""
        cdef Log self = Log.handle(path, topic, partition, topic_id, None)
        apply_settings(self.log, DEFAULTS)
        with nogil:
            log_fail(self.log, error)
        return self

    @staticmethod
    cdef Log handle(str path, str topic, int partition, bytes topic_id, Disk disk):
        cdef Log self = Log.__new__(Log)
        cdef DiskState *state = NULL if disk is None else disk.state
        self.path = os.path.abspath(path)
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        cdef bytes folder = os.fsencode(self.path)
        self.log = partition_log_new(folder, state)
        if self.log == NULL:
            raise MemoryError
        return self

    # --- leadership and settings ---

    def update(self, dict settings):
        """Changes some settings; the others stay."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
            log_acquire(log)
        try:
            apply_settings(log, settings)
        finally:
            with nogil:
                log_release(log)
                leave(slot)

    def become_leader(self, int32_t leader_epoch):
        """Clients may append from now on; the epoch starts at the end of the log (KIP-101)."""
        self.change_leader(1, leader_epoch)

    def become_follower(self):
        """Clients' appends are refused from now on (NOT_LEADER_OR_FOLLOWER)."""
        self.change_leader(0, -1)

    cdef change_leader(self, int32_t is_leader, int32_t leader_epoch):
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        cdef int error = 0
        with nogil:
            slot = enter()
            log_acquire(log)
            if log.state == LOG_ONLINE:
                if is_leader:
                    error = leader_epochs_assign(&log.epochs, leader_epoch, log.end_offset)
                log.is_leader = is_leader
                log_publish_offsets(log)
            if error > 0:
                log_fail(log, error)
            log_release(log)
            leave(slot)
        check(error, self.path)

    def hold_high_watermark(self, bint hold):
        """For tests of what waits for replicas: the high watermark stays where it is until let
        go."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
            log_acquire(log)
            log.hold_high_watermark = hold
            if log.state == LOG_ONLINE:
                log_publish_offsets(log)
                log_wake(log)
            log_release(log)
            leave(slot)

    # --- what it is ---

    cdef LogView view(self) except *:
        cdef LogView view
        partition_log_view(self.pointer(), &view)
        return view

    @property
    def log_start_offset(self) -> int:
        return self.view().log_start_offset

    @property
    def high_watermark(self) -> int:
        return self.view().high_watermark

    @property
    def last_stable_offset(self) -> int:
        return self.view().last_stable_offset

    @property
    def end_offset(self) -> int:
        return self.view().end_offset

    @property
    def leader_epoch(self) -> int:
        return self.view().leader_epoch

    @property
    def recovery_point(self) -> int:
        """Everything below it is synced to the disk."""
        return load64(&self.pointer().recovery_point)

    @property
    def recovered(self) -> tuple:
        """(bytes of the log that were looked at when it was opened, bytes that were cut off)."""
        cdef PartitionLog *log = self.pointer()
        return log.recovered_read, log.recovered_cut

    @property
    def damaged(self) -> bool:
        """Whether a batch was to be served that is damaged; `segments` tells where."""
        return load32(&self.pointer().damaged) != 0

    @property
    def storage_error(self):
        """errno of the failure that took the log offline, or None."""
        cdef PartitionLog *log = self.pointer()
        return load32(&log.storage_errno) if load32(&log.state) == LOG_OFFLINE else None

    @property
    def closed(self) -> bool:
        return load32(&self.pointer().state) == LOG_CLOSED

    @property
    def waiters(self) -> int:
        """How many fetches and produces are parked here."""
        cdef PartitionLog *log = self.pointer()
        return load32(&log.fetch_waiters.count) + load32(&log.commit_waiters.count)

    @property
    def size_bytes(self) -> int:
        return sum(segment["size_bytes"] for segment in self.segments())

    def segments(self) -> list:
        """Oldest first: base_offset, size_bytes, max_timestamp (-1: none), path of the .log, and
        the position of a batch that is not served because it is damaged (-1: none was met)."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        cdef SegmentList *list
        cdef int64_t timestamp = -1, offset = -1
        cdef int number, error
        found = []
        with nogil:
            slot = enter()
            list = log_segments(log)
        try:
            for number in range(list.count):
                with nogil:
                    error = segment_max_timestamp(list.segments[number], &timestamp, &offset)
                base = list.segments[number].base_offset
                found.append({
                    "base_offset": base, "size_bytes": load64(&list.segments[number].size),
                    "max_timestamp": -1 if error else timestamp,
                    "bad_position": load64(&list.segments[number].bad_position),
                    "path": f"{self.path}/{base:020d}.log"})
        finally:
            leave(slot)
        return found

    def counters(self) -> dict:
        cdef PartitionLog *log = self.pointer()
        return {"bytes_in": load64(&log.bytes_in), "batches_in": load64(&log.batches_in),
                "records_in": load64(&log.records_in), "writes": load64(&log.writes)}

    # --- append and read ---

    def append(self, batch, *, int32_t leader_epoch=-1) -> tuple:
        """Appends one batch as a leader takes it from a client, and waits until it is written.
        (error, base_offset, append_time_ms); the time is -1 unless the log stamps it, and of a
        repeated batch the greatest timestamp of the original."""
        return self.submit([batch], ORIGIN_CLIENT, leader_epoch)[0]

    def append_verbatim(self, batch) -> tuple:
        """Appends one batch as a follower takes it from its leader: its offsets and epoch stay."""
        return self.submit([batch], ORIGIN_REPLICA, -1)[0]

    def append_together(self, batches, *, int32_t leader_epoch=-1) -> list:
        """Appends several batches in one write where it can be: what `append` tells of each. Those
        of other threads may come between them."""
        return self.submit(list(batches), ORIGIN_CLIENT, leader_epoch)

    cdef list submit(self, list batches, signed char origin, int32_t leader_epoch):
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
        try:
            return append_all(log, batches, origin, leader_epoch)
        finally:
            leave(slot)

    def read(self, int64_t offset, int64_t max_bytes, *, int bound=READ_TO_HIGH_WATERMARK,
             bint whole_first=True) -> tuple:
        """(error, bytes) from the batch that holds `offset`; the last batch may be cut off."""
        return read_bytes(self.pointer(), offset, max_bytes, bound, whole_first, NULL)

    def reader(self, int64_t offset):
        """A sequential reader that starts there."""
        return Reader(self, offset)

    # --- time and epochs ---

    def offset_for_timestamp(self, int64_t timestamp, *, int64_t walk_max=BATCH_DECODED_MAX,
                             bint quick=False):
        """(offset, timestamp, leader epoch) of the first record that is as late, or None.

        Where more than `walk_max` bytes of batches and records would have to be walked, a batch's
        header answers; or, with `quick`, LongLookup is raised."""
        return self.find_time(timestamp, False, walk_max, quick)

    def offset_of_max_timestamp(self, *, int64_t walk_max=BATCH_DECODED_MAX, bint quick=False):
        """As offset_for_timestamp, of the first record with the greatest timestamp."""
        return self.find_time(0, True, walk_max, quick)

    cdef find_time(self, int64_t timestamp, bint greatest, int64_t walk_max, bint quick):
        cdef PartitionLog *log = self.pointer()
        cdef TimeQuery query
        cdef int found
        cdef ReclaimSlot *slot
        query.greatest = greatest
        query.target = timestamp
        query.left = walk_max
        query.quick = quick
        with nogil:
            slot = enter()
            found = log_find_time(log, &query)
            leave(slot)
        if found == TIME_TOO_LONG:
            raise LongLookup(self.path)
        if found < 0:
            raise OSError(5, "the log cannot be read", self.path)
        return (query.offset, query.timestamp, query.leader_epoch) if found else None

    def end_offset_for_epoch(self, int32_t epoch) -> tuple:
        """(largest epoch <= the given one, its end offset), or (-1, -1) (KIP-101)."""
        cdef int32_t found
        cdef int64_t end_offset
        partition_log_epoch_end(self.pointer(), epoch, &found, &end_offset)
        return found, end_offset

    # --- taking away, making durable ---
    # Those that return a list leave files named *.deleted, for the caller to remove after
    # file_delete_delay_ms; with a delay of 0 they are gone and the list is empty.

    def truncate(self, int64_t offset) -> list:
        """Takes back everything from `offset` on, with the whole of a batch that holds it."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with self.folder_lock:
            with nogil:
                slot = enter()
            try:
                return truncate(log, self.path, offset)
            finally:
                leave(slot)

    def truncate_fully(self, int64_t new_start_offset) -> list:
        """Forgets everything; the empty log starts at the given offset."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with self.folder_lock:
            with nogil:
                slot = enter()
            try:
                return truncate_fully(log, self.path, new_start_offset)
            finally:
                leave(slot)

    def set_log_start_offset(self, int64_t offset, *, bint with_active=False) -> list:
        """Never back, never beyond the high watermark (ValueError). Segments wholly below it go;
        the active one only with_active, and then an empty one follows it."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with self.folder_lock:
            with nogil:
                slot = enter()
            try:
                return raise_log_start(log, self.path, offset, with_active)
            finally:
                leave(slot)

    def roll(self) -> bool:
        """Starts a new segment unless the active one is empty. Whether it did."""
        return self.roll_when(-1)

    def roll_if_due(self, int64_t now_ms) -> bool:
        """As roll, if the active segment is older than segment_ms by the wall clock."""
        return self.roll_when(now_ms)

    cdef roll_when(self, int64_t due_ms):
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
        try:
            return bool(roll(log, self.path, due_ms))
        finally:
            leave(slot)

    def flush(self):
        """Syncs what is behind the recovery point, and moves it. Appends go on meanwhile."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
        try:
            flush(log, self.path)
        finally:
            leave(slot)

    def close(self):
        """Syncs everything, writes the producers' snapshot and closes. Again: nothing happens."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with self.folder_lock:
            with nogil:
                slot = enter()
            try:
                close_log(log, self.path, True)
            finally:
                leave(slot)

    def remove(self):
        """Closes without a sync: the files are about to go. Who waits is woken."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with self.folder_lock:
            with nogil:
                slot = enter()
            try:
                close_log(log, self.path, False)
            finally:
                leave(slot)

    def fail(self, int error):
        """Its folder failed with that errno: it is offline from now on. Does not wait."""
        cdef PartitionLog *log = self.pointer()
        with nogil:
            log_fail(log, error)

    def take_offline(self, int error):
        """As fail, and lets go of the files, once nobody writes to them."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
            take_offline(log, error)
            leave(slot)

    # --- producers ---

    def expire_producers(self, int64_t now_ms):
        """Forgets producers that have been quiet for producer_id_expiration_ms."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
            log_acquire(log)
            producer_expire(&log.producers, now_ms, log.settings.producer_id_expiration_ms)
            log_release(log)
            leave(slot)

    def active_producers(self) -> list:
        """(producer id, epoch, last sequence, last timestamp, coordinator epoch, open transaction's
        offset or -1) each."""
        cdef PartitionLog *log = self.pointer()
        cdef ReclaimSlot *slot
        with nogil:
            slot = enter()
            log_acquire(log)
        try:
            return producer_list(&log.producers)
        finally:
            with nogil:
                log_release(log)
                leave(slot)


cdef tuple read_bytes(PartitionLog *log, int64_t offset, int64_t max_bytes, int bound,
                      bint whole_first,
                      ReadHint *hint):
    cdef LogRead result
    cdef ReadHint place         # a copy: another thread may use the same reader
    cdef ReadHint *known = NULL
    cdef ReclaimSlot *slot
    cdef bytes data = b""
    cdef char *target
    cdef int64_t got
    if bound not in (READ_TO_HIGH_WATERMARK, READ_TO_LAST_STABLE, READ_TO_END):
        raise ValueError("no such bound")
    if hint != NULL:
        place = hint[0]
        known = &place
    with nogil:
        slot = enter()
        partition_log_read(log, offset, max_bytes, whole_first, <ReadBound>bound, known, &result)
        leave(slot)                 # what was found is pinned
    if result.size == 0:
        return result.error, data
    try:
        data = PyBytes_FromStringAndSize(NULL, result.size)
        target = PyBytes_AS_STRING(data)
        with nogil:
            got = read_at(result.log_fd, target, result.size, result.position)
        if got != result.size:
            raise OSError(last_errno() if got < 0 else 5, "short read of a segment")
        if hint != NULL:
            log_read_follow(&result, <const uint8_t *>target)
            hint[0] = result.next
    finally:
        segment_unpin(result.files)
    return result.error, data


cdef class Reader:
    """Reads batch after batch. Its place is remembered."""

    def __cinit__(self, Log log not None, int64_t offset):
        log.pointer()
        self.log = log
        self.offset = offset
        memset(&self.hint, 0, sizeof(ReadHint))

    @property
    def at_known_place(self) -> bool:
        """Whether the next read needs no index search."""
        return self.hint.valid and self.hint.offset == self.offset

    def read(self, int64_t max_bytes, *, int bound=READ_TO_HIGH_WATERMARK) -> tuple:
        """(error, bytes); whole batches only."""
        error, data = read_bytes(self.log.pointer(), self.offset, max_bytes, bound, True,
                                 &self.hint)
        size = 0
        while size + 61 <= len(data):
            end = size + 12 + int.from_bytes(data[size + 8:size + 12], "big")
            if end > len(data):
                break
            self.offset = (int.from_bytes(data[size:size + 8], "big")
                           + int.from_bytes(data[size + 23:size + 27], "big") + 1)
            size = end
        return error, data[:size]


cdef class PinnedRange:
    """What a fetch holds while its bytes are on their way to a socket."""

    def __cinit__(self, Log log not None, int64_t offset, int64_t max_bytes):
        cdef PartitionLog *source = log.pointer()
        cdef ReclaimSlot *slot
        memset(&self.found, 0, sizeof(LogRead))
        with nogil:
            slot = enter()
            partition_log_read(source, offset, max_bytes, 1, READ_TO_END, NULL, &self.found)
            leave(slot)

    def bytes(self) -> bytes:
        cdef int64_t size = self.found.size
        if self.found.files == NULL:
            return b""
        data = PyBytes_FromStringAndSize(NULL, size)
        if read_at(self.found.log_fd, PyBytes_AS_STRING(data), size, self.found.position) != size:
            raise OSError(5, "short read of a pinned range")
        return data

    def release(self):
        if self.found.files != NULL:
            segment_unpin(self.found.files)
            self.found.files = NULL

    def __dealloc__(self):
        self.release()


# A process that sets no cap of its own keeps half of its descriptors for other things.
segment_set_open_limit(min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


def set_open_segment_limit(int64_t limit):
    """How many sealed segments keep their files open, in the whole process."""
    with nogil:
        segment_set_open_limit(limit)


def live_counts() -> dict:
    """What exists in the process, for tests that nothing leaks: logs, segments, open files,
    deferred frees."""
    with nogil:
        reclaim_collect()
    return {"logs": log_live_count(), "segments": segment_live_count(),
            "files": segment_files_live_count(),
            "open_sealed": segment_open_count(), "deferred": reclaim_pending()}
