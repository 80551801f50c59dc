"""What a log promises to its clients: offsets, visibility, idempotence, pins, failure."""

import os
import random
import subprocess
import sys
import threading
import time

import pytest

from fastlog_ext.batch_records import records
from fastlog_ext.partition_log import (
    Log,
    PinnedRange,
    live_counts,
    set_open_segment_limit,
)
from tests.engine.logs import batch, open_log, read_all, split

LATEST, LAST_STABLE, END = 0, 1, 2


@pytest.fixture
def log(tmp_path):
    log = open_log(tmp_path / "topic-0")
    yield log
    log.close()


def run_threads(*targets):
    """Runs them together; the first failure of any is raised here."""
    failures = []

    def guarded(target):
        try:
            target()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_concurrent_appends_get_dense_offsets(log):
    answers = []

    def append(name):
        for number in range(150):
            answers.append((log.append(batch(b"a", b"b"))[:2], (name, number)))

    run_threads(*[lambda name=name: append(name) for name in range(6)])
    offsets = sorted(base for (error, base), _ in answers if error == 0)
    assert offsets == list(range(0, 1800, 2))
    assert [offset for offset, _, _ in read_all(log)] == list(range(1800))
    assert log.counters()["records_in"] == 1800


def test_readers_while_the_log_rolls_and_truncates(log):
    """A reader sees whole batches in order, whatever the writer does."""
    done = threading.Event()

    def write():
        try:
            for number in range(600):
                log.append(batch(b"%d" % number, b"x" * 200))
                if number % 50 == 49:
                    log.roll()
                if number % 90 == 89:
                    log.truncate(log.end_offset - 6)
        finally:
            done.set()

    def read():
        while not done.is_set():
            offset = log.log_start_offset
            while True:
                error, data = log.read(offset, 5000)
                if error == 1:  # it was cut below us
                    break
                assert error == 0
                if not data:
                    break
                for one in split(data):
                    found = records(one)
                    assert found[0].offset <= offset <= found[-1].offset
                    offset = found[-1].offset + 1

    run_threads(write, read, read)
    assert [offset for offset, _, _ in read_all(log)] == list(range(log.end_offset))


def test_control_operations_get_their_turn_among_appends(tmp_path):
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 20)
    stop = threading.Event()

    def append():
        while not stop.is_set():
            assert log.append(batch(b"v"))[0] == 0

    def control():
        try:
            for _ in range(15):
                while not log.roll():  # nothing was appended since the last one
                    time.sleep(0)
                log.flush()
        finally:
            stop.set()

    run_threads(append, append, control)
    assert len(log.segments()) >= 15
    log.close()


def test_bounds_of_a_read(log):
    log.append(batch(b"0", b"1", b"2"))
    assert log.read(4, 100) == (1, b"")
    assert log.read(-1, 100) == (1, b"")
    assert log.read(3, 100) == (0, b"")
    whole = log.read(0, 1 << 20)[1]
    assert log.read(2, 1 << 20)[1] == whole  # from the batch that contains the offset
    assert log.read(0, 10)[1] == whole
    assert log.read(0, 10, whole_first=False) == (0, b"")
    log.append(batch(b"3"))
    assert log.read(0, len(whole) + 5)[1][: len(whole)] == whole
    assert len(log.read(0, len(whole) + 5)[1]) == len(whole) + 5  # the last may be cut


def test_sequential_reader_needs_no_index(log):
    for number in range(200):
        log.append(batch(b"%d" % number, b"x" * 100))
    reader = log.reader(0)
    seen = 0
    while seen < 400:
        error, data = reader.read(1 << 20)
        assert error == 0 and data
        assert int.from_bytes(data[:8], "big") == seen
        seen = reader.offset
        assert reader.at_known_place
    log.append(batch(b"new"))
    assert int.from_bytes(reader.read(1 << 20)[1][:8], "big") == 400
    log.truncate(400)
    log.append(batch(b"one", b"two"))
    assert log.reader(400).read(100)[1] == reader_at(reader, 400, log)


def many_sizes(log, count, seed):
    """Batches from a few bytes to several KiB."""
    sizes = random.Random(seed)
    for number in range(count):
        log.append(batch(b"%d" % number, b"x" * int(sizes.paretovariate(1) * 20 % 9000)))


def test_a_sequential_reader_finds_what_a_fresh_read_finds(tmp_path):
    """Ranges that end inside a batch; indexes in memory and on file."""
    log = open_log(tmp_path / "topic-0", segment_bytes=300_000, index_interval_bytes=1)
    many_sizes(log, 4000, seed=1)
    assert len(log.segments()) > 1
    choices = random.Random(2)
    readers = [log.reader(offset) for offset in (0, 11, 2500)]
    while any(reader.offset < log.end_offset for reader in readers):
        for reader in readers:
            size = choices.choice((100, 1000, 3000, 9000, 40_000))
            expected = split(log.read(reader.offset, size)[1])
            assert split(reader.read(size)[1]) == expected
            assert reader.at_known_place
    reader = log.reader(7999)
    assert split(reader.read(100)[1]) == split(log.read(7999, 100)[1])
    log.close()


def reader_at(reader, offset, log):
    """What a fresh look finds; the old reader stands behind the cut and must not see stale
    bytes."""
    error, data = reader.read(100)
    assert error == 0 and int.from_bytes(data[:8], "big") == offset
    return log.read(offset, 100)[1]


def test_high_watermark_can_be_held(log):
    log.append(batch(b"0"))
    log.hold_high_watermark(True)
    log.append(batch(b"1"))
    log.roll()
    log.append(batch(b"2"))
    assert (log.high_watermark, log.end_offset) == (1, 3)
    assert [r[0] for r in read_all(log, bound=LATEST)] == [0]
    assert [r[0] for r in read_all(log, bound=END)] == [0, 1, 2]
    log.hold_high_watermark(False)
    assert [r[0] for r in read_all(log, bound=LATEST)] == [0, 1, 2]


def test_open_transaction_holds_the_last_stable_offset(log):
    log.append(batch(b"plain"))
    now = int(time.time() * 1000)
    options = {"producer_id": 5, "producer_epoch": 0, "transactional": True, "timestamp": now}
    assert log.append(batch(b"in", base_sequence=0, **options))[:2] == (0, 1)
    assert log.append(batch(b"plain"))[:2] == (0, 2)
    assert (log.last_stable_offset, log.high_watermark) == (1, 3)
    assert [r[0] for r in read_all(log, bound=LAST_STABLE)] == [0]


def test_leader_epochs_fence(tmp_path):
    log = Log.open(str(tmp_path / "topic-0"), topic="topic", partition=0, topic_id=bytes(16),
                   settings={}, clean=True)  # fmt: skip
    assert log.append(batch(b"too early"))[0] == 6
    log.become_leader(4)
    assert log.append(batch(b"v"), leader_epoch=3)[0] == 74
    assert log.append(batch(b"v"), leader_epoch=5)[0] == 75
    assert log.append(batch(b"v"), leader_epoch=4)[0] == 0
    log.become_leader(6)
    log.append(batch(b"v"))
    assert log.end_offset_for_epoch(5) == (4, 1)
    assert log.end_offset_for_epoch(6) == (6, 2)
    assert int.from_bytes(log.read(1, 100)[1][12:16], "big") == 6
    log.become_follower()
    assert log.append(batch(b"v"))[0] == 6
    log.close()


def test_follower_takes_batches_as_they_are(log):
    assert log.append_verbatim(batch(b"a", base_offset=10, leader_epoch=3))[:2] == (0, 10)
    assert log.append_verbatim(batch(b"b", base_offset=5))[0] == 1
    assert (log.end_offset, log.leader_epoch) == (11, 3)
    assert [r[0] for r in read_all(log)] == [10]


def test_log_append_time(tmp_path):
    log = open_log(tmp_path / "topic-0", timestamp_type=1)
    before = int(time.time() * 1000)
    error, base, stamped = log.append(batch(b"a", b"b", timestamp=5))
    assert (error, base) == (0, 0) and before <= stamped <= time.time() * 1000
    assert [r[1] for r in read_all(log)] == [stamped, stamped]
    log.remove()
    log = open_log(tmp_path / "topic-0", clean=False, timestamp_type=1)
    assert log.end_offset == 2  # the CRC was made anew
    log.close()


def test_duplicates_are_answered_with_the_original(tmp_path):
    now = int(time.time() * 1000)
    log = open_log(tmp_path / "topic-0")

    def send(sequence, **options):
        epoch = options.get("epoch", 2)
        record = batch(
            b"v", b"w", timestamp=now, producer_id=9, producer_epoch=epoch, base_sequence=sequence
        )
        return log.append(record)[:2]

    assert [send(0), send(2), send(4)] == [(0, 0), (0, 2), (0, 4)]
    assert send(2) == (0, 2)
    again = batch(b"v", b"w", timestamp=now + 1, producer_id=9, producer_epoch=2, base_sequence=2)
    assert log.append(again) == (0, 2, now)
    assert send(8)[0] == 45
    assert send(6, epoch=1)[0] == 47
    assert log.end_offset == 6
    for clean in (True, False):
        log.close() if clean else log.remove()
        log = open_log(tmp_path / "topic-0", clean=clean)
        assert send(4) == (0, 4)
        assert send(8)[0] == 45
    assert log.end_offset == 6 and [p[0] for p in log.active_producers()] == [9]
    log.truncate(4)
    assert send(4) == (0, 4) and log.end_offset == 6  # its batch is gone, so it is new
    log.close()


def test_pins_outlive_truncation_and_removal(tmp_path):
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 20)
    for number in range(20):
        log.append(batch(b"old %d" % number))
    active = PinnedRange(log, 5, 1 << 20)
    expected = active.bytes()
    log.truncate(8)
    for number in range(20):
        log.append(batch(b"new %d" % number))
    assert active.bytes() == expected
    assert [r[2] for r in read_all(log)][7:9] == [b"old 7", b"new 0"]
    log.roll()
    log.append(batch(b"last"))
    sealed = PinnedRange(log, 0, 1 << 20)
    kept = sealed.bytes()
    log.truncate(3)
    assert sealed.bytes() == kept
    log.append(batch(b"again"))
    log.remove()
    assert sealed.bytes() == kept and active.bytes() == expected
    del log
    assert live_counts()["files"] >= 2
    active.release()
    sealed.release()


def test_nothing_is_left_of_a_removed_log(tmp_path):
    before = live_counts()
    log = open_log(tmp_path / "topic-0", leader_epoch=1)
    for _ in range(100):
        log.append(batch(b"x" * 300))
    pinned = PinnedRange(log, 0, 100)
    log.remove()
    assert log.append(batch(b"v"))[0] == 6 and log.read(0, 10)[0] == 6
    log.remove()
    del log
    assert live_counts()["files"] == before["files"] + 1
    pinned.release()
    assert live_counts() == before


def test_old_segments_go_below_the_log_start(tmp_path):
    log = open_log(tmp_path / "topic-0", file_delete_delay_ms=1000)
    for _ in range(100):
        log.append(batch(b"x" * 300))
    bases = [segment["base_offset"] for segment in log.segments()]
    with pytest.raises(ValueError):
        log.set_log_start_offset(101)
    left = log.set_log_start_offset(bases[2] + 1)
    assert all(path.endswith(".deleted") and os.path.exists(path) for path in left)
    assert [segment["base_offset"] for segment in log.segments()] == bases[2:]
    assert log.read(0, 100)[0] == 1 and log.log_start_offset == bases[2] + 1
    assert log.truncate_fully(500) and log.end_offset == log.log_start_offset == 500
    assert log.append(batch(b"v"))[:2] == (0, 500)
    log.close()
    log = open_log(tmp_path / "topic-0")
    assert not list((tmp_path / "topic-0").glob("*.deleted"))
    assert [r[0] for r in read_all(log)] == [500]
    log.close()


def test_few_sealed_segments_keep_their_files(tmp_path):
    log = open_log(tmp_path / "topic-0")
    for _ in range(200):
        log.append(batch(b"x" * 300))
    expected = read_all(log)
    set_open_segment_limit(3)
    try:
        assert live_counts()["open_sealed"] <= 3
        assert read_all(log) == expected
        run_threads(*[lambda: read_all(log) for _ in range(4)])
        assert live_counts()["open_sealed"] <= 3
    finally:
        set_open_segment_limit(10000)
        log.close()


def test_rolls_by_time(tmp_path):
    log = open_log(tmp_path / "topic-0", segment_bytes=1 << 20, segment_ms=1000)
    log.append(batch(b"a", timestamp=5000))
    log.append(batch(b"b", timestamp=5900))
    assert len(log.segments()) == 1
    log.append(batch(b"c", timestamp=6100))
    assert len(log.segments()) == 2
    assert not log.roll_if_due(int(time.time() * 1000))
    assert log.roll_if_due(int(time.time() * 1000) + 2000)
    assert not log.roll_if_due(int(time.time() * 1000) + 9000)  # the new one is empty
    log.close()


def test_mid_batch_truncation_takes_the_whole_batch(log):
    log.append(batch(b"0", b"1"))
    log.append(batch(b"2", b"3", b"4"))
    log.truncate(3)
    assert log.end_offset == 3
    assert [r[0] for r in read_all(log)] == [0, 1]
    assert log.append(batch(b"new"))[:2] == (0, 3)
    assert [r[0] for r in read_all(log)] == [0, 1, 3]


FULL_DISK = """
import resource, sys
from tests.engine.logs import batch, open_log, read_all
log = open_log(sys.argv[1], segment_bytes=1 << 20)
for number in range(10):
    assert log.append(batch(b"x" * 900))[0] == 0
size = log.size_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 500, resource.RLIM_INFINITY))
assert log.append(batch(b"y" * 900))[0] == 56
import os
assert os.stat(log.segments()[-1]["path"]).st_size == size
assert log.storage_error == 27 and log.append(batch(b""))[0] == 56 and log.read(0, 10)[0] == 56
assert log.end_offset == 10
log.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log = open_log(sys.argv[1], clean=False)
assert len(read_all(log)) == 10
"""

FORK = """
import os, sys
from tests.engine.logs import batch, open_log
log = open_log(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        log.append(batch(b"v"))
    except RuntimeError:
        del log
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert log.append(batch(b"v"))[:2] == (0, 0)
log.close()
"""


@pytest.mark.parametrize("script", [FULL_DISK, FORK], ids=["full disk", "fork"])
def test_in_a_process_of_its_own(script, tmp_path):
    command = [sys.executable, "-c", script, str(tmp_path / "topic-0")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_times_behind_a_log_start_that_cut_off_the_latest(tmp_path):
    log = open_log(tmp_path / "topic-0")
    for timestamp in (2000, 1500, 1700):
        log.append(batch(b"x", timestamp=timestamp))
    log.set_log_start_offset(1)
    assert log.offset_of_max_timestamp()[:2] == (2, 1700)
    assert log.offset_for_timestamp(1600)[:2] == (2, 1700)
    assert log.offset_for_timestamp(1800) is None
    log.close()
