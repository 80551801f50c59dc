"""Leader epochs and their checkpoint, held to what Kafka's cache does."""

import os

import pytest

from fastlog_ext.leader_epochs import LeaderEpochHistory

NAME = "leader-epoch-checkpoint"


@pytest.fixture
def history(tmp_path):
    return LeaderEpochHistory(tmp_path)


def filled(folder, *entries):
    history = LeaderEpochHistory(folder)
    for epoch, start_offset in entries:
        history.assign(epoch, start_offset)
    return history


def test_nothing_is_known_at_first(history, tmp_path):
    assert history.latest == -1
    assert history.entries() == []
    assert history.end_offset(0, 10) == (-1, -1)
    assert history.for_offset(0) == -1
    assert not (tmp_path / NAME).exists()


def test_the_file_is_kafkas(tmp_path):
    filled(tmp_path, (0, 0), (3, 120), (7, 4_000_000_000))
    assert (tmp_path / NAME).read_bytes() == b"0\n3\n0 0\n3 120\n7 4000000000\n"
    assert os.listdir(tmp_path) == [NAME]
    again = LeaderEpochHistory(tmp_path)
    assert again.entries() == [(0, 0), (3, 120), (7, 4_000_000_000)]
    assert again.latest == 7


def test_many_epochs_survive(tmp_path):
    entries = [(epoch, epoch * 10) for epoch in range(20)]
    filled(tmp_path, *entries)
    assert LeaderEpochHistory(tmp_path).entries() == entries


@pytest.mark.parametrize(
    "assigned, left",
    [
        ((2, 30), [(1, 10), (2, 20)]),  # known already
        ((2, 20), [(1, 10), (2, 20)]),
        ((2, 15), [(1, 10), (2, 15)]),  # it began earlier
        ((3, 20), [(1, 10), (3, 20)]),  # nothing was written in epoch 2
        ((3, 5), [(3, 5)]),
        ((1, 40), [(1, 40)]),  # an older epoch: what is newer was wrong
        ((0, 40), [(0, 40)]),
    ],
)
def test_assigning_drops_what_contradicts(tmp_path, assigned, left):
    history = filled(tmp_path, (1, 10), (2, 20))
    history.assign(*assigned)
    assert history.entries() == left
    assert LeaderEpochHistory(tmp_path).entries() == left
    assert history.latest == left[-1][0]


@pytest.mark.parametrize("epoch, start_offset", [(-1, 0), (0, -1)])
def test_negative_values_are_refused(history, epoch, start_offset):
    with pytest.raises(OSError):
        history.assign(epoch, start_offset)
    assert history.entries() == []


@pytest.mark.parametrize(
    "requested, answer",
    [
        (-1, (-1, -1)),
        (0, (0, 10)),  # older than all: the start of the oldest
        (2, (2, 20)),
        (3, (2, 20)),  # between two
        (4, (4, 30)),
        (6, (6, 99)),  # the latest: the end of the log
        (7, (-1, -1)),
    ],
)
def test_end_offset(tmp_path, requested, answer):
    assert filled(tmp_path, (2, 10), (4, 20), (6, 30)).end_offset(requested, 99) == answer


@pytest.mark.parametrize(
    "offset, epoch", [(0, -1), (9, -1), (10, 2), (19, 2), (20, 4), (30, 6), (1000, 6)]
)
def test_epoch_of_an_offset(tmp_path, offset, epoch):
    assert filled(tmp_path, (2, 10), (4, 20), (6, 30)).for_offset(offset) == epoch


@pytest.mark.parametrize(
    "end_offset, left",
    [
        (31, [(2, 10), (4, 20), (6, 30)]),
        (30, [(2, 10), (4, 20)]),
        (11, [(2, 10)]),
        (10, []),
        (0, []),
        (-1, [(2, 10), (4, 20), (6, 30)]),
    ],
)
def test_truncation_from_the_end(tmp_path, end_offset, left):
    history = filled(tmp_path, (2, 10), (4, 20), (6, 30))
    history.truncate_from_end(end_offset)
    assert history.entries() == left
    assert history.latest == (left[-1][0] if left else -1)
    assert LeaderEpochHistory(tmp_path).entries() == left


@pytest.mark.parametrize(
    "start_offset, left",
    [
        (9, [(2, 10), (4, 20), (6, 30)]),
        (10, [(2, 10), (4, 20), (6, 30)]),
        (15, [(2, 15), (4, 20), (6, 30)]),
        (20, [(4, 20), (6, 30)]),
        (25, [(4, 25), (6, 30)]),
        (500, [(6, 500)]),
    ],
)
def test_truncation_from_the_start(tmp_path, start_offset, left):
    history = filled(tmp_path, (2, 10), (4, 20), (6, 30))
    history.truncate_from_start(start_offset)
    assert history.entries() == left
    assert LeaderEpochHistory(tmp_path).entries() == left


def test_clear(tmp_path):
    history = filled(tmp_path, (2, 10))
    history.clear()
    assert history.entries() == []
    assert (tmp_path / NAME).read_bytes() == b"0\n0\n"


@pytest.mark.parametrize("content", [b"", b"0\n", b"0\n0\n", b"0\n1\n5 7", b"0\r\n1\r\n5\t7\r\n"])
def test_files_that_are_read(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    assert LeaderEpochHistory(tmp_path).entries() in ([], [(5, 7)])


@pytest.mark.parametrize(
    "content",
    [
        b"1\n0\n",
        b"x\n",
        b"0\n-1\n",
        b"0\n2\n5 7\n",
        b"0\n1\n5 7\n6 8\n",
        b"0\n1\n5\n",
        b"0\n1\n5 7 9\n",
        b"0\n1\n-5 7\n",
        b"0\n1\n5 9223372036854775808\n",
        b"0\n1\n2147483648 7\n",
        b"\x00" * 40,
    ],
)
def test_malformed_files_are_named(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ValueError, match=NAME):
        LeaderEpochHistory(tmp_path)


def test_a_contradictory_file_is_read_as_kafka_does(tmp_path):
    (tmp_path / NAME).write_bytes(b"0\n3\n1 10\n2 20\n1 15\n")
    assert LeaderEpochHistory(tmp_path).entries() == [(1, 15)]


def test_an_unwritable_folder_is_told(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    history = LeaderEpochHistory(folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        history.assign(0, 0)
