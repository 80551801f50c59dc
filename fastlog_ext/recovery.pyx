"""Recovery of a partition's folder, with Kafka's rules for what its files mean after a crash.

The folder is listed and tidied in Python, once per open; whatever reads batches is in `replay`,
without the GIL.
"""
import contextlib
import os
import re

from libc.stdint cimport int32_t, int64_t
from fastlog_ext.index cimport OFFSET_ENTRY, TIME_ENTRY, index_sound
from fastlog_ext.files cimport file_size, open_file, truncate_to
from fastlog_ext.leader_epochs cimport leader_epochs_bound, leader_epochs_open
from fastlog_ext.log_publish cimport log_publish_offsets
from fastlog_ext.log_roll cimport log_jitter
from fastlog_ext.log_state cimport PartitionLog, log_active, log_replace_segments
from fastlog_ext.producer_state cimport producer_clear, producer_load_snapshot
from fastlog_ext.replay cimport replay_producers, replay_segment, replay_tail
from fastlog_ext.segment cimport (
    Segment, segment_activate, segment_close_indexes, segment_create, segment_finish, segment_load,
    segment_retire, segment_seal)
from fastlog_ext.segment_check cimport check_forget
from fastlog_ext.system cimport ENOENT, O_RDONLY, close, wall_clock_ms

KEPT_FILE = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex|snapshot)")
SWAP_FILE = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex)\.swap")
LEFTOVERS = (".deleted", ".cleaned", ".swap")


class CorruptLog(ValueError):
    """What the folder holds is not a log that can be recovered."""


cdef int check(int error, str path) except -1:
    if error == -1:
        raise CorruptLog(f"{path}: the segment starts with a message format older than 2")
    if error < 0:
        raise CorruptLog(f"{path}: malformed")
    if error:
        raise OSError(error, os.strerror(error), path)
    return 0


# --- the files of the folder ---

def swapped_range(path: str) -> tuple[int, int]:
    """First and last offset of the batches in a .log.swap."""
    first = last = int(os.path.basename(path)[:20])
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        position = 0
        while position + 61 <= size:
            file.seek(position)
            header = file.read(61)
            length = int.from_bytes(header[8:12], "big", signed=True)
            if length < 49:
                break
            last = int.from_bytes(header[0:8], "big") + int.from_bytes(header[23:27], "big")
            position += 12 + length
    return first, last


def complete_swaps(folder: str) -> None:
    """A .swap is the whole and synced replacement of the segments in its range: a cleaning that was
    cut short after its point of no return."""
    swaps = [name for name in os.listdir(folder) if SWAP_FILE.fullmatch(name)]
    for name in sorted(name for name in swaps if name.endswith(".log.swap")):
        first, last = swapped_range(f"{folder}/{name}")
        for other in os.listdir(folder):
            match = KEPT_FILE.fullmatch(other)
            if match and match[2] != "snapshot" and first <= int(match[1]) <= last:
                os.unlink(f"{folder}/{other}")
    for name in swaps:
        os.rename(f"{folder}/{name}", f"{folder}/{name.removesuffix('.swap')}")


def tidy(folder: str) -> tuple[list[int], list[int]]:
    """Removes leftovers and index files without a log. The base offsets of the segments, and the
    offsets of the producer snapshots; both ascend."""
    files = os.listdir(folder)
    if any(name.endswith(LEFTOVERS) for name in files):
        for name in files:
            if name.endswith((".deleted", ".cleaned")):
                os.unlink(f"{folder}/{name}")
        complete_swaps(folder)
        files = os.listdir(folder)
    found: dict[int, set[str]] = {}
    snapshots_found = []
    for name in files:
        match = KEPT_FILE.fullmatch(name)
        if match and match[2] == "snapshot":
            snapshots_found.append(int(match[1]))
        elif match:
            found.setdefault(int(match[1]), set()).add(match[2])
    for base in [base for base, kinds in found.items() if "log" not in kinds]:
        for kind in found.pop(base):
            os.unlink(f"{folder}/{base:020d}.{kind}")
    return sorted(found), sorted(snapshots_found)


cdef int64_t index_entries(const char *stem, const char *suffix, int32_t entry_size,
                           int64_t log_size, int whole) noexcept nogil:
    """How many an index has; -1 where it is not there or cannot be true, see index_sound. Where
    that cannot be told, -1 - errno."""
    cdef int64_t size
    cdef int sound = 0
    cdef int fd = open_file(stem, suffix, O_RDONLY)
    if fd < 0:
        return -1 if fd == -ENOENT else fd - 1
    size = file_size(fd)
    if size >= 0:
        sound = index_sound(fd, entry_size, size, log_size, whole)
    close(fd)
    return size // entry_size if sound == 1 else -1


def snapshots(folder: str) -> list[int]:
    """The offsets of the producer snapshots, ascending."""
    matches = (KEPT_FILE.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match and match[2] == "snapshot")


# --- segments ---

cdef Segment *load(PartitionLog *log, str folder, int64_t base, bint clean,
                   bint *indexes_good) except NULL:
    cdef int error = 0
    cdef Segment *segment
    cdef bytes name = os.fsencode(f"{folder}/{base:020d}")
    cdef const char *stem = name
    cdef int64_t log_size = os.stat(name + b".log").st_size
    cdef int64_t offsets, times
    with nogil:
        offsets = index_entries(stem, b".index", OFFSET_ENTRY, log_size, not clean)
        times = index_entries(stem, b".timeindex", TIME_ENTRY, log_size, not clean)
    check(max(-1 - offsets, -1 - times, <int64_t>0), os.fsdecode(name))
    # A log that has batches for an index entry has a greatest timestamp: Kafka and we write it at
    # the roll.
    indexes_good[0] = offsets >= 0 and times >= 0
    if not indexes_good[0]:
        offsets = times = 0
    segment = segment_load(log.folder, base, log_size, offsets, times, &error)
    if segment == NULL:
        check(error, folder)
    segment.created_ms = wall_clock_ms()
    segment.jitter_ms = log_jitter(log)
    return segment


cdef bint scan(PartitionLog *log, Segment *segment, int64_t *next_offset, str path) except -1:
    """Checks an active segment's batches and cuts it at the first bad one. Whether it was cut."""
    cdef int64_t valid = 0
    cdef int error
    cdef bint cut
    if next_offset[0] < segment.base_offset:
        next_offset[0] = segment.base_offset
    with nogil:
        error = replay_segment(log, segment, 1, &valid, next_offset)
    log.files_changed = 1
    check(error, path)
    check_forget(segment, 0)            # every checksum has just been looked at
    cut = valid < segment.size
    log.recovered_cut += segment.size - valid
    if cut:
        segment.size = valid
        with nogil:
            error = truncate_to(segment.files.log_fd, valid)
        check(error, path)
    return cut


cdef int make_indexes(PartitionLog *log, Segment *segment, str path) except -1:
    """Of a segment that was synced: what is damaged in it stays, and is not served."""
    cdef int64_t valid = 0
    cdef int64_t next_offset = segment.base_offset
    cdef int error
    with nogil:
        error = replay_segment(log, segment, 0, &valid, &next_offset)
    log.files_changed = 1
    check(error, path)
    return 0


cdef bint open_active(PartitionLog *log, Segment *segment, bint trusted, int64_t *next_offset,
                      str path) except -1:
    """The last segment, or one that may not be synced. Whether it was cut."""
    cdef int error = -2
    if trusted:
        next_offset[0] = segment.base_offset
        with nogil:
            error = replay_tail(segment, next_offset)
        log.recovered_read += segment.bytes_since_index
    if error == 0:
        return False
    return scan(log, segment, next_offset, path)    # one without whole batches was not clean


cdef int64_t open_segments(PartitionLog *log, str folder, list bases, bint clean,
                           int64_t recovery_point, bint epochs_lost) except -1:
    """Fills the list of segments; returns the end offset. Segments behind a cut are removed."""
    cdef int64_t next_offset = 0
    cdef int number, error
    cdef bint indexes_good = False, is_last, is_cut, synced
    cdef Segment *segment
    for number in range(len(bases)):
        is_last = number == len(bases) - 1
        synced = clean or not is_last and bases[number + 1] <= recovery_point
        segment = load(log, folder, bases[number], clean, &indexes_good)
        path = f"{folder}/{bases[number]:020d}.log"
        error = log_replace_segments(log, 0, log.segments.count, segment)
        if error:
            segment_retire(segment)
            check(error, path)
        is_cut = False
        if is_last or not synced or not indexes_good or epochs_lost:
            check(segment_activate(segment), path)
            if is_last or not synced:
                is_cut = open_active(log, segment, clean and indexes_good and not epochs_lost,
                                     &next_offset, path)
            else:
                make_indexes(log, segment, path)
                next_offset = bases[number + 1]
            if is_cut:
                log.recovered_cut += sum(os.stat(f"{folder}/{base:020d}.log").st_size
                                         for base in bases[number + 1:])
                remove_segments(folder, bases[number + 1:])
                is_last = True
            if not is_last:
                check(segment_finish(segment), path)
                segment_seal(segment)
        if is_last:
            break
    return next_offset


cdef bint open_epochs(PartitionLog *log, str folder, list bases) except -1:
    """Whether the epochs are to be found again in the batches: their file is damaged or gone."""
    cdef int error = leader_epochs_open(&log.epochs, log.folder)
    path = f"{folder}/leader-epoch-checkpoint"
    if error < 0:
        os.unlink(path)
        error = leader_epochs_open(&log.epochs, log.folder)
    check(error, path)
    return log.epochs.count == 0 and any(
        os.stat(f"{folder}/{base:020d}.log").st_size > 0 for base in bases)


def remove_segments(folder: str, bases: list[int]) -> None:
    for base in bases:
        for kind in ("log", "index", "timeindex", "txnindex", "snapshot"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{folder}/{base:020d}.{kind}")


cdef int create_first(PartitionLog *log, int64_t base_offset, str path) except -1:
    cdef int error = 0
    cdef Segment *segment = segment_create(log.folder, base_offset, wall_clock_ms(), &error)
    if segment == NULL:
        check(error, path)
    segment.jitter_ms = log_jitter(log)
    error = log_replace_segments(log, 0, 0, segment)
    if error:
        segment_retire(segment)
        check(error, path)
    log.folder_changed = 1
    return 0


# --- producers ---

cdef int rebuild_producers(PartitionLog *log, str folder, list found, int64_t end_offset) except -1:
    cdef int64_t start = log.segments.segments[0].base_offset
    cdef int64_t now = wall_clock_ms()
    cdef int error
    cdef bytes path
    cdef const char *name
    producer_clear(&log.producers)
    log.producers.last_snapshot_offset = 0
    for offset in sorted(found, reverse=True):
        file = f"{folder}/{offset:020d}.snapshot"
        if offset <= end_offset:
            path = os.fsencode(file)
            name = path
            with nogil:
                error = producer_load_snapshot(&log.producers, name, now,
                                               log.settings.producer_id_expiration_ms)
            if error > 0:
                check(error, file)
            if error == 0:
                start = max(start, <int64_t>offset)
                break
            producer_clear(&log.producers)
        os.unlink(file)             # beyond the end of the log, or malformed: an older one serves
        found.remove(offset)
    with nogil:
        error = replay_producers(log, start, end_offset, now)
    check(error, folder)
    log.producers.last_map_offset = end_offset
    return 0


def drop_stray_snapshots(folder: str, found: list[int], bases: list[int]) -> None:
    """Only those at the base of a segment and the newest are of use to a later recovery."""
    for offset in found[:max(len(found) - 1, 0)]:
        if offset not in bases:
            os.unlink(f"{folder}/{offset:020d}.snapshot")


# --- all of it ---

cdef int recover(PartitionLog *log, str folder, bint clean, int64_t recovery_point,
                 int64_t log_start_offset) except -1:
    cdef int64_t end_offset
    cdef bint epochs_lost
    if not os.path.isdir(folder):
        os.makedirs(folder)
        log.folder_changed = 1
    bases, found = tidy(folder)
    epochs_lost = open_epochs(log, folder, bases)
    if bases:
        end_offset = open_segments(log, folder, bases, clean, recovery_point, epochs_lost)
    else:
        end_offset = log_start_offset
        create_first(log, log_start_offset, folder)
    log.end_offset = end_offset
    log.log_start_offset = log.segments.segments[0].base_offset
    # Nobody writes a start beyond the end: that number is damage, the records are not.
    if log_start_offset <= end_offset:
        log.log_start_offset = max(log_start_offset, log.log_start_offset)
    log.recovery_point = min(max(recovery_point, log.log_start_offset), end_offset)
    if clean:
        log.recovery_point = end_offset
    leader_epochs_bound(&log.epochs, log.log_start_offset, end_offset)
    if log.recovered_cut or log.folder_changed:
        found = snapshots(folder)       # those of segments that were removed went with them
    rebuild_producers(log, folder, found, end_offset)
    drop_stray_snapshots(folder, found, bases)
    log_publish_offsets(log)
    segment_close_indexes(log_active(log))
    return 0
