"""What must not be freed twice, too early or never: failures while a log opens, limits, handles."""

import subprocess
import sys
import threading

import pytest

from fastlog_ext.crc32c import checksum
from fastlog_ext.partition_log import PinnedRange, Reader, live_counts, set_open_segment_limit
from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics
from tests.engine.logs import batch, open_log, read_all

RECOVERY_FAILS = """
import os, sys
from fastlog_ext.partition_log import live_counts
from tests.engine.logs import batch, open_log
folder = sys.argv[1]
log = open_log(folder)
log.append(batch(b"v"))
log.close()
del log
# What recovery wants to read and cannot, when its segments are open.
snapshot = f"{folder}/{1:020d}.snapshot"
if os.path.exists(snapshot):
    os.unlink(snapshot)
os.mkdir(snapshot)
for _ in range(3):
    try:
        open_log(folder)
    except OSError:
        pass
    else:
        os._exit(3)
assert live_counts()["segments"] == 0, live_counts()
assert live_counts()["files"] == 0, live_counts()
"""

NO_OPEN_SEGMENTS = """
import sys
from fastlog_ext.partition_log import live_counts, set_open_segment_limit
from tests.engine.logs import batch, open_log, read_all
set_open_segment_limit(-1)
log = open_log(sys.argv[1])
for _ in range(60):
    log.append(batch(b"x" * 300))
assert len(read_all(log)) == 60 and live_counts()["open_sealed"] == 0
"""


@pytest.mark.parametrize("script", [RECOVERY_FAILS, NO_OPEN_SEGMENTS], ids=["recovery", "limit"])
def test_in_a_process_of_its_own(script, tmp_path):
    command = [sys.executable, "-X", "faulthandler", "-c", script, str(tmp_path / "topic-0")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plane_that_has_not_started_holds_nothing_back(tmp_path):
    """Its reactors read nothing yet, so what goes meanwhile can be freed."""
    before = live_counts()
    plane = DataPlane(Topics(), reactors=2, node_id=1)
    log = open_log(tmp_path / "topic-0")
    for _ in range(60):
        log.append(batch(b"x" * 300))
    log.remove()
    del log
    assert live_counts() == before
    del plane


def test_no_handle_is_made_of_nothing():
    with pytest.raises(TypeError):
        Reader(None, 0)
    with pytest.raises(TypeError):
        PinnedRange(None, 0, 1)
    with pytest.raises(TypeError):
        Topics().publish("topic", bytes(16), {0: None}, 1)


def test_a_batch_that_ends_before_it_begins_is_no_batch(tmp_path):
    log = open_log(tmp_path / "topic-0")
    log.append_verbatim(batch(b"a", b"b", base_offset=10, leader_epoch=0))
    backwards = bytearray(batch(b"c", base_offset=12, leader_epoch=0))
    backwards[23:27] = (-9).to_bytes(4, "big", signed=True)
    backwards[17:21] = checksum(bytes(backwards[21:])).to_bytes(4, "big")
    assert log.append_verbatim(bytes(backwards))[0] == 2
    assert log.end_offset == 12
    log.close()


def test_a_truncation_that_fails_leaves_no_hole(tmp_path):
    """The newest segments go first; a log that could not be cut takes nothing more."""
    log = open_log(tmp_path / "topic-0", file_delete_delay_ms=1000)
    for number in range(60):
        log.append(batch(b"%d" % number + b"x" * 300))
    bases = [segment["base_offset"] for segment in log.segments()]
    obstacle = tmp_path / "topic-0" / f"{bases[-2]:020d}.log.deleted"
    obstacle.mkdir()
    with pytest.raises(OSError, match="deleted"):
        log.truncate(bases[1] + 1)
    assert log.storage_error and log.append(batch(b"v"))[0] == 56
    log.close()
    obstacle.rmdir()
    log = open_log(tmp_path / "topic-0", clean=False)
    found = [offset for offset, _, _ in read_all(log)]
    assert found == list(range(bases[-1])), "up to what was set aside"
    log.close()


def test_logs_open_while_others_close_their_segments(tmp_path):
    """Recovery reads sealed segments whose files another thread's reads push out."""
    options = {"producer_id": 1, "producer_epoch": 0}
    for name in ("a", "b"):
        log = open_log(tmp_path / name)
        for number in range(80):
            log.append(batch(b"x" * 300, base_sequence=number, **options))
        log.remove()
    quiet = open_log(tmp_path / "b", clean=False)
    stop = threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            if len(read_all(quiet)) != 80:
                failures.append("records are missing")

    set_open_segment_limit(1)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(25):
            for snapshot in (tmp_path / "a").glob("*.snapshot"):
                snapshot.unlink()
            log = open_log(tmp_path / "a")
            assert log.end_offset == 80
            log.remove()
    finally:
        stop.set()
        reader.join()
        set_open_segment_limit(10000)
    quiet.close()
    assert not failures
