"""The files of a segment as Kafka reads them: whole entries, nothing else, the final time entry."""

import struct

from fastlog_ext.partition_log import live_counts
from tests.engine.logs import batch, open_log, split


def entries(path, form):
    data = path.read_bytes()
    size = struct.calcsize(form)
    assert len(data) % size == 0
    return [struct.unpack_from(form, data, place) for place in range(0, len(data), size)]


def expected_indexes(log_bytes, interval):
    """The rule of both indexes, from the batches alone."""
    offsets, times, since, position, greatest, at, noted = [], [], 0, 0, -1, 0, -1
    for one in split(log_bytes):
        base = int.from_bytes(one[:8], "big")
        last = base + int.from_bytes(one[23:27], "big")
        timestamp = int.from_bytes(one[35:43], "big", signed=True)
        if timestamp > greatest:
            greatest, at = timestamp, last
        if since > interval:
            offsets.append((last, position))
            if greatest > noted:
                times.append((greatest, at))
                noted = greatest
            since = 0
        since += len(one)
        position += len(one)
    if greatest > noted:
        times.append((greatest, at))
    return offsets, times


def test_indexes_hold_what_the_rule_says(tmp_path):
    """More than a block of entries, so that part of it went to the file before the close."""
    folder = tmp_path / "topic-0"
    log = open_log(folder, segment_bytes=1 << 24, index_interval_bytes=100)
    for number in range(2500):
        log.append(batch(b"x" * (number % 90), timestamp=10_000 + (number * 37) % 9000 + number))
    assert (folder / f"{0:020d}.index").stat().st_size > 0
    found = log.offset_for_timestamp(15_000)
    log.close()
    offsets, times = expected_indexes((folder / f"{0:020d}.log").read_bytes(), 100)
    assert len(offsets) > 600
    assert entries(folder / f"{0:020d}.index", ">ii") == offsets
    assert entries(folder / f"{0:020d}.timeindex", ">qi") == times
    for path in folder.glob("*index"):
        path.unlink()
    log = open_log(folder, clean=False, segment_bytes=1 << 24, index_interval_bytes=100)
    assert log.offset_for_timestamp(15_000) == found
    log.close()
    assert entries(folder / f"{0:020d}.index", ">ii") == offsets
    assert entries(folder / f"{0:020d}.timeindex", ">qi") == times


def test_a_full_index_rolls(tmp_path):
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 24, index_interval_bytes=1,
                   segment_index_bytes=120)  # fmt: skip
    for number in range(60):
        log.append(batch(b"x" * 50, timestamp=number))
    assert len(log.segments()) > 4
    log.close()
    for path in (tmp_path / "topic-0").glob("*index"):
        assert path.stat().st_size <= 120
    assert live_counts()["deferred"] == 0


def test_preallocation_is_given_back(tmp_path):
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 20, preallocate=1)
    log.append(batch(b"x" * 100))
    path = tmp_path / "topic-0" / f"{0:020d}.log"
    size = path.stat().st_size
    assert size == log.size_bytes and path.stat().st_blocks * 512 >= 1 << 19
    log.close()
    assert path.stat().st_size == size and path.stat().st_blocks * 512 < 1 << 16
