"""Opening and closing a log to which nothing was appended leaves its files as they are."""

import pytest

from tests.engine import logs
from tests.engine.logs import read_all

pytestmark = pytest.mark.native


def open_log(folder):
    """One whose producers of 1970 are remembered."""
    return logs.open_log(folder, producer_id_expiration_ms=1 << 60)


def append(log, value, producer_id, sequence=0, timestamp=1000):
    one = logs.batch(
        value,
        timestamp=timestamp,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=sequence,
    )
    assert log.append(one)[0] == 0


def state(folder):
    """Every file: its inode, when it was changed, its bytes."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_ctime_ns, path.read_bytes())
        for path in folder.iterdir()
    }


def test_a_quiet_log_is_not_touched(tmp_path):
    folder = tmp_path / "topic-0"
    log = open_log(folder)
    for number in range(100):  # several segments
        append(log, b"%d" % number, 7, number, 1000 + number)
    log.close()
    before = state(folder)
    assert any(name.endswith(".snapshot") for name in before)
    log = open_log(folder)
    assert log.recovery_point == 100
    log.flush()
    log.close()
    assert state(folder) == before


@pytest.mark.parametrize("flushed", [False, True])
def test_what_came_since_is_made_durable(tmp_path, flushed):
    """Also when a flush has synced its batches already: the rest of a clean log is missing then."""
    folder = tmp_path / "topic-0"
    log = open_log(folder)
    append(log, b"first", 7)
    log.close()
    log = open_log(folder)
    append(log, b"second", 8, timestamp=2000)
    if flushed:
        log.flush()
    log.close()
    assert (folder / f"{2:020d}.snapshot").exists()
    assert (folder / f"{0:020d}.timeindex").stat().st_size > 0
    log = open_log(folder)
    assert [value for _, _, value in read_all(log)] == [b"first", b"second"]
    assert [producer[0] for producer in log.active_producers()] == [7, 8]
    assert log.offset_of_max_timestamp()[:2] == (1, 2000)
    log.close()


def test_a_truncation_is_followed_by_a_snapshot_of_its_own(tmp_path):
    """The end is where one was written before, but of other producers."""
    folder = tmp_path / "topic-0"
    log = open_log(folder)
    append(log, b"first", 7)
    append(log, b"second", 8)
    log.close()
    log = open_log(folder)
    log.truncate(1)
    append(log, b"other", 9)
    log.close()
    log = open_log(folder)
    assert [producer[0] for producer in log.active_producers()] == [7, 9]
    log.close()
