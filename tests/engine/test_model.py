"""A log against a plain list: the same answers after any operations, restarts and damage.

MODEL_TEST_EXAMPLES sets how many sequences are tried (default 100, of up to 40 operations each).
"""

import os
import random
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastlog_ext.partition_log import live_counts
from tests.engine.logs import batch, open_log, read_all

OUT_OF_ORDER, FENCED = 45, 47
NOW = int(time.time() * 1000)  # a producer of long ago would be forgotten
REMEMBERED = 5  # batches of a producer that are recognized when they come again


class Producer:
    """What the log should know of one idempotent producer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.epoch = 0
        self.next_sequence = 0
        self.batches: list[tuple[int, int, int]] = []  # base sequence, size, base offset


class Model:
    """Whole batches in a list, as [(base offset, [(offset, timestamp, value)])]."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[tuple[int, int, bytes]]]] = []
        self.epochs: list[tuple[int, int]] = []  # leader epoch and its first offset
        self.start = 0
        self.end = 0

    def records(self):
        flat = [record for _, batch in self.batches for record in batch]
        return [record for record in flat if record[0] >= self.start]

    def bases(self):
        return [base for base, _ in self.batches if base >= self.start]

    def append(self, values, timestamp):
        self.batches.append(
            (self.end, [(self.end + i, timestamp, value) for i, value in enumerate(values)])
        )
        self.end += len(values)

    def lead(self, epoch):
        self.epochs = [e for e in self.epochs if e[1] < self.end] + [(epoch, self.end)]

    def truncate(self, offset):
        if offset < self.end:
            self.batches = [(base, b) for base, b in self.batches if b[-1][0] < offset]
            self.epochs = [e for e in self.epochs if e[1] < offset]
            self.end = offset

    def trim(self, offset):
        self.start = offset
        below = [epoch for epoch, first in self.epochs if first <= offset][-1:]
        above = [e for e in self.epochs if e[1] > offset]
        self.epochs = [(epoch, offset) for epoch in below] + above


class LogMachine(RuleBasedStateMachine):
    """One log and its model under any operations."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory(prefix="fastlog-model-")
        self.folder = Path(self.scratch.name) / "topic-0"
        self.model = Model()
        self.clock = NOW
        self.producers: list[Producer] = []
        self.producers_made = 0
        self.epoch = -1
        self.open(clean=True)

    def open(self, **options) -> None:
        self.epoch += 1
        self.log = open_log(
            self.folder, log_start_offset=self.model.start, leader_epoch=self.epoch, **options
        )
        self.model.lead(self.epoch)
        for producer in self.producers:
            del producer.batches[:-1]  # a snapshot remembers the last one

    def teardown(self) -> None:
        self.log.close()
        del self.log
        self.scratch.cleanup()

    # --- appends ---

    @rule(
        sizes=st.lists(st.sampled_from((0, 10, 100, 900)), min_size=1, max_size=4),
        seed=st.integers(0, 255),
        codec=st.sampled_from((0, 0, 1, 2, 3, 4)),
        step=st.integers(-5, 50),
        times=st.integers(1, 6),
    )
    def append(self, sizes, seed, codec, step, times):
        for _ in range(times):
            values = [bytes([seed]) * size for size in sizes]
            self.clock += step
            answer = self.log.append(batch(*values, timestamp=self.clock, codec=codec))
            assert answer == (0, self.model.end, -1)
            self.model.append(values, self.clock)

    def send(self, producer, sequence, size, epoch):
        one = batch(
            *[b"p%d" % producer.number] * size,
            timestamp=self.clock,
            producer_id=producer.number,
            producer_epoch=epoch,
            base_sequence=sequence,
        )
        return self.log.append(one)

    @rule(choice=st.integers(0, 3), size=st.integers(1, 3), new_epoch=st.booleans())
    def produce(self, choice, size, new_epoch):
        """The next batch of an idempotent producer, perhaps its first, perhaps of a new epoch."""
        if choice >= len(self.producers):
            self.producers_made += 1
            self.producers.append(Producer(self.producers_made))
        producer = self.producers[min(choice, len(self.producers) - 1)]
        if new_epoch and producer.batches:
            producer.epoch += 1
            producer.next_sequence = 0
            producer.batches.clear()
        base = self.model.end
        assert self.send(producer, producer.next_sequence, size, producer.epoch) == (0, base, -1)
        self.model.append([b"p%d" % producer.number] * size, self.clock)
        producer.batches.append((producer.next_sequence, size, base))
        del producer.batches[:-REMEMBERED]
        producer.next_sequence += size

    @precondition(lambda self: any(p.batches for p in self.producers))
    @rule(data=st.data())
    def repeat(self, data):
        """A batch that the log remembers is answered as before, and not written again."""
        producer = data.draw(st.sampled_from([p for p in self.producers if p.batches]))
        sequence, size, base = data.draw(st.sampled_from(producer.batches))
        assert self.send(producer, sequence, size, producer.epoch)[:2] == (0, base)

    @precondition(lambda self: any(p.batches for p in self.producers))
    @rule(data=st.data(), ahead=st.integers(1, 100))
    def refused(self, data, ahead):
        """A gap in the sequence, and an epoch of the past."""
        producer = data.draw(st.sampled_from([p for p in self.producers if p.batches]))
        gap = self.send(producer, producer.next_sequence + ahead, 1, producer.epoch)
        assert gap[0] == OUT_OF_ORDER
        if producer.epoch:
            old = self.send(producer, producer.next_sequence, 1, producer.epoch - 1)
            assert old[0] == FENCED

    # --- reads ---

    @rule(data=st.data(), size=st.sampled_from((1, 200, 3000, 1 << 20)))
    def read(self, data, size):
        offset = data.draw(st.integers(self.model.start, self.model.end))
        expected = [r for r in self.model.records() if r[0] >= offset]
        assert read_all(self.log, offset, max_bytes=size) == expected

    @rule(data=st.data())
    def find_time(self, data):
        target = data.draw(st.integers(NOW - 100, self.clock + 10))
        late = [r for r in self.model.records() if r[1] >= target]
        found = self.log.offset_for_timestamp(target)
        assert (found and found[:2]) == (late[0][:2] if late else None)

    @rule()
    def find_greatest(self):
        found = self.log.offset_of_max_timestamp()
        greatest = max((r[1] for r in self.model.records()), default=None)
        first = next((r[:2] for r in self.model.records() if r[1] == greatest), None)
        assert (found and found[:2]) == first

    @rule()
    def find_epochs(self):
        ends = [first for _, first in self.model.epochs[1:]] + [self.model.end]
        for (epoch, _), end in zip(self.model.epochs, ends, strict=True):
            assert self.log.end_offset_for_epoch(epoch) == (epoch, end)

    # --- changes ---

    @rule()
    def lead(self):
        """Another term of leadership; an epoch without a record gives way to the next."""
        self.epoch += 1
        self.log.become_leader(self.epoch)
        self.model.lead(self.epoch)

    @rule()
    def roll(self):
        self.log.roll()

    @rule()
    def flush(self):
        self.log.flush()
        assert self.log.recovery_point == self.model.end

    @rule(data=st.data())
    def truncate(self, data):
        offset = data.draw(st.sampled_from([*self.model.bases()[-10:], self.model.end]))
        self.log.truncate(offset)
        self.model.truncate(offset)
        self.lead()  # the epochs of what was cut off are forgotten
        self.producers.clear()  # what is known of them depends on the snapshots that are left

    @precondition(lambda self: self.model.bases())
    @rule(data=st.data())
    def trim(self, data):
        bases = self.model.bases()
        offset = data.draw(st.sampled_from(bases[: len(bases) // 3 + 1]))
        self.log.set_log_start_offset(offset)
        self.model.trim(offset)
        self.producers.clear()

    # --- restarts ---

    @rule()
    def reopen_clean(self):
        self.log.close()
        self.open(clean=True)

    @rule(
        damage=st.sampled_from(("none", "garbage", "zeros", "indexes")),
        seed=st.integers(0, 1 << 16),
    )
    def reopen_unclean(self, damage, seed):
        """As after kill -9: what was written is there, and perhaps more."""
        chance = random.Random(seed)
        recovery_point = self.log.recovery_point
        active = Path(self.log.segments()[-1]["path"])
        self.log.remove()
        if damage == "garbage":
            active.write_bytes(active.read_bytes() + chance.randbytes(500))
        elif damage == "zeros":
            os.truncate(active, active.stat().st_size + 500)
        elif damage == "indexes":
            for path in sorted(self.folder.glob("*index")):
                if chance.random() < 0.5:
                    path.unlink()
                elif chance.random() < 0.5:
                    path.write_bytes(chance.randbytes(30))
        self.open(clean=False, recovery_point=recovery_point)

    @invariant()
    def same(self):
        assert self.log.end_offset == self.model.end
        assert self.log.log_start_offset == self.model.start
        assert self.log.high_watermark == self.model.end
        assert self.log.leader_epoch == self.epoch
        assert read_all(self.log) == self.model.records()


LogMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("MODEL_TEST_EXAMPLES", "100")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestAnySequence(LogMachine.TestCase):
    """Shrinks a failure to the few operations that make it."""

    def setUp(self):
        self.before = live_counts()["logs"]

    def tearDown(self):
        after = live_counts()
        assert after["logs"] == self.before and after["deferred"] == 0


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
