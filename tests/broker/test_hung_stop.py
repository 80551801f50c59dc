"""A stop whose disk stands still ends all the same, and says what it did not wait for.

The kernel keeps what is left of such a process until the disk goes on: the process has ended once
its first thread has.
"""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.clients import NONE, PRODUCE, Client
from tests.clients.batches import Batch, Record
from tests.peers.fastlog import FastlogBroker
from tests.peers.faulty_disk import FaultyDisk
from tests.peers.processes import OwnedProcess

BATCH = Batch([Record(b"value")]).encode()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def broker(disk: FaultyDisk, tmp_path: Path) -> Iterator[FastlogBroker]:
    """All that it has is on the disk, and it drains for a moment only."""
    broker = FastlogBroker(tmp_path / "broker", {"fastlog.drain.timeout.ms": 100})
    broker.log_folder = disk.folder
    try:
        broker.start()
        yield broker
    finally:
        disk.mend()
        broker.kill()


def has_ended(process: OwnedProcess) -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z"


def listens(broker: FastlogBroker) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((broker.host, broker.port)) == 0


def asked_to_stop(broker: FastlogBroker) -> OwnedProcess:
    assert broker.process is not None
    broker.process.signal(signal.SIGTERM)
    return broker.process


def awaited(process: OwnedProcess, disk: FaultyDisk, text: str) -> int:
    """The exit status, once the process has said this and has ended by itself."""
    process.wait_until(lambda: text in process.text() and has_ended(process), 60, "at its end")
    disk.mend()
    return process.wait(20)


@pytest.mark.parametrize("kind", ["sync", "write"])
def test_a_disk_that_stands_still_does_not_keep_a_stop(
    broker: FastlogBroker, disk: FaultyDisk, kind: str
) -> None:
    with Client(broker) as client:
        assert client.create("t") == NONE
        assert client.produce("t", BATCH) == (NONE, 0)
        disk.hold(kind)
        if kind == "write":
            data = [{"name": "t", "partition_data": [{"index": 0, "records": BATCH}]}]
            client.start(PRODUCE, 8, acks=-1, timeout_ms=60_000, topic_data=data)
        process = asked_to_stop(broker)
        assert awaited(process, disk, f"gave up waiting for {disk.folder} (") == 1
    assert not broker.has_clean_marker()
    broker.start()
    with Client(broker) as client:
        assert client.end_offset("t")[1] >= 1
    broker.stop()


def test_a_second_signal_ends_a_stop_that_waits_for_a_disk(
    broker: FastlogBroker, disk: FaultyDisk
) -> None:
    with Client(broker) as client:
        assert client.create("t") == NONE
        assert client.produce("t", BATCH) == (NONE, 0)
        disk.hold("sync")
        process = asked_to_stop(broker)
        process.wait_until(lambda: not listens(broker), 10, "stopping")
        process.signal(signal.SIGTERM)
        status = awaited(process, disk, "ended at once by a second signal")
    assert status == 128 + signal.SIGTERM
