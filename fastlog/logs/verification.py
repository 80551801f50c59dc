"""Whether the files of a partition's folder are whole, and agree with each other."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from fastlog.logs import formats
from fastlog.logs.formats import Malformed
from fastlog.logs.partition import METADATA, parse_folder_name, read_topic_id
from fastlog_ext import batch as batches

EPOCHS = "leader-epoch-checkpoint"
COMPACTED = {"__consumer_offsets", "__transaction_state"}


@dataclass(frozen=True)
class Finding:
    """Something wrong, at a byte position of a file (0: the file as a whole)."""

    path: Path
    position: int
    message: str


@dataclass
class Summary:
    """What was looked at, and what was found."""

    partitions: int = 0
    segments: int = 0
    batches: int = 0
    records: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Segment:
    """What the indexes of a segment are held against: where its batches are."""

    base_offset: int
    positions: list[int] = field(default_factory=list)
    bases: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    greatest: list[int] = field(default_factory=list)  # timestamp up to and with each batch
    size: int = 0

    @property
    def next_offset(self) -> int:
        return self.lasts[-1] + 1 if self.lasts else self.base_offset


class PartitionCheck:
    """Checks one partition's folder. `watch(records, bytes)` is called for each batch."""

    def __init__(
        self,
        folder: Path,
        summary: Summary,
        *,
        allow_gaps: bool = False,
        watch: Callable[[int, int], None] = lambda records, size: None,
    ) -> None:
        partition = parse_folder_name(folder.name)
        self.folder = folder
        self.summary = summary
        self.allow_gaps = allow_gaps or (partition is not None and partition[0] in COMPACTED)
        self._watch = watch

    def run(self) -> None:
        """OSError when a file cannot be read."""
        self.summary.partitions += 1
        names = sorted(path.name for path in self.folder.iterdir())
        bases = sorted(int(name[:20]) for name in names if _kind(name) == "log")
        expected: int | None = None
        for base in bases:
            segment = self._segment(base, expected)
            expected = segment.next_offset
            for kind, check in (
                ("index", self._offset_index),
                ("timeindex", self._time_index),
                ("txnindex", self._transaction_index),
            ):
                self._attempt(self.folder / f"{base:020d}.{kind}", check, segment)
        for name in names:
            if _kind(name) == "snapshot":
                self._attempt(self.folder / name, lambda path, _: formats.producers_of(path), None)
            elif _kind(name) not in (None, "log") and int(name[:20]) not in bases:
                self._find(self.folder / name, 0, "there is no .log of this segment")
        self._attempt(self.folder / EPOCHS, lambda path, _: formats.epochs_of(path), None)
        self._metadata()

    def _find(self, path: Path, position: int, message: str) -> None:
        self.summary.findings.append(Finding(path, position, message))

    def _attempt(self, path: Path, check: Callable, segment: Segment | None) -> None:
        try:
            check(path, segment)
        except FileNotFoundError:
            if path.suffix in (".index", ".timeindex"):
                self._find(path, 0, "the index is missing")
        except Malformed as error:
            self._find(path, error.position, str(error))

    def _metadata(self) -> None:
        try:
            read_topic_id(self.folder)
        except ValueError as error:
            self._find(self.folder / METADATA, 0, str(error).removeprefix(f"{self.folder}/"))

    # --- batches ---

    def _segment(self, base: int, expected: int | None) -> Segment:
        path = self.folder / f"{base:020d}.log"
        segment = Segment(base)
        self.summary.segments += 1
        if expected is not None and base != expected and not (self.allow_gaps and base > expected):
            self._find(path, 0, f"the segment starts at {base}; the one before ends at {expected}")
        try:
            for position, data in formats.batches_of(path):
                self._batch(path, position, data, segment)
        except Malformed as error:
            self._find(path, error.position, str(error))
        return segment

    def _batch(self, path: Path, position: int, data: bytes, segment: Segment) -> None:
        header = formats.header_of(position, data)
        last = header.base_offset + header.last_offset_delta
        self.summary.batches += 1
        self.summary.records += header.record_count
        self.summary.bytes += len(data)
        expected = segment.next_offset
        if header.base_offset < expected or header.last_offset_delta < 0:
            self._find(
                path, position, f"offsets {header.base_offset} to {last} where {expected} is next"
            )
        elif header.base_offset > expected and not self.allow_gaps:
            self._find(
                path, position, f"offsets {expected} to {header.base_offset - 1} are missing"
            )
        if not batches.checksum_matches(data):
            self._find(path, position, "the batch's CRC is wrong")
        else:
            self._records(path, position, data, header)
        segment.positions.append(position)
        segment.bases.append(header.base_offset)
        segment.lasts.append(last)
        before = segment.greatest[-1] if segment.greatest else -1
        segment.greatest.append(max(before, header.max_timestamp))
        segment.size = position + len(data)
        self._watch(header.record_count, len(data))

    def _records(self, path: Path, position: int, data: bytes, header) -> None:
        try:
            records = batches.records(data)
        except batches.CorruptBatch as error:
            self._find(path, position, f"the batch's records are malformed: {error}")
            return
        offsets = [record.offset for record in records]
        dense = range(header.base_offset, header.base_offset + header.last_offset_delta + 1)
        ascending = all(a < b for a, b in pairwise(offsets))
        inside = not offsets or (offsets[0] in dense and offsets[-1] in dense)
        if not (ascending and inside) or (not self.allow_gaps and offsets != list(dense)):
            self._find(path, position, f"the {len(offsets)} records' offsets are not {dense[0]} on")

    # --- indexes ---

    def _offset_index(self, path: Path, segment: Segment) -> None:
        before = (segment.base_offset - 1, -1)
        starts = {position: n for n, position in enumerate(segment.positions)}
        for place, offset, position in formats.offset_entries(path):
            number = starts.get(position)
            if offset <= before[0] or position <= before[1]:
                self._find(path, place, f"the entry ({offset}, {position}) does not ascend")
            elif number is None:
                self._find(path, place, f"no batch starts at {position}, where {offset} should be")
            elif not segment.bases[number] <= offset < segment.next_offset:
                self._find(
                    path,
                    place,
                    f"the batch at {position} starts with {segment.bases[number]}, not {offset}",
                )
            before = (offset, position)

    def _time_index(self, path: Path, segment: Segment) -> None:
        before = (-1, segment.base_offset - 1)
        for place, timestamp, offset in formats.time_entries(path):
            number = bisect_right(segment.lasts, offset) - 1  # the last batch wholly up to here
            latest = segment.greatest[number] if number >= 0 else -1
            if timestamp < before[0] or offset < before[1]:
                self._find(path, place, f"the entry ({timestamp}, {offset}) does not ascend")
            elif not segment.base_offset <= offset < segment.next_offset:
                self._find(path, place, f"offset {offset} is not in the segment")
            elif latest > timestamp:
                self._find(path, place, f"before {offset} is {latest}, later than {timestamp}")
            before = (timestamp, offset)

    def _transaction_index(self, path: Path, segment: Segment) -> None:
        for place, entry in formats.aborted_transactions(path):
            if not 0 <= entry.first_offset <= entry.last_offset < segment.next_offset:
                self._find(
                    path, place, f"offsets {entry.first_offset} to {entry.last_offset} are no range"
                )


def _kind(name: str) -> str | None:
    match = formats.SEGMENT_FILE.fullmatch(name)
    return match[2] if match else None
