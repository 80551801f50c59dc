"""A reader whose records are on the disk only waits for it alone."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker.clients import FETCH, LIST_OFFSETS, METADATA, NONE, Client
from tests.clients.batches import Batch, Record
from tests.peers import page_cache
from tests.peers.fastlog import FastlogBroker
from tests.peers.faulty_disk import FaultyDisk

RECORDS = 40


def batch(number: int) -> bytes:
    return Batch([Record(b"%d" % number + b"x" * 100_000)]).encode()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def broker(disk: FaultyDisk, tmp_path: Path) -> Iterator[FastlogBroker]:
    """One reactor; topic old has 4 MB on the disk that are not cached, new is elsewhere."""
    settings = {"fastlog.reactors": 1, "log.segment.bytes": 1_500_000}
    broker = FastlogBroker(tmp_path / "broker", settings)
    broker.log_folder = Path(f"{tmp_path / 'good'},{disk.folder}")
    try:
        broker.start()
        with Client(broker) as client:
            assert client.create("new") == NONE
            assert client.create("old") == NONE
            for number in range(RECORDS):
                assert client.produce("old", batch(number)) == (NONE, number)
        broker.restart()
        forget(disk.folder / "old-0")
        yield broker
    finally:
        broker.kill()


def forget(folder: Path) -> None:
    """Drops the files from the page cache."""
    for path in folder.iterdir():
        page_cache.forget(path)


def ask_for(client: Client, offset: int) -> None:
    """Sends a Fetch of topic old and does not wait for the answer."""
    wanted = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    client.start(
        FETCH,
        11,
        replica_id=-1,
        max_wait_ms=200,
        min_bytes=1,
        max_bytes=1 << 26,
        session_epoch=-1,
        topics=[{"topic": "old", "partitions": [wanted]}],
    )


@pytest.mark.parametrize("offset", [0, 17, RECORDS - 1])
def test_others_go_on_meanwhile(broker: FastlogBroker, disk: FaultyDisk, offset):
    with Client(broker) as replaying, Client(broker) as tailing:
        assert tailing.fetch("new").error_code == NONE
        disk.hold()
        ask_for(replaying, offset)
        for number in range(5):
            assert tailing.produce("new", batch(number)) == (NONE, number)
            found = tailing.fetch("new", offset=number)
            assert (found.error_code, found.high_watermark) == (NONE, number + 1)
            assert not replaying.answered(), "the disk stands still"
        disk.mend()
        found = replaying.finish(FETCH, 11).responses[0].partitions[0]
        assert found.error_code == NONE
        assert found.high_watermark == RECORDS
        assert int.from_bytes(found.records[:8]) == offset
        assert b"%dxxx" % offset in found.records[:200]


def start_lookup(client: Client, topic: str) -> None:
    """Sends a ListOffsets by time and does not wait for the answer."""
    wanted = {"partition_index": 0, "timestamp": 1}
    topics = [{"name": topic, "partitions": [wanted]}]
    client.start(LIST_OFFSETS, 7, replica_id=-1, topics=topics)


def found_time(client: Client) -> tuple[int, int]:
    answer = client.finish(LIST_OFFSETS, 7).topics[0].partitions[0]
    return answer.error_code, answer.offset


def test_lookups_by_time_wait_alone(broker: FastlogBroker, disk: FaultyDisk):
    """Many on a disk that stands still: nobody else waits for their threads."""
    large = [{"name": f"{number}-{'x' * 200}"} for number in range(400)]
    with contextlib.ExitStack() as stack:
        asking = [stack.enter_context(Client(broker)) for _ in range(40)]
        other = stack.enter_context(Client(broker))
        assert other.produce("new", batch(0)) == (NONE, 0)
        disk.hold()
        for client in asking:
            start_lookup(client, "old")
        for _ in range(3):
            found = other.ask(METADATA, 4, topics=large, allow_auto_topic_creation=False)
            assert len(found.topics) == len(large), "what is large is read in a thread"
            start_lookup(other, "new")
            assert found_time(other) == (NONE, 0)
        assert not any(client.answered() for client in asking)
        disk.mend()
        assert [found_time(client) for client in asking] == [(NONE, 0)] * len(asking)


def test_a_batch_of_which_only_the_header_is_cached(fastlog_broker: FastlogBroker):
    """On a disk of the machine: this one knows RWF_NOWAIT."""
    with Client(fastlog_broker) as client:
        assert client.create("old") == NONE
        assert client.produce("old", batch(0)) == (NONE, 0)
    fastlog_broker.restart()
    folder = fastlog_broker.log_folder / "old-0"
    forget(folder)
    for path in folder.glob("*.log"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no more than its page
        os.pread(descriptor, 61, 0)
        os.close(descriptor)
    with Client(fastlog_broker) as client:
        found = client.fetch("old", offset=0, partition_max_bytes=250_000)
        assert found.error_code == NONE
        assert b"0xxx" in bytes(found.records)[:200]
    fastlog_broker.check_alive()


def test_a_stop_while_a_read_waits(broker: FastlogBroker, disk: FaultyDisk):
    with Client(broker) as replaying:
        disk.hold()
        ask_for(replaying, 0)
        assert not replaying.answered()
        broker.process.signal(15)
        disk.mend()
        assert broker.process.wait(30) == 0


def test_a_whole_replay_is_what_was_written(broker: FastlogBroker):
    with Client(broker) as client:
        offset = 0
        while offset < RECORDS:
            found = client.fetch("old", offset=offset, partition_max_bytes=250_000)
            assert found.error_code == NONE
            data = bytes(found.records)
            while len(data) > 12 and len(data) >= 12 + int.from_bytes(data[8:12]):
                size = 12 + int.from_bytes(data[8:12])
                assert int.from_bytes(data[:8]) == offset
                assert b"%dxxx" % offset in data[:200]
                data, offset = data[size:], offset + 1


LARGE = 130  # records of 100 kB: more than is read ahead at once


@pytest.fixture
def large(disk: FaultyDisk, tmp_path: Path) -> Iterator[FastlogBroker]:
    """Topic old has one segment of 13 MB, none of it cached."""
    broker = FastlogBroker(tmp_path / "broker", {"fastlog.reactors": 1})
    broker.log_folder = disk.folder
    try:
        broker.start()
        with Client(broker) as client:
            assert client.create("old") == NONE
            for number in range(LARGE):
                assert client.produce("old", batch(number)) == (NONE, number)
        broker.restart()
        forget(disk.folder / "old-0")
        yield broker
    finally:
        broker.kill()


def replay(*clients: Client) -> None:
    """All of topic old, a megabyte at a time, each range by one client after the other."""
    for offset in range(0, LARGE, 9):
        for client in clients:
            assert client.fetch("old", offset=offset).error_code == NONE


def is_cached(disk: FaultyDisk, position: int) -> bool:
    """Whether the page there of the segment is in the page cache."""
    return page_cache.is_cached(disk.folder / "old-0" / f"{0:020d}.log", position)


def comes_about(condition: Callable[[], bool]) -> bool:
    """Whether it is so within ten seconds: the kernel reads ahead when it comes to it."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_what_one_reader_leaves_behind_is_dropped(large: FastlogBroker, disk: FaultyDisk):
    assert not is_cached(disk, 3_000_000)
    with Client(large) as client:
        assert client.fetch("old", offset=0).error_code == NONE
        assert comes_about(lambda: is_cached(disk, 3_000_000)), "it was read ahead"
        replay(client)
    assert not is_cached(disk, 3_000_000)
    assert is_cached(disk, LARGE * 100_000 - 100_000), "what was read last"


def test_what_was_cached_is_kept(large: FastlogBroker, disk: FaultyDisk):
    """A reader that finds a hole, then much that is cached, then a hole."""
    path = disk.folder / "old-0" / f"{0:020d}.log"
    path.read_bytes()
    for start, size in ((0, 400_000), (12_000_000, 0)):
        page_cache.forget(path, start, size)
    assert is_cached(disk, 8_000_000) and not is_cached(disk, 12_500_000)
    with Client(large) as client:
        replay(client)
    assert is_cached(disk, LARGE * 100_000 - 200_000)
    assert is_cached(disk, 8_000_000)


def test_what_others_may_need_is_kept(large: FastlogBroker, disk: FaultyDisk):
    with Client(large) as one, Client(large) as other:
        replay(one, other)
    assert is_cached(disk, 3_000_000)
