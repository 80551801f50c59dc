"""A damaged file of a log folder is made anew or reported; a damaged batch is never served."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from fastlog.logs import checkpoints
from fastlog.logs.folder import CLEAN_MARKER, LogFolder
from fastlog.logs.housekeeping import Housekeeping
from fastlog.logs.manager import Intervals, LogManager
from fastlog.logs.verification import PartitionCheck, Summary
from fastlog_ext.batch_records import build
from tests.engine.logs import batch, open_log, read_all

TOPIC_ID = bytes(range(16))
SETTINGS = {"segment_bytes": 4000, "index_interval_bytes": 300, "file_delete_delay_ms": 0}
NEVER = Intervals(*[3_600_000] * 5)
COUNT, TRIMMED = 150, 7
NOW_MS = time.time_ns() // 1_000_000  # older producers would be forgotten


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2 - 1 if len(data) > 3 else 0]


def flip(data: bytes) -> bytes:
    """The highest bit of a byte in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]


def zero(data: bytes) -> bytes:
    return bytes(len(data))


DAMAGES = {"truncated": truncate, "flipped": flip, "zeroed": zero, "deleted": None}
FILES = {
    "index": "t-0/*.index",
    "timeindex": "t-0/*.timeindex",
    "snapshot": "t-0/*.snapshot",
    "epochs": "t-0/leader-epoch-checkpoint",
    "metadata": "t-0/partition.metadata",
    "recovery point": checkpoints.RECOVERY_POINTS,
    "log start": checkpoints.LOG_START_OFFSETS,
    "high watermark": checkpoints.HIGH_WATERMARKS,
    "clean marker": CLEAN_MARKER,
}


async def start(folder: Path) -> LogManager:
    manager = LogManager(LogFolder.open(folder), NEVER)
    await manager.start(lambda topic: SETTINGS, {"t": TOPIC_ID})
    return manager


def producer_batch(number: int) -> bytes:
    record = (NOW_MS + number, b"key", b"value %d" % number + b"x" * 150)
    sequence = {"producer_id": 5, "producer_epoch": 0, "base_sequence": number}
    return build([record], **sequence)


def write(folder: Path) -> None:
    """A folder that was left in order, with many segments, two epochs and a producer."""

    async def work() -> None:
        manager = await start(folder)
        log = await manager.create_partition("t", TOPIC_ID, 0, SETTINGS)
        for number in range(COUNT):
            if number in (0, 80):
                log.become_leader(number // 40 + 1)
            assert log.append(producer_batch(number))[0] == 0
        log.set_log_start_offset(TRIMMED)
        assert await manager.shutdown()

    asyncio.run(work())


def damage(folder: Path, kind: str, how: str) -> None:
    paths = sorted(folder.glob(FILES[kind]))
    assert paths
    for path in paths:
        change = DAMAGES[how]
        if change is None:
            path.unlink()
        else:
            path.write_bytes(change(path.read_bytes()))


def look(folder: Path) -> dict[str, object]:
    """All that a log knows, told by its answers."""
    found: dict[str, object] = {}

    async def work() -> None:
        manager = await start(folder)
        log = manager.get("t", 0)
        assert log is not None
        found["epochs"] = [log.end_offset_for_epoch(epoch) for epoch in range(5)]
        found["id"] = log.topic_id
        found["records"] = read_all(log)
        found["start"] = log.log_start_offset
        found["times"] = [log.offset_for_timestamp(NOW_MS + at) for at in range(0, COUNT, 9)]
        found["latest"] = log.offset_of_max_timestamp()
        log.become_leader(9)
        again = log.append(producer_batch(COUNT - 1))
        found["duplicate"] = again[:2]
        assert log.append(producer_batch(COUNT + 1))[0] == 45, "a gap in the sequence"
        assert await manager.shutdown()

    asyncio.run(work())
    return found


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "unclean"])
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file(kind, how, clean, tmp_path, caplog):
    """Damage is found whether or not the last broker closed the folder in order."""
    folder, whole = tmp_path / "data", tmp_path / "whole"
    write(folder)
    write(whole)
    damage(folder, kind, how)
    if not clean:
        (folder / CLEAN_MARKER).unlink(missing_ok=True)
    with caplog.at_level(logging.WARNING):
        found = look(folder)
    expected = look(whole)
    if kind == "log start":  # of offsets that are gone nobody else knows; the segments are there
        assert found.pop("start") <= expected.pop("start") == TRIMMED
        found["records"] = [record for record in found["records"] if record[0] >= TRIMMED]
        expected["times"], found["times"] = expected["times"][1:], found["times"][1:]
    if kind == "epochs":  # the first begins where the log's first batch does
        found["epochs"], expected["epochs"] = found["epochs"][1:], expected["epochs"][1:]
    assert found == expected
    if "checkpoint" in FILES[kind] and "/" not in FILES[kind] and how in ("flipped", "zeroed"):
        assert "is not used" in caplog.text
    summary = Summary()
    PartitionCheck(folder / "t-0", summary).run()
    if how == "flipped" and "index" in kind:  # told, unless it was seen and made anew
        assert {finding.path.suffix for finding in summary.findings} <= {f".{kind}"}
    else:
        assert summary.findings == []


def segment_with(log, offset):
    """(path, position) of the batch that holds an offset, in a log of one record a batch."""
    bases = [segment["base_offset"] for segment in log.segments()]
    base = max(b for b in bases if b <= offset)
    path = Path(next(s["path"] for s in log.segments() if s["base_offset"] == base))
    data, position = path.read_bytes(), 0
    for _ in range(offset - base):
        position += 12 + int.from_bytes(data[position + 8 : position + 12], "big")
    return path, position


@pytest.mark.parametrize("indexes", ["whole", "deleted"])
@pytest.mark.parametrize("at", [9, 12, 20, 80, 200], ids=["length", "epoch", "crc", "body", "end"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "unclean"])
def test_a_damaged_batch_is_not_served(clean, at, indexes, tmp_path):
    """In a sealed segment below the recovery point; what lies before and behind it is served."""
    log = open_log(tmp_path / "t-0")
    for number in range(COUNT):
        log.append(batch(b"%d" % number + b"x" * 150, timestamp=number))
    victim = 60
    path, position = segment_with(log, victim)
    log.flush()
    point = log.recovery_point
    log.close()
    data = bytearray(path.read_bytes())
    data[position + at] ^= 0x10
    path.write_bytes(data)
    if indexes == "deleted":
        for index in (tmp_path / "t-0").glob("*index"):
            index.unlink()
    log = open_log(tmp_path / "t-0", clean=clean, recovery_point=point)
    assert log.end_offset == COUNT, "nothing that was synced is cut off"
    if at == 12:  # the epoch lies outside of the checksum: any value is as good as another
        assert len(read_all(log)) == COUNT
        log.close()
        return
    error, _ = log.read(victim, 1 << 20)
    assert error == 2
    following = next(s["base_offset"] for s in log.segments() if s["base_offset"] > victim)
    before = []
    while len(before) < victim:
        error, data = log.read(len(before), 1 << 20)
        assert error == 0 and data
        before += [record for record in split_records(data) if record[0] >= len(before)]
    assert [offset for offset, _ in before] == list(range(victim))
    assert [offset for offset, _, _ in read_all(log, following)] == list(range(following, COUNT))
    assert log.damaged
    places = [(s["path"], s["bad_position"]) for s in log.segments() if s["bad_position"] >= 0]
    assert [place[0] for place in places] == [str(path)]
    assert log.append(batch(b"next"))[:2] == (0, COUNT), "the log goes on"
    log.close()


@pytest.mark.parametrize("index", ["whole", "deleted"])
def test_a_damaged_snapshot_and_a_damaged_header(index, tmp_path):
    """Producers are found again in the batches, of which one cannot be read."""
    settings = {"segment_bytes": 5000, "index_interval_bytes": 300}
    log = open_log(tmp_path / "t-0", **settings)
    ones = [
        batch(b"v" * 150, timestamp=NOW_MS, producer_id=7, producer_epoch=0, base_sequence=number)
        for number in range(60)
    ]
    for number, one in enumerate(ones):
        assert log.append(one)[:2] == (0, number)
    *_, before, active = log.segments()
    log.close()
    for snapshot in (tmp_path / "t-0").glob("*.snapshot"):
        snapshot.write_bytes(flip(snapshot.read_bytes()))
    path = Path(before["path"])
    data = bytearray(path.read_bytes())
    at = len(ones[0]) * 3
    data[at + 8 : at + 12] = b"\xff" * 4  # its length
    path.write_bytes(data)
    if index == "deleted":
        path.with_suffix(".index").unlink()
    log = open_log(tmp_path / "t-0", **settings)
    assert log.end_offset == len(ones)
    assert log.damaged
    assert [s["bad_position"] for s in log.segments() if s["bad_position"] >= 0] == [at]
    victim = before["base_offset"] + 3
    assert log.read(victim, 1 << 20)[0] == 2, "it is not served"
    assert len(read_all(log, active["base_offset"])) == len(ones) - active["base_offset"]
    assert log.append(ones[-1])[:2] == (0, len(ones) - 1), "sent twice"
    assert log.append(ones[0])[0] == 45
    following = batch(b"x", timestamp=NOW_MS, producer_id=7, producer_epoch=0, base_sequence=60)
    assert log.append(following)[:2] == (0, 60)
    log.close()


def split_records(data):
    from tests.engine.logs import records, split

    return [(r.offset, bytes(r.value)) for one in split(data) for r in records(one)]


def test_damage_is_told_once(tmp_path, caplog):
    write(tmp_path / "data")
    log = open_log(tmp_path / "data" / "t-0", clean=True)
    path, position = segment_with(log, 60)
    log.close()
    data = bytearray(path.read_bytes())
    data[position + 80] ^= 1
    path.write_bytes(data)
    log = open_log(tmp_path / "data" / "t-0", clean=True)
    folder = LogFolder.open(tmp_path / "data")
    keeping = Housekeeping(folder, {("t", 0): log}, lambda partition, paths: None)
    keeping.guard()
    assert "damaged" not in caplog.text
    for _ in range(3):
        assert log.read(60, 1 << 20)[0] == 2
        keeping.guard()
    assert caplog.text.count(f"{path}: the batch at {position} is damaged") == 1
    log.close()
    folder.close()


def test_recovery_reads_from_the_recovery_point(tmp_path):
    log = open_log(tmp_path / "t-0", segment_bytes=20_000)
    for number in range(1000):
        log.append(batch(b"x" * 150, timestamp=number))
        if number == 900:
            log.flush()
    point, total = log.recovery_point, log.size_bytes
    active = log.segments()[-1]["size_bytes"]
    log.remove()
    log = open_log(tmp_path / "t-0", segment_bytes=20_000, clean=False, recovery_point=point)
    read, cut = log.recovered
    assert (log.end_offset, cut) == (1000, 0)
    assert (1000 - point) * 200 <= read <= total // 4
    log.remove()
    log = open_log(tmp_path / "t-0", segment_bytes=20_000, clean=False, recovery_point=1000)
    assert active <= log.recovered[0] <= 2 * active, "all was synced: the active segment alone"
    log.close()
    log = open_log(tmp_path / "t-0", segment_bytes=20_000, clean=True, recovery_point=1000)
    assert log.recovered[0] <= 1000, "closed in order: behind the last index entry"
    log.close()
