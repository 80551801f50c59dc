"""A log against a list: the same answers after any sequence of operations, restarts and damage."""

import os
import random
from pathlib import Path

import pytest

from fastlog_ext.partition_log import live_counts
from tests.engine.logs import batch, open_log, read_all


class Model:
    """Whole batches in a list, as [(base offset, [(offset, timestamp, value)])]."""

    def __init__(self):
        self.batches = []
        self.start = 0
        self.end = 0

    def records(self):
        flat = [record for _, batch in self.batches for record in batch]
        return [record for record in flat if record[0] >= self.start]

    def append(self, values, timestamp):
        self.batches.append(
            (self.end, [(self.end + i, timestamp, value) for i, value in enumerate(values)])
        )
        self.end += len(values)

    def truncate(self, offset):
        if offset < self.end:
            self.batches = [(base, b) for base, b in self.batches if b[-1][0] < offset]
            self.end = offset


class Run:
    """One log and its model under random operations."""

    def __init__(self, seed, folder):
        self.random = random.Random(seed)
        self.folder = folder
        self.model = Model()
        self.log = open_log(folder)
        self.clock = 1_000_000

    def append(self):
        for _ in range(self.random.randint(1, 12)):
            size = self.random.choice((0, 10, 100, 900))
            values = [self.random.randbytes(size) for _ in range(self.random.randint(1, 4))]
            self.clock += self.random.randint(-5, 50)
            codec = self.random.choice((0, 0, 1, 2, 3, 4))
            expected = self.model.end
            answer = self.log.append(batch(*values, timestamp=self.clock, codec=codec))
            assert answer == (0, expected, -1)
            self.model.append(values, self.clock)

    def read(self):
        offset = self.random.randint(self.model.start, self.model.end)
        size = self.random.choice((1, 200, 3000, 1 << 20))
        expected = [r for r in self.model.records() if r[0] >= offset]
        assert read_all(self.log, offset, max_bytes=size) == expected

    def find_time(self):
        target = self.random.randint(1_000_000, self.clock + 10)
        late = [r for r in self.model.records() if r[1] >= target]
        found = self.log.offset_for_timestamp(target)
        assert (found and found[:2]) == (late[0][:2] if late else None)

    def find_greatest(self):
        found = self.log.offset_of_max_timestamp()
        greatest = max((r[1] for r in self.model.records()), default=None)
        first = next((r[:2] for r in self.model.records() if r[1] == greatest), None)
        assert (found and found[:2]) == first

    def roll(self):
        self.log.roll()

    def flush(self):
        self.log.flush()
        assert self.log.recovery_point == self.model.end

    def truncate(self):
        bases = [base for base, _ in self.model.batches if base >= self.model.start]
        offset = self.random.choice([*bases[-10:], self.model.end])
        self.log.truncate(offset)
        self.model.truncate(offset)

    def trim(self):
        bases = [base for base, _ in self.model.batches if base >= self.model.start]
        if bases:
            self.model.start = self.random.choice(bases[: len(bases) // 3 + 1])
            self.log.set_log_start_offset(self.model.start)

    def reopen_clean(self):
        self.log.close()
        self.reopen(clean=True)

    def reopen_unclean(self):
        """As after kill -9: what was written is there, and perhaps more."""
        recovery_point = self.log.recovery_point
        active = Path(self.log.segments()[-1]["path"])
        self.log.remove()
        damage = self.random.choice(("none", "garbage", "zeros", "indexes"))
        if damage == "garbage":
            active.write_bytes(active.read_bytes() + self.random.randbytes(500))
        elif damage == "zeros":
            os.truncate(active, active.stat().st_size + 500)
        elif damage == "indexes":
            for path in self.folder.glob("*index"):
                if self.random.random() < 0.5:
                    path.unlink()
                elif self.random.random() < 0.5:
                    path.write_bytes(self.random.randbytes(30))
        self.reopen(clean=False, recovery_point=recovery_point)

    def reopen(self, **options):
        self.log = open_log(self.folder, log_start_offset=self.model.start, **options)

    def check(self):
        assert self.log.end_offset == self.model.end
        assert self.log.log_start_offset == self.model.start
        assert self.log.high_watermark == self.model.end
        assert read_all(self.log) == self.model.records()


OPERATIONS = ("append", "append", "append", "read", "find_time", "find_greatest", "roll", "flush",
              "truncate", "trim", "reopen_clean", "reopen_unclean")  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence(seed, tmp_path):
    before = live_counts()["logs"]
    run = Run(seed, tmp_path / "topic-0")
    for _ in range(60):
        getattr(run, run.random.choice(OPERATIONS))()
        run.check()
    run.log.close()
    del run
    after = live_counts()
    assert after["logs"] == before and after["deferred"] == 0


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bit_cuts_the_log_there(seed, tmp_path):
    """Only bytes that the CRC or the length cover: offset and epoch lie outside of both."""
    rng = random.Random(seed)
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 20)
    starts = []
    for number in range(30):
        starts.append(log.size_bytes)
        log.append(batch(rng.randbytes(200), timestamp=number))
    log.remove()
    victim = rng.randrange(30)
    path = tmp_path / "topic-0" / f"{0:020d}.log"
    data = bytearray(path.read_bytes())
    data[starts[victim] + rng.randrange(16, 200)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    log = open_log(tmp_path / "topic-0", clean=False)
    assert log.end_offset == victim
    assert [value[0] for value in read_all(log)] == list(range(victim))
    assert path.stat().st_size == starts[victim]
    assert log.append(batch(b"next"))[:2] == (0, victim)
    log.close()
