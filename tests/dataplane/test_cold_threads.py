"""The threads that read from a disk for the reactors."""

import os
from pathlib import Path

import pytest

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
    """Writes the log to the disk and drops it from the page cache."""
    log.flush()
    for segment in log.segments():
        page_cache.forget(Path(segment["path"]))


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
