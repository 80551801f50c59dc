"""Reads the files of a partition's folder, an entry at a time, with no broker and no lock.

Whatever is no entry ends the reading with `Malformed`, which says where in the file it stands.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastlog_ext import batch as batches
from fastlog_ext.crc32c import checksum

BATCH_PREFIX = struct.Struct(">qi")  # base offset; length of what follows
BATCH_LENGTH_MIN = 49
OFFSET_ENTRY = struct.Struct(">ii")
TIME_ENTRY = struct.Struct(">qi")
TRANSACTION_ENTRY = struct.Struct(">hqqqq")
SNAPSHOT_HEAD = struct.Struct(">hIi")
SNAPSHOT_ENTRY = struct.Struct(">qhiqiqiq")
SNAPSHOT_CHECKED_FROM = 6  # the CRC covers what follows it
SEGMENT_FILE = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex|snapshot)")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TRANSACTIONAL, CONTROL = 0x10, 0x20
MARKERS = {0: "abort", 1: "commit"}


class Malformed(ValueError):
    """What stands at `position` of the file is not what must stand there."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Snapshot(NamedTuple):
    """One producer in a .snapshot file."""

    producer_id: int
    epoch: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int
    coordinator_epoch: int
    transaction_offset: int


class Aborted(NamedTuple):
    """One aborted transaction in a .txnindex file."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def base_offset(path: Path) -> int:
    """The offset in the name of a segment's file, or 0."""
    match = SEGMENT_FILE.fullmatch(path.name)
    return int(match[1]) if match else 0


def batches_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """(position, bytes) of each batch of a .log; only the frame is checked. Malformed, OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        position = 0
        while position < size:
            file.seek(position)
            prefix = file.read(BATCH_PREFIX.size)
            if len(prefix) < BATCH_PREFIX.size:
                raise Malformed(position, f"the file ends in {size - position} stray bytes")
            _, length = BATCH_PREFIX.unpack(prefix)
            if length < BATCH_LENGTH_MIN:
                what = "zeros" if prefix == bytes(len(prefix)) else f"a batch of length {length}"
                raise Malformed(position, f"{what} where a batch should be")
            if position + BATCH_PREFIX.size + length > size:
                missing = position + BATCH_PREFIX.size + length - size
                raise Malformed(position, f"the file ends {missing} bytes before its last batch")
            yield position, prefix + file.read(length)
            position += BATCH_PREFIX.size + length


def header_of(position: int, data: bytes) -> "batches.BatchHeader":
    """The header of a batch of format 2. Malformed."""
    header = batches.parse(data)
    if header.magic != 2:
        raise Malformed(position, f"a batch of format {header.magic}; only format 2 is known")
    return header


def marker_of(records: list) -> str:
    """What a control batch says: `commit`, `abort`, or the number of another kind."""
    if not records or records[0].key is None or len(records[0].key) < 4:
        return "empty"
    kind = int.from_bytes(records[0].key[2:4], "big", signed=True)
    return MARKERS.get(kind, f"kind {kind}")


def offset_entries(path: Path) -> Iterator[tuple[int, int, int]]:
    """(place in the file, offset, position in the .log) of an .index. Malformed, OSError."""
    base = base_offset(path)
    for place, (relative, position) in _entries(path, OFFSET_ENTRY):
        yield place, base + relative, position


def time_entries(path: Path) -> Iterator[tuple[int, int, int]]:
    """(place in the file, timestamp, offset) of a .timeindex. Malformed, OSError."""
    base = base_offset(path)
    for place, (timestamp, relative) in _entries(path, TIME_ENTRY):
        yield place, timestamp, base + relative


def _entries(path: Path, layout: struct.Struct) -> Iterator[tuple[int, tuple]]:
    """Kafka reserves the whole file for an active segment: zeros behind the first entry end it."""
    content = path.read_bytes()
    for place in range(0, len(content) - layout.size + 1, layout.size):
        piece = content[place : place + layout.size]
        if piece == bytes(layout.size) and not any(content[place:]):
            return
        yield place, layout.unpack(piece)
    rest = len(content) % layout.size
    if rest and any(content[-rest:]):
        raise Malformed(len(content) - rest, f"the index ends in {rest} stray bytes")


def aborted_transactions(path: Path) -> Iterator[tuple[int, Aborted]]:
    """(place in the file, entry) of a .txnindex. Malformed, OSError."""
    content = path.read_bytes()
    for place in range(0, len(content) - TRANSACTION_ENTRY.size + 1, TRANSACTION_ENTRY.size):
        version, *fields = TRANSACTION_ENTRY.unpack_from(content, place)
        if version != 0:
            raise Malformed(place, f"an entry of version {version}")
        yield place, Aborted(*fields)
    rest = len(content) % TRANSACTION_ENTRY.size
    if rest:
        raise Malformed(len(content) - rest, f"the index ends in {rest} stray bytes")


def producers_of(path: Path) -> list[Snapshot]:
    """The content of a .snapshot, its CRC checked. Malformed, OSError."""
    content = path.read_bytes()
    if len(content) < SNAPSHOT_HEAD.size:
        raise Malformed(0, f"a snapshot of {len(content)} bytes")
    version, crc, count = SNAPSHOT_HEAD.unpack_from(content)
    if version != 1:
        raise Malformed(0, f"a snapshot of version {version}")
    if crc != checksum(content[SNAPSHOT_CHECKED_FROM:]):
        raise Malformed(2, "the snapshot's CRC is wrong")
    if count < 0 or SNAPSHOT_HEAD.size + count * SNAPSHOT_ENTRY.size > len(content):
        raise Malformed(6, f"{count} producers do not fit in {len(content)} bytes")
    found = content[SNAPSHOT_HEAD.size : SNAPSHOT_HEAD.size + count * SNAPSHOT_ENTRY.size]
    return [Snapshot(*fields) for fields in SNAPSHOT_ENTRY.iter_unpack(found)]


def epochs_of(path: Path) -> list[tuple[int, int]]:
    """(epoch, start offset) of a leader-epoch-checkpoint, ascending. Malformed, OSError."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        return []
    if lines[0].strip() != "0" or (len(lines) > 1 and not lines[1].strip().isdecimal()):
        raise Malformed(0, "no checkpoint of version 0")
    found: list[tuple[int, int]] = []
    for number, line in enumerate(lines[2:], 3):
        fields = line.split()
        if len(fields) != 2 or not all(field.isdecimal() for field in fields):
            raise Malformed(number, f"line {number} is not epoch, start offset")
        entry = int(fields[0]), int(fields[1])
        if found and (entry[0] <= found[-1][0] or entry[1] <= found[-1][1]):
            raise Malformed(number, f"line {number} does not ascend")
        found.append(entry)
    if len(lines) > 1 and len(found) != int(lines[1]):
        raise Malformed(2, f"{len(found)} entries where line 2 says {lines[1].strip()}")
    return found
