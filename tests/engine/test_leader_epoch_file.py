"""leader-epoch-checkpoint across starts: rewritten only where it would be wrong."""

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
