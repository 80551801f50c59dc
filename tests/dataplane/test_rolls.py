"""New segments, on a disk that stands still: they are made by the folder's thread."""

from pathlib import Path

import pytest

from tests.peers.faulty_disk import FaultyDisk

from .waiting import wait_until
from .wire import batch, fetch, produce, read_fetched, read_produced

SEGMENT = 100_000


@pytest.fixture
def disk(tmp_path):
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk
        disk.mend()


@pytest.fixture
def full(disk, make_broker):
    """A broker of one reactor, and the log of topic t on the disk: its next batch needs a segment
    of its own. Topic quick is elsewhere."""

    def make(**settings):
        broker = make_broker(reactors=1)
        its_disk, broker.disk = broker.disk, None
        broker.topic("quick")
        broker.disk = its_disk
        broker.folder = disk.folder
        (log,) = broker.topic("t", segment_bytes=SEGMENT, **settings).values()
        assert log.append(batch(bytes(SEGMENT * 6 // 10), producer=(7, 0, 0)))[0] == 0
        return broker, log

    return make


def go_on(broker, begin=0):
    """What a client of the other folder does meanwhile."""
    with broker.client() as client:
        for number in range(begin, begin + 20):
            assert client.produce({"quick": [(0, batch(b"x"))]})[0].error == 0
            assert client.fetch({"quick": [(0, number)]})[0].high_watermark == number + 1


@pytest.mark.parametrize("kind", ["sync", "change", "look"])
def test_others_go_on_meanwhile(full, disk, kind):
    broker, log = full()
    big = [batch(bytes(SEGMENT * 6 // 10), producer=(7, 0, number)) for number in (1, 2)]
    disk.hold(kind)
    with broker.client() as client:
        client.send(*[produce({"t": [(0, each)]}) for each in big], fetch({"t": [(0, 0)]}))
        go_on(broker)
        assert log.end_offset == 1
        disk.mend()
        offsets = [read_produced(client.receive(), 7)[1][0].base_offset for _ in big]
        assert offsets == [1, 2]
        assert read_fetched(client.receive(), 11)[2][0].high_watermark == 3
    folder = Path(log.segments()[0]["path"]).parent
    bases = [segment["base_offset"] for segment in log.segments()]
    assert bases == [0, 1, 2]
    assert all((folder / f"{base:020d}.snapshot").stat().st_size > 10 for base in bases[1:])
    assert not broker.disk.slow, "a roll does not count as an append"


def test_what_comes_behind_a_roll_follows_it(full, disk):
    """Of one write of many: what fits is written, the rest waits with its order and its checks."""
    broker, log = full()
    disk.hold("sync")
    sizes = [1000, SEGMENT * 6 // 10, 1000, 1000]
    with broker.client() as client:
        frames = [
            produce({"t": [(0, batch(bytes(size), producer=(7, 0, number)))]})
            for number, size in enumerate([*sizes, 1000], 1)
        ]
        frames.insert(3, frames[2])  # sent twice
        client.send(*frames)
        assert read_produced(client.receive(), 7)[1][0].base_offset == 1
        go_on(broker)
        assert log.end_offset == 2
        disk.mend()
        found = [read_produced(client.receive(), 7)[1][0] for _ in frames[1:]]
    assert [part.error for part in found] == [0] * 5
    assert [part.base_offset for part in found] == [2, 3, 3, 4, 5]
    assert [segment["base_offset"] for segment in log.segments()] == [0, 2]


def test_room_is_reserved_by_the_thread(full):
    broker, _ = full(preallocate=1)
    before = broker.disk.handed_over
    assert before == 1
    with broker.client() as client:
        assert client.produce({"t": [(0, batch(b"x"))]})[0].error == 0
    assert broker.disk.handed_over == before, "there is room for it"


def test_without_the_thread_it_rolls_all_the_same(full):
    """At the end of a process."""
    broker, log = full()
    assert broker.disk.close()
    with broker.client() as client:
        big = batch(bytes(SEGMENT * 6 // 10))
        assert client.produce({"t": [(0, big)]})[0].error == 0
    assert len(log.segments()) == 2
    wait_until(lambda: broker.disk.threads == 0)
