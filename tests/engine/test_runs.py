"""Batches that are appended together: fewer writes, and the answers of one by one."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.engine.logs import batch, open_log, read_all
from tests.peers.small_disk import small_disk

ROOT = Path(__file__).parents[2]
LARGE = {"segment_bytes": 1 << 30}
OUT_OF_ORDER, FENCED, STORAGE_ERROR = 45, 47, 56
RUN_LIMIT = 256  # batches of one write


def idempotent(sequence, *, producer=7, epoch=0, values=(b"v",), **options):
    return batch(
        *values, producer_id=producer, producer_epoch=epoch, base_sequence=sequence, **options
    )


def begun(folder, **settings):
    """A log whose segment has its first batch, which is always written alone."""
    log = open_log(folder, **{**LARGE, **settings})
    assert log.append(batch(b"first"))[0] == 0
    return log


def writes_of(log, batches):
    """(answers, how many writes they took)."""
    before = log.counters()["writes"]
    answers = log.append_together(batches)
    return answers, log.counters()["writes"] - before


def test_what_comes_together_is_written_at_once(tmp_path):
    log = begun(tmp_path / "t-0")
    answers, writes = writes_of(log, [batch(b"%d" % n, b"x") for n in range(200)])
    assert answers == [(0, 1 + 2 * n, -1) for n in range(200)] and writes == 1
    assert writes_of(log, [batch(b"x")] * 600)[1] == 3
    assert [offset for offset, _, _ in read_all(log)] == list(range(1001))
    log.close()


@pytest.mark.parametrize("producers", (1, 3, 100))
def test_idempotent_producers_share_a_write(tmp_path, producers):
    log = begun(tmp_path / "t-0")
    batches = [
        idempotent(sequence, producer=producer)
        for sequence in range(200 // producers)
        for producer in range(producers)
    ]
    answers, writes = writes_of(log, batches)
    assert [base for _, base, _ in answers] == list(range(1, 1 + len(batches))) and writes == 1
    # The state is what one by one leaves: the last five of each are remembered, no more.
    last = 200 // producers - 1
    assert log.append(idempotent(last, producer=0))[:2] == (0, 1 + last * producers)
    if producers == 1:
        assert log.append(idempotent(last - 4, producer=0))[0] == 0
        assert log.append(idempotent(last - 5, producer=0))[0] == OUT_OF_ORDER
    log.close()


def test_a_duplicate_and_a_gap_inside_a_run(tmp_path):
    log = begun(tmp_path / "t-0")
    batches = [idempotent(n) for n in (0, 1, 1, 2, 4, 3)] + [idempotent(0, epoch=1)]
    batches += [idempotent(4), idempotent(1, epoch=1)]
    answers = [answer[:2] for answer in log.append_together(batches)]
    assert answers == [
        (0, 1),
        (0, 2),
        (0, 2),
        (0, 3),
        (OUT_OF_ORDER, -1),
        (0, 4),
        (0, 5),
        (FENCED, -1),
        (0, 6),
    ]
    log.close()


def test_a_refused_batch_leaves_the_others_in_place(tmp_path):
    log = begun(tmp_path / "t-0", max_message_bytes=500, segment_bytes=100_000)
    broken = bytearray(batch(b"x"))
    broken[-1] ^= 1
    good = [batch(b"%d" % number) for number in range(3)]
    batches = [good[0], bytes(broken), good[1], batch(b"x" * 600), b"", good[2]]
    answers, writes = writes_of(log, batches)
    assert [error for error, _, _ in answers] == [0, 2, 0, 10, 2, 0]
    assert [base for _, base, _ in answers] == [1, -1, 2, -1, -1, 3]
    assert writes == 1
    log.close()


def random_batches(chance, count):
    """Of a few producers that mostly go on, and sometimes repeat, skip or take a new epoch."""
    state = dict.fromkeys(range(3), (0, 0))
    for _ in range(count):
        size = chance.choice((1, 1, 50, 400))
        timestamp = 1000 + chance.randrange(50)
        values = [chance.randbytes(size) for _ in range(chance.choice((1, 1, 3)))]
        producer = chance.randrange(6)
        if producer not in state:
            yield batch(*values, timestamp=timestamp)
            continue
        epoch, sequence = state[producer]
        luck = chance.random()
        if luck < 0.1:
            epoch, sequence = epoch + 1, 0
        sent = sequence
        if 0.1 <= luck < 0.25:
            sent = max(0, sequence - chance.randrange(1, 7))
        elif 0.25 <= luck < 0.3:
            sent = sequence + 1
        made = idempotent(sent, producer=producer, epoch=epoch, values=values, timestamp=timestamp)
        if sent == sequence:
            state[producer] = (epoch, sequence + len(values))
        yield made
        if luck > 0.9:
            yield made


@pytest.mark.parametrize(
    "settings",
    (
        LARGE,
        {"segment_bytes": 4000},
        {"segment_bytes": 1 << 20, "segment_index_bytes": 96, "index_interval_bytes": 100},
        {"segment_bytes": 1 << 20, "segment_ms": 40},
    ),
    ids=("one segment", "full segments", "full indexes", "old segments"),
)
def test_the_same_as_one_by_one(tmp_path, settings):
    """Answers, bytes, indexes and where each segment begins."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    batches = list(random_batches(chance, 400))
    single = open_log(tmp_path / "single-0", **settings)
    expected = [single.append(one) for one in batches]
    together = open_log(tmp_path / "together-0", **settings)
    answers, at = [], 0
    while at < len(batches):
        size = chance.choice((1, 2, 7, 30))
        answers += together.append_together(batches[at : at + size])
        at += size
    assert answers == expected, seed
    assert together.counters()["writes"] < single.counters()["writes"], seed
    single.close()
    together.close()
    for kind in ("*.log", "*.index", "*.timeindex", "*.snapshot"):
        names = sorted(path.name for path in (tmp_path / "single-0").glob(kind))
        assert names == sorted(path.name for path in (tmp_path / "together-0").glob(kind)), seed
        for name in names:
            one, other = (tmp_path / folder / name for folder in ("single-0", "together-0"))
            assert one.read_bytes() == other.read_bytes(), (seed, name)


FULL_DISK = """
import resource, sys
from tests.engine.test_runs import begun, idempotent, open_log, read_all
log = begun(sys.argv[1])
assert [e for e, _, _ in log.append_together([idempotent(0), idempotent(1)])] == [0, 0]
limit = log.size_bytes + 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
# The first fits, the second does not: none of the run is there, whatever its answer hangs on.
run = [idempotent(2, values=[b"x" * 400]), idempotent(3, values=[b"x" * 800]), idempotent(3),
       idempotent(2, values=[b"x" * 400])]
assert log.append_together(run) == [(56, -1, -1)] * 4
assert log.end_offset == 3 and log.high_watermark == 3
log.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log = open_log(sys.argv[1], clean=False, segment_bytes=1 << 30)
assert [offset for offset, _, _ in read_all(log)] == [0, 1, 2]
assert [a[:2] for a in log.append_together([idempotent(2), idempotent(3)])] == [(0, 3), (0, 4)]
"""


def test_a_run_that_cannot_be_written_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "t-0")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_together_from_many_threads_while_it_is_closed(tmp_path):
    """Every batch is answered once, and what was acknowledged is there."""
    log = open_log(tmp_path / "t-0", **LARGE)
    answers = []

    def append():
        while True:
            found = log.append_together([batch(b"x")] * 20)
            answers.extend(found)
            if any(error for error, _, _ in found):
                return

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    while log.end_offset < 500:
        pass
    log.close()
    for thread in threads:
        thread.join()
    written = sorted(base for error, base, _ in answers if error == 0)
    assert {error for error, _, _ in answers} == {0, 6}
    assert written == list(range(len(written)))
    reopened = open_log(tmp_path / "t-0", **LARGE)
    assert reopened.end_offset == len(written)
    reopened.close()


@pytest.mark.parametrize(
    ("settings", "size"),
    [(LARGE, 1), ({"segment_bytes": 1_650_000}, 100_000)],
    ids=("the most that is written at once", "a roll"),
)
def test_what_follows_a_batch_that_was_not_written(tmp_path, settings, size):
    """The run ends behind a producer's batch, and its write finds the disk full."""
    with small_disk(tmp_path / "small", "1m") as folder:
        log = begun(folder / "t-0", **settings)
        assert log.append(idempotent(0))[0] == 0
        run = [batch(os.urandom(6000)) for _ in range(RUN_LIMIT - 1)]
        answers = log.append_together([*run, idempotent(1), idempotent(2, values=(b"v" * size,))])
        assert {answer[0] for answer in answers[:-1]} == {STORAGE_ERROR}
        assert answers[-1][0] == OUT_OF_ORDER
        assert [answer[:2] for answer in log.append_together([idempotent(1)])] == [(0, 2)]
        assert log.append_together([idempotent(2)])[0][:2] == (0, 3)
        log.close()
