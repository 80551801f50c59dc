"""What was deleted stays deleted, whatever becomes of the broker."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.broker.clients import NONE, OUT_OF_RANGE, STORAGE_ERROR, Client
from tests.clients.batches import Batch, Record
from tests.peers.fastlog import FastlogBroker
from tests.peers.small_disk import MIB, small_disk

KIB = Batch([Record(b"x" * 1000)]).encode()


def test_deleted_records_stay_so_after_a_kill(start_fastlog: Callable[..., FastlogBroker]):
    broker = start_fastlog({"log.segment.bytes": 2200, "log.segment.delete.delay.ms": 100_000})
    with Client(broker) as client:
        assert client.create("t") == NONE
        for _ in range(9):
            assert client.produce("t", KIB)[0] == NONE
        assert client.delete_records("t", 5) == (NONE, 5)
    broker.kill()
    folder = broker.partition_folder("t", 0)
    assert len([*folder.glob("*.log.deleted")]) == 2  # of offsets 0 to 3
    broker.start()
    with Client(broker) as client:
        assert client.end_offset("t", timestamp=-2) == (NONE, 5)
        assert client.fetch("t", offset=4).error_code == OUT_OF_RANGE
        assert client.fetch("t", offset=5).error_code == NONE
        assert client.delete_records("t", 10)[0] == OUT_OF_RANGE
        assert client.produce("t", KIB) == (NONE, 9)
    assert not [*folder.glob("*.deleted")]
    broker.stop()


def test_a_checkpoint_that_cannot_be_written_is_told(start_fastlog: Callable[..., FastlogBroker]):
    """In its place stands a folder, which no file replaces."""
    broker = start_fastlog()
    (broker.log_folder / "log-start-offset-checkpoint").mkdir()
    (broker.log_folder / "log-start-offset-checkpoint" / "x").touch()
    with Client(broker) as client:
        assert client.create("t") == NONE
        client.produce("t", KIB)
        assert client.delete_records("t", 1) == (STORAGE_ERROR, -1)


def test_little_room_refuses_appends_until_records_are_deleted(tmp_path: Path):
    settings = {
        "fastlog.disk.free.min.bytes": 3 * MIB,
        "log.segment.bytes": MIB,
        "log.segment.delete.delay.ms": 0,
    }
    broker = FastlogBroker(tmp_path / "broker", settings)
    large = Batch([Record(b"x" * 500_000)]).encode()
    with small_disk(tmp_path / "small", "9m") as folder:
        broker.log_folder = folder / "data"
        try:
            broker.start()
            with Client(broker) as client:
                assert client.create("t") == NONE
                count = 0
                while (code := client.produce("t", large)[0]) == NONE:
                    count += 1
                    time.sleep(0.5 * (count > 10))  # the broker looks each second
                assert code == STORAGE_ERROR
                free = os.statvfs(folder)
                assert MIB < free.f_bavail * free.f_frsize < 3 * MIB
                assert client.create("another") == NONE
                assert client.fetch("t", offset=0).error_code == NONE
                assert client.delete_records("t", count - 1) == (NONE, count - 1)
                deadline = time.monotonic() + 20
                while client.produce("t", KIB)[0] != NONE:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            said = broker.process.text()
            assert said.count("appends are refused until there are more") == 1
            assert said.count("appends are taken again") == 1
            broker.stop()
        finally:
            broker.kill()
