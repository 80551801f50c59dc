"""Idempotent producers: the rules of KIP-98 as Kafka 3.9 has them, and Kafka's snapshots."""

import os
import random
import struct

import pytest

from fastlog_ext.crc32c import checksum
from fastlog_ext.producer_state import ProducerState

OUT_OF_ORDER, FENCED, INVALID_TXN = 45, 47, 48
HEADER = struct.Struct(">qiibIhiqqqhii")
LAST = 2**31 - 1


def batch(
    pid=1,
    epoch=0,
    sequence=0,
    count=1,
    *,
    offset=0,
    time=1000,
    transactional=False,
    body=b"",
    **more,
):
    """A batch with the header that the table looks at."""
    attributes = 0x10 * transactional | 0x20 * more.get("control", False)
    length, records = 49 + len(body), more.get("records", count)
    fields = offset, length, 0, 2, 0, attributes, count - 1, time, time, pid, epoch, sequence
    return HEADER.pack(*fields, records) + body


def marker(commit, *, pid=1, epoch=0, coordinator=0, offset=0, time=1000, kind=None):
    key = struct.pack(">hh", 0, int(commit) if kind is None else kind)
    value = struct.pack(">hi", 0, coordinator)
    record = bytes([0, 0, 0, 2 * len(key)]) + key + bytes([2 * len(value)]) + value + b"\0"
    return batch(
        pid, epoch, -1, offset=offset, time=time, transactional=True, control=True,
        body=bytes([2 * len(record)]) + record,
    )  # fmt: skip


@pytest.fixture
def state():
    return ProducerState()


def accept(state, data):
    assert state.check(data) == (0, None)
    state.update(data)


# --- sequences ---


@pytest.mark.parametrize("sequence", [0, 1, 77, LAST])
def test_an_unknown_producer_begins_with_any_sequence(state, sequence):
    accept(state, batch(sequence=sequence, epoch=5))
    assert state.producers() == [(1, 5, sequence, 1000, -1, -1)]


def test_sequences_must_follow(state):
    accept(state, batch(sequence=0, count=3))
    assert state.check(batch(sequence=4))[0] == OUT_OF_ORDER
    assert state.check(batch(sequence=2))[0] == OUT_OF_ORDER
    accept(state, batch(sequence=3, count=2, offset=3))
    assert state.batches(1) == [(0, 2, 0, 2, 1000), (3, 4, 3, 4, 1000)]


def test_a_repetition_is_answered_with_the_original(state):
    accept(state, batch(sequence=0, count=3, offset=100, time=5))
    accept(state, batch(sequence=3, count=2, offset=110, time=6))
    assert state.check(batch(sequence=0, count=3)) == (0, (100, 102, 5))
    assert state.check(batch(sequence=3, count=2)) == (0, (110, 111, 6))


def test_a_repetition_with_another_end_is_out_of_order(state):
    accept(state, batch(sequence=0, count=3))
    assert state.check(batch(sequence=0, count=2))[0] == OUT_OF_ORDER
    assert state.check(batch(sequence=1, count=2))[0] == OUT_OF_ORDER


def test_five_batches_are_remembered(state):
    for number in range(7):
        accept(state, batch(sequence=number, offset=number))
    for number in (0, 1):
        assert state.check(batch(sequence=number))[0] == OUT_OF_ORDER
    for number in range(2, 7):
        assert state.check(batch(sequence=number)) == (0, (number, number, 1000))


def test_sequences_wrap_to_zero(state):
    accept(state, batch(sequence=LAST))
    accept(state, batch(sequence=0, offset=1))
    assert state.check(batch(sequence=LAST)) == (0, (0, 0, 1000))


def test_a_batch_may_wrap_inside(state):
    accept(state, batch(sequence=LAST - 1, count=5))
    assert state.producers()[0][2] == 2
    assert state.check(batch(sequence=LAST - 1, count=5)) == (0, (0, 4, 1000))
    assert state.check(batch(sequence=LAST - 1, count=4))[0] == OUT_OF_ORDER
    accept(state, batch(sequence=3, offset=5))


# --- epochs ---


def test_an_older_epoch_is_fenced(state):
    accept(state, batch(epoch=3))
    assert state.check(batch(epoch=2))[0] == FENCED
    assert state.check(batch(epoch=2, sequence=1))[0] == FENCED


def test_a_newer_epoch_begins_at_zero(state):
    accept(state, batch(epoch=3, count=4))
    assert state.check(batch(epoch=4, sequence=4))[0] == OUT_OF_ORDER
    accept(state, batch(epoch=4, sequence=0, offset=4))
    assert state.batches(1) == [(0, 0, 4, 4, 1000)]


def test_the_same_sequence_of_another_epoch_is_no_repetition(state):
    accept(state, batch(epoch=3))
    assert state.check(batch(epoch=4)) == (0, None)


def test_a_follower_takes_what_the_leader_wrote(state):
    state.update(batch(epoch=3, sequence=7))
    state.update(batch(epoch=2, sequence=99, offset=1))
    assert state.producers() == [(1, 2, 99, 1000, -1, -1)]


def test_batches_of_no_producer_leave_no_trace(state):
    state.update(batch(pid=-1, epoch=-1, sequence=-1))
    assert len(state) == 0


# --- transactions ---


def test_a_transaction_is_open_until_its_marker(state):
    accept(state, batch(offset=10, count=2, transactional=True))
    assert state.first_unstable_offset == 10
    accept(state, batch(sequence=2, offset=12, transactional=True))
    assert state.producers()[0][5] == 10
    state.update(marker(True, offset=13, coordinator=4, time=2000))
    assert state.first_unstable_offset == -1
    assert state.producers() == [(1, 0, 2, 2000, 4, -1)]
    accept(state, batch(sequence=3, offset=14, transactional=True))
    state.update(marker(False, offset=15, coordinator=5))
    assert state.first_unstable_offset == -1


def test_other_writes_are_refused_within_a_transaction(state):
    accept(state, batch(transactional=True))
    assert state.check(batch(sequence=1))[0] == INVALID_TXN


def test_the_earliest_open_transaction_counts(state):
    for pid in (1, 2, 3):
        accept(state, batch(pid=pid, offset=pid * 10, transactional=True))
    state.update(marker(True, pid=2, offset=40))
    assert state.first_unstable_offset == 10
    state.update(marker(True, pid=1, offset=41))
    assert state.first_unstable_offset == 30
    accept(state, batch(pid=1, sequence=1, offset=42, transactional=True))
    state.update(marker(True, pid=3, offset=43))
    assert state.first_unstable_offset == 42


def test_a_marker_with_a_new_epoch_starts_sequences_anew(state):
    accept(state, batch(transactional=True))
    state.update(marker(False, epoch=1, offset=1))
    assert state.batches(1) == []
    assert state.check(batch(epoch=0, sequence=1, transactional=True))[0] == FENCED
    assert state.check(batch(epoch=1, sequence=1, transactional=True))[0] == OUT_OF_ORDER
    accept(state, batch(epoch=1, sequence=0, offset=2, transactional=True))


def test_a_marker_of_an_unknown_producer_is_remembered(state):
    state.update(marker(True, pid=9, epoch=2, coordinator=3))
    assert state.producers() == [(9, 2, -1, 1000, 3, -1)]


def test_control_batches_without_a_marker_change_nothing(state):
    state.update(batch(control=True, records=0))
    state.update(batch(control=True))
    state.update(batch(control=True, body=b"\x7f" * 3))
    state.update(marker(True, kind=2))
    assert len(state) == 0


# --- expiry ---


def test_quiet_producers_are_forgotten(state):
    for pid, time in ((1, 1000), (2, 2000), (3, 3000)):
        state.update(batch(pid=pid, time=time))
    state.update(batch(pid=4, time=1000, transactional=True))
    state.expire(now_ms=12_000, expiration_ms=10_000)
    assert [row[0] for row in state.producers()] == [3, 4]
    assert state.check(batch(pid=1, sequence=50)) == (0, None)
    assert state.check(batch(pid=3, sequence=50))[0] == OUT_OF_ORDER
    assert state.first_unstable_offset == 0


def test_many_producers_come_and_go_as_in_a_dictionary(state):
    random.seed(5)
    expected: dict[int, int] = {}
    for step in range(20_000):
        pid = random.choice([random.getrandbits(62), random.randrange(500)])
        state.update(batch(pid=pid, time=step, offset=step))
        expected.pop(pid, None)
        expected[pid] = step
        if step % 700 == 699:
            state.expire(now_ms=step, expiration_ms=300)
            expected = {pid: time for pid, time in expected.items() if step - time < 300}
            assert {row[0]: row[3] for row in state.producers()} == expected
    for pid, time in expected.items():
        assert state.batches(pid)[-1][2] == time
    state.clear()
    assert len(state) == 0 and state.producers() == []


# --- snapshots ---


def encode(*rows):
    tail = struct.pack(">i", len(rows)) + b"".join(struct.pack(">qhiqiqiq", *row) for row in rows)
    return struct.pack(">hI", 1, checksum(tail)) + tail


def test_the_snapshot_is_kafkas(state, tmp_path):
    state.update(batch(pid=7, epoch=2, sequence=5, count=3, offset=100, time=50))
    state.update(batch(pid=3, sequence=0, offset=103, time=60, transactional=True))
    state.update(marker(True, pid=8, epoch=1, coordinator=6, time=70))
    path = state.snapshot(tmp_path, 104)
    assert os.path.basename(path) == "00000000000000000104.snapshot"
    assert os.listdir(tmp_path) == [os.path.basename(path)]
    expected = encode(
        (7, 2, 7, 102, 2, 50, -1, -1), (3, 0, 0, 103, 0, 60, -1, 103), (8, 1, -1, -1, 0, 70, 6, -1)
    )
    with open(path, "rb") as file:
        assert file.read() == expected
    assert state.last_snapshot_offset == 104


def test_a_snapshot_is_read_back(state, tmp_path):
    state.update(batch(pid=7, epoch=2, sequence=LAST, count=3, offset=100, time=50))
    state.update(batch(pid=3, offset=103, transactional=True))
    path = state.snapshot(tmp_path, 104)
    again = ProducerState()
    again.load(path)
    assert again.producers() == state.producers()
    assert again.last_snapshot_offset == 104
    assert again.first_unstable_offset == 103
    assert again.check(batch(pid=7, epoch=2, sequence=LAST, count=3)) == (0, (100, 102, 50))
    assert again.check(batch(pid=7, epoch=2, sequence=2)) == (0, None)
    with open(path, "rb") as one, open(again.snapshot(tmp_path, 105), "rb") as two:
        assert one.read() == two.read()


def test_expired_producers_are_not_read(state, tmp_path):
    state.update(batch(pid=1, time=1000))
    state.update(batch(pid=2, time=9000))
    state.update(batch(pid=3, time=1000, transactional=True))
    path = state.snapshot(tmp_path, 3)
    state.load(path, now_ms=10_000, expiration_ms=5_000)
    assert [row[0] for row in state.producers()] == [2, 3]


def test_an_empty_snapshot(state, tmp_path):
    path = state.snapshot(tmp_path, 0)
    state.update(batch())
    state.load(path)
    assert len(state) == 0


def test_the_last_entry_of_a_producer_counts(state, tmp_path):
    path = tmp_path / "x.snapshot"
    path.write_bytes(encode((1, 0, 0, 5, 0, 9, -1, 5), (1, 1, 3, 8, 0, 9, -1, -1)))
    state.load(path)
    assert state.producers() == [(1, 1, 3, 9, -1, -1)]
    assert state.first_unstable_offset == -1


GOOD = encode((1, 0, 0, 5, 0, 9, -1, -1))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        GOOD[:-1],
        b"\0\2" + GOOD[2:],
        GOOD[:20] + b"\xff" + GOOD[21:],
        struct.pack(">hI", 1, checksum(b"\xff\xff\xff\xff")) + b"\xff\xff\xff\xff",
        struct.pack(">hI", 1, checksum(b"\x7f\xff\xff\xff")) + b"\x7f\xff\xff\xff",
    ],
)
def test_a_malformed_snapshot_changes_nothing(state, tmp_path, content):
    path = tmp_path / "00000000000000000009.snapshot"
    path.write_bytes(content)
    state.update(batch(pid=4))
    with pytest.raises(ValueError, match="snapshot"):
        state.load(path)
    assert [row[0] for row in state.producers()] == [4]


def test_file_errors_are_told(state, tmp_path):
    with pytest.raises(FileNotFoundError):
        state.load(tmp_path / "absent.snapshot")
    with pytest.raises(FileNotFoundError):
        state.snapshot(tmp_path / "absent", 1)
