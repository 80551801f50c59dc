"""A log folder whose writes block: only who writes there waits for it.

Nobody can tell in advance that a write will block, so that the first one is met on the reactor.
Here that one takes a moment; then the disk stands still.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.clients import NONE, PRODUCE, STORAGE_ERROR, Client
from tests.clients.batches import Batch, Record
from tests.console.command import fastlog
from tests.peers.fastlog import FastlogBroker
from tests.peers.faulty_disk import FaultyDisk

SLOW_MS = 150  # of one write: no processor is out of reach for so long


def batch(text: str) -> bytes:
    return Batch([Record(f"<{text}>".encode().ljust(1000))]).encode()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def broker(disk: FaultyDisk, tmp_path: Path) -> Iterator[FastlogBroker]:
    """One reactor. Topic quick is on a good disk; slow is on the other, which stands still."""
    broker = FastlogBroker(tmp_path / "broker", {"fastlog.reactors": 1})
    broker.log_folder = Path(f"{tmp_path / 'good'},{disk.folder}")
    try:
        broker.start()
        with Client(broker) as client:
            assert client.create("quick") == NONE
            assert client.create("slow") == NONE
            assert (disk.folder / "slow-0").exists()
            disk.slow_down("write", SLOW_MS)
            assert client.produce("slow", batch("first")) == (NONE, 0)
        disk.hold("write")
        yield broker
    finally:
        disk.mend()
        broker.kill()


def send(client: Client, *texts: str) -> None:
    """A Produce for topic slow each."""
    for text in texts:
        data = [{"name": "slow", "partition_data": [{"index": 0, "records": batch(text)}]}]
        client.start(PRODUCE, 8, acks=-1, timeout_ms=60_000, topic_data=data)


def answers(client: Client, count: int) -> list[tuple[int, int]]:
    """Error code and offset of each, in the order of the requests."""
    bodies = [client.finish(PRODUCE, 8) for _ in range(count)]
    parts = [body.responses[0].partition_responses[0] for body in bodies]
    return [(part.error_code, part.base_offset) for part in parts]


def go_on(client: Client) -> None:
    """What a client of the other folder does meanwhile."""
    begin = client.end_offset("quick")[1]
    for number in range(begin, begin + 20):
        assert client.produce("quick", batch(f"q{number}")) == (NONE, number)
        assert client.fetch("quick", offset=number).high_watermark == number + 1


def written(client: Client, count: int) -> list[str]:
    """What the first batches of topic slow hold."""
    found: list[str] = []
    while len(found) < count:
        data = bytes(client.fetch("slow", offset=len(found)).records)
        assert data, "nothing more is there"
        while data:
            size = 12 + int.from_bytes(data[8:12])
            assert int.from_bytes(data[:8]) == len(found)
            found += [text.decode() for text in re.findall(rb"<(\w+)>", data[:size])]
            data = data[size:]
    return found


def test_others_go_on_meanwhile(broker: FastlogBroker, disk: FaultyDisk):
    with Client(broker) as one, Client(broker) as other, Client(broker) as quick:
        for number in range(5):
            send(one, f"a{number}")
            send(other, f"b{number}")
        go_on(quick)
        assert not one.answered()
        assert not other.answered()
        disk.mend()
        of_one, of_other = answers(one, 5), answers(other, 5)
        assert of_one == sorted(of_one)
        assert of_other == sorted(of_other)
        assert sorted(of_one + of_other) == [(NONE, offset) for offset in range(1, 11)]
        texts = written(quick, 11)
    assert [texts[offset] for _, offset in of_one] == [f"a{number}" for number in range(5)]
    assert [texts[offset] for _, offset in of_other] == [f"b{number}" for number in range(5)]


def test_a_disk_that_fails_after_all(broker: FastlogBroker, disk: FaultyDisk):
    with Client(broker) as client, Client(broker) as quick:
        send(client, "x", "y")
        go_on(quick)
        assert not client.answered()
        disk.fail(errno.EIO, "write")
        assert [error for error, _ in answers(client, 2)] == [STORAGE_ERROR] * 2
        go_on(quick)
        assert client.produce("slow", batch("z"))[0] == STORAGE_ERROR


def test_a_stop_meanwhile(broker: FastlogBroker, disk: FaultyDisk):
    with Client(broker) as client, Client(broker) as quick:
        send(client, "x", "y")
        go_on(quick)
        assert not client.answered()
        broker.process.signal(15)
        disk.mend()
        assert broker.process.wait(30) == 0
        assert answers(client, 2) == [(NONE, 1), (NONE, 2)], "what was on its way is answered"
    assert fastlog("log", "verify", disk.folder).returncode == 0


def test_a_kill_meanwhile(broker: FastlogBroker, disk: FaultyDisk):
    with Client(broker) as client, Client(broker) as quick:
        send(client, "x", "y")
        go_on(quick)
    broker.process.signal(9)  # it ends when the kernel's call does
    disk.mend()
    broker.kill()
    broker.start()
    with Client(broker) as client:
        end = client.end_offset("slow")[1]
        assert written(client, end) == ["first", "x", "y"][:end]
        assert client.produce("slow", batch("z")) == (NONE, end)
