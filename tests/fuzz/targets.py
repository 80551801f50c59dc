"""What is fuzzed. A target is a class: `Target(folder)`, `try_one(rng)`, `finish()`.

`try_one` may see any refusal that the code documents; anything else (another exception, a crash, a
sanitizer's complaint) is a finding.
"""

import random
import shutil
import struct
from contextlib import suppress
from pathlib import Path

from fastlog_ext import batch, batch_records, codecs, crc32c
from fastlog_ext.partition_log import CorruptLog, Log
from tests.fuzz.mutation import mutate

CODECS = range(5)
SETTINGS = {"segment_bytes": 1 << 16, "index_interval_bytes": 256, "segment_index_bytes": 4096}
CRC_AT, CRC_FROM = 17, 21  # a record batch's checksum, and the first byte that it covers
NOW_MS = 1_700_000_000_000


def some_batches(rng: random.Random, **fields: int) -> list[bytes]:
    """Valid batches: one for each codec, with keys, nulls and headers."""
    found = []
    for codec in CODECS:
        records = [
            (
                NOW_MS + number,
                rng.randbytes(rng.randint(0, 12)) if number % 3 else None,
                b"value" * rng.randint(1, 20) if number % 5 else None,
                [("h", b"1"), ("none", None)] if number % 4 == 0 else [],
            )
            for number in range(rng.randint(1, 12))
        ]
        found.append(batch_records.build(records, codec=codec, **fields))
    return found


def with_good_crc(data: bytes) -> bytes:
    """The same batch with the checksum that fits, so that what is behind it is reached."""
    if len(data) < CRC_FROM:
        return data
    checksum = struct.pack(">I", crc32c.checksum(data[CRC_FROM:]))
    return data[:CRC_AT] + checksum + data[CRC_FROM:]


def broken_batch(rng: random.Random) -> bytes:
    """A batch that is nearly right: often the length and the checksum still fit."""
    data = mutate(rng.choice(some_batches(rng)), rng)
    if rng.random() < 0.6 and len(data) > 12:
        data = data[:8] + struct.pack(">i", len(data) - 12) + data[12:]
    return with_good_crc(data) if rng.random() < 0.8 else data


class Records:
    """The batch parser, the record reader and the search for a timestamp, on the same bytes."""

    def __init__(self, folder: Path) -> None:
        pass

    def try_one(self, rng: random.Random) -> None:
        data = broken_batch(rng)
        for walk in (False, True):
            batch.validate(data, walk_records=walk)
        for read in (
            batch.parse,
            batch.find_timestamp,
            lambda b: batch_records.records(b, 1 << 22),
        ):
            with suppress(ValueError):
                read(data)

    def finish(self) -> None:
        pass


class Codecs:
    """The decompressors, on broken streams of each codec."""

    def __init__(self, folder: Path) -> None:
        pass

    def try_one(self, rng: random.Random) -> None:
        codec = rng.choice([codec for codec in CODECS if codec])
        plain = rng.randbytes(rng.randint(0, 300)) * rng.randint(1, 40)
        with suppress(ValueError):
            codecs.decompress(codec, mutate(codecs.compress(codec, plain), rng), 1 << 20)

    def finish(self) -> None:
        pass


class Appends:
    """A log that is given broken batches between good ones: what it took must read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "fuzz-0"
        self.log = open_log(self.folder, clean=True)
        self.log.become_leader(1)

    def try_one(self, rng: random.Random) -> None:
        start = self.log.end_offset
        self.log.append(broken_batch(rng))
        error, base, _ = self.log.append(rng.choice(some_batches(rng)))
        assert error == 0, f"a good batch after a broken one: error {error}"
        assert base >= start
        while start < self.log.end_offset:
            error, data = self.log.read(start, 1)
            assert error == 0 and batch.checksum_matches(data)
            start = end_of(data)
        if rng.random() < 0.01:
            self.log.set_log_start_offset(self.log.end_offset)

    def finish(self) -> None:
        self.log.close()


class Recoveries:
    """A log folder with one broken file, opened as after a crash: it works, or is refused."""

    def __init__(self, folder: Path) -> None:
        self.good = folder / "good-0"
        self.folder = folder / "broken-0"
        rng = random.Random(0)
        log = open_log(self.good, clean=True)
        log.become_leader(1)
        sequence = 0
        for number in range(200):
            for data in some_batches(rng):
                log.append(data)
            if number % 10 == 0:
                fields = {"producer_id": 7, "producer_epoch": 0, "base_sequence": sequence}
                log.append(batch_records.build([(NOW_MS, b"k", b"v")], **fields))
                sequence += 1
        log.become_leader(2)
        log.append(some_batches(rng)[0])
        log.close()

    def try_one(self, rng: random.Random) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.good, self.folder)
        path = rng.choice(sorted(self.folder.iterdir()))
        path.write_bytes(mutate(path.read_bytes(), rng))
        if rng.random() < 0.2:
            rng.choice(sorted(self.folder.iterdir())).unlink()
        trusted = rng.random() < 0.3  # a marker that lies: damage may show only when it is read
        try:
            log = open_log(self.folder, clean=trusted)
        except (CorruptLog, OSError):
            return
        try:
            self.use(log, trusted, rng)
        except OSError:
            if not trusted:
                raise
        finally:
            log.close()

    def use(self, log: Log, trusted: bool, rng: random.Random) -> None:
        """Reads all of a log, by offset and by time, and goes on writing it. What was looked
        through has no damage."""
        offset = log.log_start_offset
        while offset < log.end_offset:
            error, data = log.read(offset, 1)
            if trusted and (error != 0 or not data):
                break
            assert trusted or (error == 0 and batch.checksum_matches(data))
            offset = max(offset + 1, end_of(data))
        log.offset_for_timestamp(NOW_MS + 3)
        log.become_leader(5)
        error, base, _ = log.append(some_batches(rng)[0])
        if error == 0:
            error, data = log.read(base, 1)
            assert error == 0 and batch.checksum_matches(data)

    def finish(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def end_of(data: bytes) -> int:
    """The offset behind the batch at the head of `data`."""
    header = batch.parse(data)
    return header.base_offset + header.last_offset_delta + 1


def open_log(folder: Path, *, clean: bool) -> Log:
    """The log in `folder`, with small segments so that there are many."""
    return Log.open(
        str(folder), topic="fuzz", partition=0, topic_id=bytes(16), settings=SETTINGS, clean=clean
    )


TARGETS = {
    "records": Records,
    "codecs": Codecs,
    "appends": Appends,
    "recoveries": Recoveries,
}
