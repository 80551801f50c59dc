"""Who may connect, for how long, and what a peer that dawdles loses. Kafka's rules where it has
some."""

import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from .waiting import wait_until
from .wire import batch, fetch, produce

ROOT = Path(__file__).parents[2]
SHORT_MS = 1000


@pytest.fixture
def limited(make_broker):
    """A broker with these limits, and a topic."""

    def make(reactors=2, **limits):
        broker = make_broker(start=False, reactors=reactors)
        broker.plane.limit_connections(**limits)
        broker.plane.start()
        broker.topic("t")
        return broker

    return make


def served(client, seconds=5):
    """Whether a request is answered: not when the connection is closed, or waits to be accepted."""
    client.socket.settimeout(seconds)
    try:
        return client.fetch({"t": [(0, 0)]})[0].error == 0
    except (ConnectionError, TimeoutError):
        return False


def kinds(broker):
    return [kind for kind, _ in broker.plane.take_events()]


def test_above_all_connections_accepting_waits_for_one_to_close(limited):
    broker = limited(in_all=3)
    clients = [broker.client() for _ in range(5)]
    assert [served(c, 0.3) for c in clients] == [True] * 3 + [False] * 2
    assert kinds(broker) == ["connections_full"]
    clients[0].socket.close()
    clients[3].socket.settimeout(10)
    assert clients[3].receive(), "it was asked before it was accepted"
    assert broker.plane.stats()["connections"] == 3
    for client in clients:
        client.socket.close()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    with broker.client() as again:
        assert served(again)


def test_connections_come_and_go_at_the_limit(limited):
    """No close is missed by the acceptor, whichever reactor it happens on."""
    broker = limited(in_all=2, reactors=3)
    for _ in range(300):
        with broker.client() as client:
            assert served(client)


def test_one_address_has_its_share(limited):
    broker = limited(per_address=2, overrides=[("127.0.0.2", 3), ("::ffff:127.0.0.3", 0)])

    def dial(source):
        return socket.create_connection(broker.address, 5, (source, 0))

    def is_served(peer):
        frame = fetch({"t": [(0, 0)]})
        with contextlib.suppress(ConnectionError):
            peer.sendall(struct.pack(">i", len(frame)) + frame)
            return bool(peer.recv(4))
        return False

    for source, allowed in (("127.0.0.1", 2), ("127.0.0.2", 3), ("127.0.0.3", 0)):
        peers = [dial(source) for _ in range(5)]
        assert [is_served(peer) for peer in peers] == [n < allowed for n in range(5)], source
        for peer in peers:
            peer.close()
        wait_until(lambda: broker.plane.stats()["connections"] == 0)
    assert broker.plane.stats()["connections_refused"] == 3 + 2 + 5
    assert set(kinds(broker)) == {"connection_refused"}


def test_a_name_is_no_address(make_broker):
    with pytest.raises(ValueError, match="localhost"):
        make_broker(start=False).plane.limit_connections(overrides=[("localhost", 1)])


def test_above_the_rate_accepting_is_slowed(limited):
    broker = limited(per_second=10, burst_seconds=1)
    started = time.monotonic()
    for _ in range(16):
        with broker.client() as client:
            assert served(client)
    assert time.monotonic() - started > 0.4, "six more than the burst, ten in a second"
    assert "connections_too_fast" in kinds(broker)


def test_descriptors_are_kept_for_the_broker(limited):
    broker = limited()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [broker.client() for _ in range(60)]
    assert served(clients[-1])
    lowest = os.dup(0)
    os.close(lowest)
    # Both ends of a connection are ours: each takes two descriptors.
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 40, hard))
    try:
        more = [broker.client() for _ in range(6)]
        for client in more:
            client.send(fetch({"t": [(0, 0)]}))
        wait_until(lambda: "no_descriptors" in kinds(broker))
        assert broker.plane.stats()["connections"] < 66
        files = [open(os.devnull) for _ in range(20)]
        for file in files:
            file.close()
        for client in clients:
            client.socket.close()
        assert all(client.receive() for client in more), "accepted later"
        for client in more:
            client.socket.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def crowd(limited):
    """A broker of one reactor with a thousand idle connections, and they."""
    broker = limited(reactors=1, idle_ms=SHORT_MS)
    clients = [broker.client() for _ in range(1000)]
    yield broker, clients
    for client in clients:
        client.socket.close()


def test_many_that_are_idle_are_closed_in_turns(crowd):
    """So that no turn is long."""
    broker, _ = crowd
    wait_until(lambda: broker.plane.stats()["connections_opened"] == 1000)
    before = broker.plane.stats()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    after = broker.plane.stats()
    expired = after["connections_expired"] - before["connections_expired"]
    assert expired > 0
    assert after["turns"] - before["turns"] >= expired // 32


def test_some_close_while_others_are_looked_at(crowd):
    broker, clients = crowd
    wait_until(lambda: broker.plane.stats()["connections_expired"] > 0)
    for client in reversed(clients):
        client.socket.close()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    with broker.client() as again:
        assert served(again)


def closed_within(client, seconds):
    client.socket.settimeout(seconds)
    try:
        return client.socket.recv(1) == b""
    except TimeoutError:
        return False


def test_what_is_idle_is_closed(limited):
    """A parked fetch is idle too, as in Kafka; whoever asks now and then is not."""
    broker = limited(idle_ms=2 * SHORT_MS)
    idle, parked, busy = (broker.client() for _ in range(3))
    assert all(served(client) for client in (idle, parked, busy))
    parked.send(fetch({"t": [(0, 0)]}, max_wait=60000))
    for _ in range(5):
        time.sleep(SHORT_MS / 2000)
        assert served(busy)
    assert closed_within(idle, 10) and closed_within(parked, 10)
    assert served(busy)
    assert broker.plane.stats()["connections_expired"] == 2
    assert kinds(broker) == [], "not worth a line"
    busy.socket.close()


def test_the_first_request_has_its_time(limited):
    broker = limited(first_request_ms=SHORT_MS)
    silent, drip, polite = (broker.client() for _ in range(3))
    assert served(polite)
    drip.socket.sendall(b"\0\0")
    assert closed_within(silent, 10) and closed_within(drip, 10)
    assert served(polite)
    assert kinds(broker) == ["connection_timed_out"] * 2
    polite.socket.close()


def test_a_request_that_does_not_go_on(limited):
    """Byte by byte is not going on; a large one that comes slowly but surely is."""
    broker = limited(receive_ms=2 * SHORT_MS)
    frame = produce({"t": [(0, batch(os.urandom(900_000)))]})
    frame = struct.pack(">i", len(frame)) + frame
    loris, slow, waiting = (broker.client() for _ in range(3))
    assert served(waiting)
    at, started, closed = 0, time.monotonic(), False
    while at < len(frame):
        slow.socket.sendall(frame[at : at + 150_000])
        at += 150_000
        if not closed:
            try:
                loris.socket.sendall(frame[at // 150_000 - 1 : at // 150_000])
            except ConnectionError:
                closed = True
        time.sleep(0.7 * SHORT_MS / 1000)
    assert time.monotonic() - started > 2 * SHORT_MS / 1000
    assert slow.receive()
    with contextlib.suppress(ConnectionError):
        assert closed or closed_within(loris, 10)
    assert served(waiting), "nothing of a request has come: it may wait"
    assert kinds(broker) == ["connection_timed_out"]
    slow.socket.close()
    waiting.socket.close()


def test_ten_thousand_bytes_are_not_a_hundred_megabytes(make_broker):
    """What a length claims is not taken from the others' memory until its bytes come."""
    broker = make_broker(request_memory=64 << 20)
    broker.topic("t")
    liars = [broker.client() for _ in range(20)]
    for liar in liars:
        liar.socket.sendall(struct.pack(">i", 100_000_000) + bytes(10_000))
    wait_until(lambda: broker.plane.stats()["bytes_in"] >= 20 * 10_000)
    assert broker.plane.stats()["request_memory"] <= 20 * (2 << 20)
    with broker.client() as good:
        for _ in range(10):
            assert good.produce({"t": [(0, batch(b"y" * 900_000))]})[0].error == 0
    for liar in liars:
        liar.socket.close()
    wait_until(lambda: broker.plane.stats()["request_memory"] == 0)


def test_a_request_of_the_control_plane_is_shorter(make_broker):
    """It is refused by its length, before its bytes come; a Produce of that length is not."""
    broker = make_broker(max_control_bytes=2000)
    broker.topic("t")
    with broker.client() as client:
        client.socket.sendall(struct.pack(">ihh", 2001, 3, 1))
        assert closed_within(client, 10)
    assert kinds(broker) == ["malformed"]
    with broker.client() as client:
        client.socket.sendall(struct.pack(">ihh", 2000, 3, 1) + bytes(1996))
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
    with broker.client() as client:
        assert client.produce({"t": [(0, batch(b"x" * 5000))]})[0].error == 0


def test_timeouts_do_not_hold_up_the_end(limited):
    broker = limited(idle_ms=60000, first_request_ms=60000, receive_ms=60000)
    clients = [broker.client() for _ in range(5)]
    assert all(served(client) for client in clients)
    started = time.monotonic()
    assert broker.close()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM"])
def test_what_cannot_be_accepted_keeps_nobody_busy(name):
    """The listener stays ready; whoever looked again at once would do nothing else."""
    code = f"""
        import errno, socket, time
        from fastlog_ext.reactor import DataPlane
        from fastlog_ext.topics import Topics
        from tests.dataplane.planted_errno import fail_accept
        from tests.dataplane.waiting import wait_until
        plane = DataPlane(Topics(), reactors=1, node_id=1)
        address = plane.listen("127.0.0.1", 0, "A")
        fail_accept(errno.{name})
        plane.start()
        events = []
        with socket.create_connection(address):
            wait_until(lambda: events.extend(plane.take_events()) or events)
            before = plane.stats()["turns"]
            time.sleep(0.5)
            print(events[0][0], plane.stats()["turns"] - before)
        plane.stop(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, turns = done.stdout.split()
    assert kind == ("no_descriptors" if name in ("EMFILE", "ENFILE") else "cannot_accept")
    assert int(turns) < 50
