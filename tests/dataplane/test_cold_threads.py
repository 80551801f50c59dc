"""The threads that read from a disk for the reactors."""

import contextlib
import os
from pathlib import Path

import pytest

from fastlog_ext.disk import Disk
from tests.peers import page_cache
from tests.peers.faulty_disk import FaultyDisk

from .waiting import wait_until
from .wire import batch, fetch, read_fetched

COLD = 40  # batches of 100 kB; the last ten are taken to be cached


@pytest.fixture
def disk(tmp_path):
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk


def forget(log):
    """Writes the log and its indexes to the disk and drops them from the page cache."""
    log.flush()
    for path in Path(log.path).iterdir():
        page_cache.forget(path)


def test_reads_that_come_together_wait_together(disk, make_broker):
    """Each has a thread of its own, though the first of them has just been idle."""
    broker = make_broker(reactors=1)
    broker.folder = disk.folder
    (log,) = broker.topic("t").values()
    for _ in range(COLD):
        assert log.append(batch(os.urandom(100_000)))[0] == 0
    appending = broker.disk.threads  # one, if the disk was thought to be slow
    forget(log)
    asked = [{"t": [(0, offset)]} for offset in (0, 12, 24)]
    with broker.client() as client:
        client.send(fetch(asked[0], partition_max=1000))
        assert len(read_fetched(client.receive(), 11)[2][0].records) > 100_000
        wait_until(lambda: broker.disk.threads == appending + 1)
        forget(log)
        disk.hold()
        client.send(*[fetch(topics, partition_max=1000) for topics in asked])
        wait_until(lambda: broker.disk.threads == appending + len(asked))
        disk.mend()
        for _ in asked:
            assert len(read_fetched(client.receive(), 11)[2][0].records) > 100_000


def go_on(broker):
    """What a client of a topic that is cached does meanwhile."""
    with broker.client() as client:
        for _ in range(20):
            assert client.produce({"new": [(0, batch(b"x"))]})[0].error == 0
            assert client.fetch({"new": [(0, 0)]})[0].records


def make_cold(broker, name):
    """A topic whose records are not cached, in the broker's folder."""
    (log,) = broker.topic(name).values()
    for _ in range(COLD):
        assert log.append(batch(os.urandom(100_000)))[0] == 0
    forget(log)
    return log


def test_without_a_thread_it_is_answered_without_those_records(disk, make_broker):
    broker = make_broker(reactors=1)
    elsewhere, broker.disk = broker.disk, Disk()
    broker.topic("new")
    broker.disk, broker.folder = elsewhere, disk.folder
    make_cold(broker, "old")
    assert broker.disk.close()  # from now on it has none
    go_on(broker)
    disk.hold()
    with broker.client() as client:
        both = {"old": [(0, 0)], "new": [(0, 0)]}
        client.send(fetch(both, max_wait=0), fetch({"old": [(0, 0)]}, max_wait=50))
        go_on(broker)
        old, new = read_fetched(client.receive(), 11)[2]
        assert (old.error, old.records, old.high_watermark) == (0, b"", COLD)
        assert new.records
        (old,) = read_fetched(client.receive(), 11)[2]
        assert (old.error, old.records, old.high_watermark) == (0, b"", COLD)
    disk.mend()


def test_each_disk_has_its_own_threads_wait_for_it(disk, tmp_path, make_broker):
    """Requests for two folders, of which one stands still, leave the other's threads to others."""
    with FaultyDisk(tmp_path / "good") as good:
        broker = make_broker(reactors=1)
        broker.topic("new")
        its_disk, broker.disk, broker.folder = broker.disk, Disk(), good.folder
        good_disk = broker.disk
        make_cold(broker, "good")
        broker.disk, broker.folder = its_disk, disk.folder
        make_cold(broker, "bad")
        disk.hold()
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(broker.client()) for _ in range(6)]
            for client in waiting:
                client.send(fetch({"good": [(0, 0)], "bad": [(0, 0)]}, partition_max=1000))
            wait_until(lambda: its_disk.threads == 4)
            go_on(broker)
            client = stack.enter_context(broker.client())
            assert len(client.fetch({"good": [(0, 24)]}, partition_max=1000)[0].records) > 100_000
            disk.mend()
            for client in waiting:
                for part in read_fetched(client.receive(), 11)[2]:
                    assert part.error == 0
        assert broker.close()
        assert good_disk.close()


@pytest.mark.parametrize("kind", ["look", "read"])
def test_files_are_opened_beside_the_reactors(disk, make_broker, kind):
    """The first read of a segment since the start, all of it cached but the index."""
    broker = make_broker(reactors=1)
    elsewhere, broker.disk = broker.disk, Disk()
    broker.topic("new")
    broker.disk, broker.folder = elsewhere, disk.folder
    (log,) = broker.topic("old", segment_bytes=1_000_000).values()
    for _ in range(COLD):
        assert log.append(batch(os.urandom(100_000)))[0] == 0
    log.close()
    (log,) = broker.topic("old", segment_bytes=1_000_000).values()
    for path in Path(log.path).iterdir():
        if path.suffix == ".log":
            path.read_bytes()
        else:
            page_cache.forget(path)
    disk.hold(kind)
    with broker.client() as client:
        client.send(fetch({"old": [(0, 13)]}, partition_max=1000))
        go_on(broker)
        disk.mend()
        assert int.from_bytes(read_fetched(client.receive(), 11)[2][0].records[:8]) == 13
    assert broker.plane.stats()["cold_reads"] == 1


def test_a_long_scan_is_made_beside_the_reactors(make_broker):
    """An index of so few entries that the headers of many batches lead to an offset."""
    broker = make_broker(reactors=1)
    (log,) = broker.topic("t", index_interval_bytes=1 << 30).values()
    log.append_together([batch(b"x") for _ in range(5000)])

    def first_of(client, offset):
        return int.from_bytes(client.fetch({"t": [(0, offset)]}, partition_max=1000)[0].records[:8])

    with broker.client() as client:
        assert first_of(client, 500) == 500
        assert broker.plane.stats()["cold_reads"] == 0
        assert first_of(client, 4000) == 4000
        assert broker.plane.stats()["cold_reads"] == 1
        assert first_of(client, 2000) == 2000
        assert broker.plane.stats()["cold_reads"] == 2
