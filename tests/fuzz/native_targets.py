"""The native fuzzers: what they begin with, and how a run is kept, repeated and told.

A corpus is a folder of files, one input each: those that together reach all that was ever reached.
"""

# isort: off
from tests.fuzz.native import batches, checkpoints, indexes, loop, requests  # before all of ours

import hashlib
import mmap
import struct
from pathlib import Path

from fastlog.logs.checkpoints import parse as parse_offsets
from fastlog.protocol import encode_request, headers, messages
from fastlog_ext import batch_records
from fastlog_ext.partition_log import Log
from tests.clients.raw_client import build

# isort: on

CORPUS = Path(__file__).parent / "corpus"
LAST_SIZE = 4 + 8192
KEPT_MAX = 1024  # bytes of an input that is kept: larger ones reach no more, only slower
NOW_MS = 1_700_000_000_000
ENTRIES_MANY = 600
RECORDS = [
    (NOW_MS, b"key", b"value", [("header", b"x"), ("null", None)]),
    (NOW_MS + 5, None, b"value" * 9, []),
    (NOW_MS + 2, b"key", None, []),
]


def some_batches() -> list[bytes]:
    """One for each codec, and one of a producer."""
    found = [batch_records.build(RECORDS, codec=codec) for codec in range(5)]
    return [*found, batch_records.build(RECORDS, producer_id=9, producer_epoch=1, base_sequence=4)]


def some_requests() -> list[bytes]:
    """Produce and Fetch in their versions, with one topic, and a request for another parser."""
    found = [struct.pack(">hhih", 18, 3, 7, -1) + b"\0\1\1\0"]
    for version in range(3, 14):
        data = topic_of("name" if version < 13 else "topic_id")
        data["partition_data"] = [{"index": 1, "records": some_batches()[0]}]
        fields = {"acks": -1, "timeout_ms": 1000, "topic_data": [data]}
        found.append(message(0, version, fields))
    for version in range(4, 19):
        kind = "topic" if version < 13 else "topic_id"
        partition = {"partition": 2, "fetch_offset": 5, "partition_max_bytes": 1 << 20}
        fields = {"max_wait_ms": 500, "min_bytes": 1, "max_bytes": 1 << 20}
        fields["topics"] = [topic_of(kind) | {"partitions": [partition] * 2}]
        if version >= 7:
            forgotten = topic_of(kind) | {"partitions": [1, 2]}
            fields |= {"session_id": 4, "session_epoch": 2, "forgotten_topics_data": [forgotten]}
        if version >= 11:
            fields["rack_id"] = "rack"
        found.append(message(1, version, fields))
    return found


def topic_of(kind: str) -> dict:
    """By its name, or by its id where the version has that instead (KIP-516)."""
    return {kind: bytes(range(16)) if kind == "topic_id" else "topic"}


def message(key: int, version: int, fields: dict) -> bytes:
    """Without its length prefix."""
    header = headers.RequestHeader(key, version, 7, "fuzz")
    data = bytes(encode_request(header, build(messages.request_class(key), fields)))
    return data[4:] if struct.unpack_from(">i", data)[0] == len(data) - 4 else data


def make_log(folder: Path, count: int = 60) -> Path:
    """One segment whose indexes have many entries."""
    path = folder / "fuzz-0"
    settings = {"segment_bytes": 1 << 20, "index_interval_bytes": 256}
    log = Log.open(
        str(path), topic="fuzz", partition=0, topic_id=bytes(16), settings=settings, clean=True
    )
    log.become_leader(1)
    for number in range(count):
        one = [(NOW_MS + number * 10 + delta, b"k", b"v" * 40) for delta in range(number % 4 + 1)]
        sequence = {"producer_id": number % 5, "producer_epoch": 0, "base_sequence": number // 5}
        log.append(batch_records.build(one, **(sequence if number % 4 == 0 else {})))
    log.become_leader(3)
    log.append(batch_records.build(RECORDS))
    log.close()
    return path


def open_target(name: str, folder: Path):
    """(the target, what it begins with when there is no corpus)"""
    if name == "requests":
        return requests.target(), some_requests()
    if name == "batches":
        return batches.target(), some_batches()
    path = make_log(folder)
    if name == "indexes":
        offsets, times = (
            (path / f"{0:020d}.{kind}").read_bytes() for kind in ("index", "timeindex")
        )
        target = indexes.target(str(path), 0)
        begin = [struct.pack(">H", len(offsets)) + offsets + times, b"\0\0"]
        return target, [*begin, *long_indexes((path / f"{0:020d}.log").stat().st_size)]
    snapshot = max(path.glob("*.snapshot")).read_bytes()
    begin = [b"\0" + (path / "leader-epoch-checkpoint").read_bytes(), b"\1" + snapshot]
    begin.append(b"\0" + b"0\n6\n0 0\n1 4\n2 7\n5 30\n8 31\n10 200\n")
    begin.append(b"\2" + b"0\n2\ntopic 0 17\nother 3 99\n")
    where = folder / "loaded"
    where.mkdir()
    return checkpoints.target(str(where), parse_offsets), begin


def long_indexes(log_size: int) -> list[bytes]:
    """An offset index, and a time index, of more entries than a search reads at once."""
    places = [number * log_size // ENTRIES_MANY for number in range(ENTRIES_MANY)]
    offsets = b"".join(struct.pack(">ii", number + 1, at) for number, at in enumerate(places))
    times = b"".join(struct.pack(">qi", NOW_MS + at, at // 100) for at in places)
    return [struct.pack(">H", len(offsets)) + offsets, b"\0\0" + times]


NAMES = ("requests", "batches", "indexes", "checkpoints")


def corpus(name: str) -> list[bytes]:
    """The inputs that the project keeps."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*.input"))]


def keep(name: str, inputs: list[bytes]) -> None:
    """Replaces them."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for one in inputs:
        (folder / f"{hashlib.sha1(one).hexdigest()[:16]}.input").write_bytes(one)


def run(name: str, folder: Path, seed: int, count: int, seconds: float, grow: bool) -> int:
    """Up to `count` inputs; how many. Raises loop.Finding, its `data` kept in `last(folder)`."""
    target, begin = open_target(name, folder)
    inputs = begin + corpus(name)
    with open(folder / f"last-{name}", "w+b") as file:
        file.truncate(LAST_SIZE)
        with mmap.mmap(file.fileno(), LAST_SIZE) as memory:
            done, fresh = loop.fuzz(target, inputs, seed, count, seconds, memory)
    if grow:
        short = [one for one in inputs + fresh if len(one) <= KEPT_MAX]
        keep(name, loop.smallest(target, short))
    return done


def repeat(name: str, folder: Path, data: bytes) -> None:
    """One input, as a finding left it."""
    target, _ = open_target(name, folder)
    loop.fuzz(target, [data], 0, 0, 1, bytearray(LAST_SIZE))
