"""Appends whose write blocks: the folder's thread waits, with all that the log promises."""

import contextlib
import os
import socket
import struct
import threading

import pytest

from tests.peers.faulty_disk import FaultyDisk

from .waiting import wait_until
from .wire import batch, fetch, produce, read_fetched, read_produced

SLOW_MS = 150  # of one write: no processor is out of reach for so long
MIB = 1 << 20


@pytest.fixture
def disk(tmp_path):
    with FaultyDisk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def slow(disk, make_broker):
    """A broker of one reactor with topic t on a disk whose writes have just become slow, and topic
    quick elsewhere."""

    def make(**options):
        broker = make_broker(reactors=1, **options)
        its_disk, broker.disk = broker.disk, None
        broker.topic("quick")
        broker.disk = its_disk
        broker.folder = disk.folder
        (log,) = broker.topic("t").values()
        disk.slow_down("write", SLOW_MS)
        with broker.client() as client:
            assert client.produce({"t": [(0, batch(b"first"))]})[0].error == 0
        wait_until(lambda: broker.disk.slow)
        assert broker.disk.threads == 0
        return broker, log

    yield make
    disk.mend()


def test_it_is_quick_again(slow, disk):
    broker, _ = slow()
    with broker.client() as client:
        client.produce({"t": [(0, batch(b"x"))]})
        assert broker.disk.handed_over > 0
        assert broker.disk.threads == 1
        disk.mend()

        def quick():
            client.produce({"t": [(0, batch(b"x"))]})
            return not broker.disk.slow

        wait_until(quick)


def test_a_fetch_sees_what_was_produced_before_it(slow, disk):
    broker, log = slow()
    disk.hold("write")
    with broker.client() as client:
        requests = []
        for acks in (0, 1, -1):
            requests.append(produce({"t": [(0, batch(b"x"))]}, acks=acks))
            requests.append(fetch({"t": [(0, log.end_offset)]}))
        client.send(*requests)
        wait_until(lambda: broker.disk.handed_over > 0)
        disk.mend()
        marks = [read_fetched(client.receive(), 11)[2][0].high_watermark]
        for _ in range(2):
            assert read_produced(client.receive(), 7)[1][0].error == 0
            marks.append(read_fetched(client.receive(), 11)[2][0].high_watermark)
    # What came behind it may be there as well, when it had to wait for the disk itself.
    assert all(mark >= least for mark, least in zip(marks, [2, 3, 4], strict=True))


def test_idempotence(slow, disk):
    broker, _ = slow()
    disk.hold("write")
    with broker.client() as client:
        for sequence in (0, 1, 1, 3, 2):
            client.send(produce({"t": [(0, batch(b"x", producer=(7, 0, sequence)))]}))
        disk.mend()
        found = [read_produced(client.receive(), 7)[1][0] for _ in range(5)]
    assert [part.error for part in found] == [0, 0, 0, 45, 0]
    assert [part.base_offset for part in found] == [1, 2, 2, -1, 3]


def test_control_operations_have_their_turn(slow, disk):
    broker, log = slow()
    disk.hold("write")
    with broker.client() as client:
        client.send(produce({"t": [(0, batch(b"x"))]}))
        wait_until(lambda: broker.disk.handed_over > 0)
        done = []
        thread = threading.Thread(target=lambda: done.append((log.roll(), log.append(batch(b"y")))))
        thread.start()
        disk.mend()
        thread.join(30)
        assert done == [(True, (0, 2, -1))]
        assert read_produced(client.receive(), 7)[1][0].error == 0


def test_what_waits_leaves_room_for_others(slow, disk):
    """Peers of the slow disk that send without end are not read from past a quarter of the memory,
    so that those of another disk go on."""
    limit = 48 * MIB
    broker, log = slow(request_memory=limit)
    disk.hold("write")
    frame = produce({"t": [(0, batch(os.urandom(MIB // 2)))]})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(broker.client()) for _ in range(3)]
        senders = [threading.Thread(target=client.send, args=[frame] * 60) for client in clients]
        for sender in senders:
            sender.start()
        wait_until(lambda: broker.plane.stats()["request_memory"] > limit // 4)
        with broker.client() as client:
            for number in range(200):
                assert client.produce({"quick": [(0, batch(b"x"))]})[0].error == 0
                assert client.fetch({"quick": [(0, number)]})[0].high_watermark == number + 1
        assert broker.plane.stats()["request_memory"] < limit // 2
        assert log.end_offset == 1
        disk.mend()
        offsets = []
        for client in clients:
            found = [read_produced(client.receive(), 7)[1][0].base_offset for _ in range(60)]
            assert found == sorted(found)
            offsets += found
        for sender in senders:
            sender.join()
    assert sorted(offsets) == list(range(1, 181))
    wait_until(lambda: broker.plane.stats()["request_memory"] == 0)


def test_a_peer_that_goes_away_meanwhile(slow, disk):
    broker, log = slow()
    disk.hold("write")
    with broker.client() as client:
        client.send(*[produce({"t": [(0, batch(b"x"))]})] * 3)
        wait_until(lambda: broker.disk.handed_over > 0)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    disk.mend()
    wait_until(lambda: log.end_offset == 4)


def test_a_child_of_a_fork_does_not_wait(slow, disk):
    broker, log = slow()
    disk.hold("write")
    with broker.client() as client:
        client.send(produce({"t": [(0, batch(b"x"))]}))
        wait_until(lambda: broker.disk.handed_over > 0)
        child = os.fork()
        if child == 0:
            told = 0
            for call in (broker.disk.close, lambda: log.append(batch(b"y")), log.close):
                try:
                    call()
                except RuntimeError:
                    told += 1
            os._exit(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        disk.mend()
        assert read_produced(client.receive(), 7)[1][0].error == 0
