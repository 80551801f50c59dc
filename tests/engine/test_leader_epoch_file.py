"""leader-epoch-checkpoint across starts: rewritten only where it would be wrong."""

import shutil

import pytest

from tests.engine.logs import batch, open_log

pytestmark = pytest.mark.native


def checkpoint(folder):
    return folder / "leader-epoch-checkpoint"


def test_a_start_in_the_same_epoch_does_not_write_it(tmp_path):
    log = open_log(tmp_path / "topic-0", leader_epoch=3)
    log.close()
    before = checkpoint(tmp_path / "topic-0").stat()
    log = open_log(tmp_path / "topic-0", leader_epoch=3)
    after = checkpoint(tmp_path / "topic-0").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    log.append(batch(b"v"))
    assert log.end_offset_for_epoch(3) == (3, 1)
    log.close()


@pytest.mark.parametrize("append", ["client", "replica"])
def test_an_epoch_without_records_is_gone_before_others_take_its_place(tmp_path, append):
    log = open_log(tmp_path / "topic-0", leader_epoch=1)
    log.append(batch(b"v"))
    log.become_leader(7)
    log.close()
    assert checkpoint(tmp_path / "topic-0").read_text() == "0\n2\n1 0\n7 1\n"
    if append == "client":
        log = open_log(tmp_path / "topic-0", leader_epoch=1)
        log.append(batch(b"w"))
    else:
        log = open_log(tmp_path / "topic-0", leader_epoch=None)
        log.append_verbatim(batch(b"w", base_offset=1, leader_epoch=1))
    assert checkpoint(tmp_path / "topic-0").read_text() == "0\n1\n1 0\n"
    assert log.end_offset_for_epoch(7) == (-1, -1)
    assert log.end_offset_for_epoch(1) == (1, 2)
    log.close()


def test_a_long_file_is_written_again(tmp_path):
    """More epochs than a look at the file takes in at once."""
    log = open_log(tmp_path / "topic-0", leader_epoch=0)
    for epoch in range(1, 200):
        log.append(batch(b"v"))
        log.become_leader(epoch)
    log.close()
    log = open_log(tmp_path / "topic-0", leader_epoch=199)
    lines = [f"{epoch} {epoch}" for epoch in range(200)]
    assert checkpoint(tmp_path / "topic-0").read_text().splitlines() == ["0", "200", *lines]
    log.close()


def killed(folder, to):
    """What a kill leaves: the files as they are now."""
    shutil.copytree(folder, to)
    return to


def test_epochs_that_were_not_written_are_found_in_their_batches(tmp_path):
    log = open_log(tmp_path / "topic-0", leader_epoch=2)
    log.append(batch(b"v"))
    log.become_leader(5)
    log.append(batch(b"w"))
    log.become_leader(6)  # without a record: the next leader's epoch is above it all the same
    assert not checkpoint(tmp_path / "topic-0").exists()
    left = killed(tmp_path / "topic-0", tmp_path / "killed-0")
    log.close()
    found = open_log(left, clean=False, leader_epoch=7)
    assert [found.end_offset_for_epoch(epoch) for epoch in (2, 5, 6, 7)] == [
        (2, 1),
        (5, 2),
        (5, 2),
        (7, 2),
    ]
    found.close()
    assert checkpoint(left).read_text() == "0\n3\n2 0\n5 1\n7 2\n"


def test_epochs_are_written_before_the_recovery_point_moves(tmp_path):
    log = open_log(tmp_path / "topic-0", leader_epoch=2)
    log.append(batch(b"v"))
    log.roll()
    log.become_leader(5)
    log.append(batch(b"w"))
    log.roll()
    log.flush()
    assert log.recovery_point == 2
    left = killed(tmp_path / "topic-0", tmp_path / "killed-0")
    log.close()
    assert checkpoint(left).read_text() == "0\n2\n2 0\n5 1\n"
    found = open_log(left, clean=False, recovery_point=2, leader_epoch=None)
    assert found.end_offset_for_epoch(2) == (2, 1)
    assert found.end_offset_for_epoch(5) == (5, 2)
    found.close()


def test_a_newer_epoch_on_file_is_gone_before_a_batch_of_an_older_one(tmp_path):
    """A recovery passes over epochs that are not above what the file names."""
    log = open_log(tmp_path / "topic-0", leader_epoch=1)
    log.append(batch(b"v"))
    log.become_leader(7)
    log.flush()
    assert checkpoint(tmp_path / "topic-0").read_text() == "0\n2\n1 0\n7 1\n"
    log.become_leader(3)
    log.append(batch(b"w"))
    left = killed(tmp_path / "topic-0", tmp_path / "killed-0")
    log.close()
    found = open_log(left, clean=False, leader_epoch=None)
    assert found.end_offset_for_epoch(3) == (3, 2)
    assert found.leader_epoch == 3
    found.close()
