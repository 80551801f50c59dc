"""Framing, order, back-pressure, barriers, and what a broken peer can do."""

import contextlib
import os
import random
import socket
import struct
import threading
import time

import pytest

from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics

from .waiting import wait_until
from .wire import (
    METADATA,
    PRODUCE,
    batch,
    fetch,
    offsets_of,
    produce,
    read_fetched,
    read_produced,
)


def other(correlation, api_key=METADATA, body=b""):
    return struct.pack(">hhih", api_key, 1, correlation, -1) + body


def correlation_of(frame):
    return struct.unpack_from(">i", frame)[0]


def echo(request):
    return request.frame[4:8] + b"answer"


def test_pipelined_requests_are_answered_in_order(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        frames = []
        for number in range(300):
            if number % 3 == 2:
                frames.append(fetch({"t": [(0, 0)]}, correlation=number, max_bytes=1))
            else:
                frames.append(produce({"t": [(0, batch(b"x"))]}, correlation=number))
        client.send(*frames)
        for number in range(300):
            frame = client.receive()
            assert correlation_of(frame) == number
    assert log.end_offset == 200


def test_a_produce_goes_on_behind_a_parked_fetch(broker):
    """The append wakes the fetch that stands before it in the same connection."""
    broker.topic("t")
    with broker.client() as client:
        client.send(
            fetch({"t": [(0, 0)]}, max_wait=15000, correlation=1),
            produce({"t": [(0, batch(b"x"))]}, correlation=2),
        )
        assert offsets_of(read_fetched(client.receive(), 11)[2][0].records) == [0]
        assert read_produced(client.receive(), 7)[0] == 2


def test_byte_by_byte(broker):
    broker.topic("t")
    with broker.client() as client:
        frame = produce({"t": [(0, batch(b"slow"))]})
        for byte in struct.pack(">i", len(frame)) + frame:
            client.socket.sendall(bytes([byte]))
        assert read_produced(client.receive(), 7)[1][0].error == 0


def test_cuts_at_random_places(broker):
    """Frames of many sizes, delivered in pieces that respect nothing."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    broker.topic("t")
    values = [chance.randbytes(chance.choice((1, 100, 5000, 70000, 300000))) for _ in range(40)]
    stream = b""
    for number, value in enumerate(values):
        frame = produce({"t": [(0, batch(value))]}, correlation=number)
        stream += struct.pack(">i", len(frame)) + frame
    with broker.client() as client:

        def feed():
            at = 0
            while at < len(stream):
                size = chance.choice((1, 3, 1000, 65536, 200000))
                client.socket.sendall(stream[at : at + size])
                at += size

        feeder = threading.Thread(target=feed)
        feeder.start()
        for number in range(len(values)):
            correlation, (part,) = read_produced(client.receive(), 7)
            assert (correlation, part.error, part.base_offset) == (number, 0, number), seed
        feeder.join()
    wait_until(lambda: broker.plane.stats()["request_memory"] == 0)


@pytest.mark.parametrize(
    "head", (-1, 0, 9, (1 << 20) + 1, 0x7FFFFFFF, -(1 << 31)), ids=lambda n: f"length{n}"
)
def test_an_impossible_length_closes(make_broker, head):
    broker = make_broker(max_request_bytes=1 << 20)
    with broker.client() as client:
        client.socket.sendall(struct.pack(">i", head) + b"x" * 64)
        client.expect_close()
    ((kind, text),) = broker.plane.take_events()
    assert kind == "malformed" and text.startswith("127.0.0.1:") and "size" in text
    assert broker.plane.stats()["malformed"] == 1


def test_garbage_never_does_more_than_close(broker):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    broker.topic("t")
    good = [
        make({broker.ids["t"] if version >= 13 else "t": [(0, argument)]}, version=version)
        for make, argument, versions in (
            (produce, batch(b"x" * 50), range(3, 14)),
            (fetch, 0, range(4, 19)),
        )
        for version in versions
    ]
    for _ in range(300):
        frame = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 5)):
            frame[chance.randrange(4, len(frame))] = chance.randrange(256)
        if chance.random() < 0.3:
            del frame[chance.randrange(10, len(frame)) :]
        with broker.client() as client:
            client.send(bytes(frame))
            client.socket.shutdown(1)
            with contextlib.suppress(ConnectionError):
                client.receive()
    with broker.client() as client:
        assert client.fetch({"t": [(0, 0)]})[0].error == 0, seed
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    assert broker.plane.stats()["request_memory"] == 0


@pytest.mark.parametrize(
    "frame",
    (
        produce({"t": [(0, b"x")]})[:-1],
        produce({"t": [(0, b"x")]})[:20],
        fetch({"t": [(0, 0)]})[:-3],
        fetch({bytes(16): [(0, 0)]}, version=18)[:-2],
        struct.pack(">hhih", PRODUCE, 7, 1, -1) + struct.pack(">hhii", -1, 1, 0, 0x7FFFFFFF),
        struct.pack(">hhih", PRODUCE, 2, 1, -1) + bytes(20),
        struct.pack(">hhih", PRODUCE, 14, 1, -1) + bytes(20),
        struct.pack(">hhih", 1, 3, 1, -1) + bytes(20),
        struct.pack(">hhih", 1, 19, 1, -1) + bytes(20),
        struct.pack(">hhih", PRODUCE, 7, 1, -7) + bytes(20),
    ),
)
def test_a_malformed_request_closes_with_one_event(broker, frame):
    with broker.client() as client:
        client.send(frame)
        client.expect_close()
    assert [kind for kind, _ in broker.plane.take_events()] == ["malformed"]


@pytest.mark.parametrize("half", (False, True))
def test_what_was_asked_before_the_end_is_answered(broker, control, half):
    """Before a malformed request, one that the control plane refuses, and the end of the stream."""
    control(lambda request: None if request.api_version == 1 else echo(request))
    broker.topic("t")
    for end in (b"\xff" * 9, struct.pack(">i", 10) + other(9), b""):
        with broker.client() as client:
            frames = [produce({"t": [(0, batch(b"x" * 3000))]}, correlation=n) for n in range(20)]
            stream = b"".join(struct.pack(">i", len(f)) + f for f in frames)
            client.socket.sendall(stream + end)
            if half or not end:
                client.socket.shutdown(socket.SHUT_WR)
            for number in range(20):
                assert read_produced(client.receive(), 7)[0] == number
            client.expect_close()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    assert broker.plane.stats()["request_memory"] == 0


def test_a_large_response_over_a_slow_reader(broker):
    """Partial sendfile: the socket is full again and again, other connections go on meanwhile."""
    log = broker.topic("t")[0]
    large = batch(os.urandom(1000000))
    for _ in range(40):
        log.append(large)
    expected = log.read(0, 1 << 30)[1]
    with broker.client(receive_buffer=8192) as slow, broker.client() as quick:
        slow.send(
            fetch({"t": [(0, 0)]}, partition_max=len(expected), correlation=1),
            fetch({"t": [(0, 39)]}, correlation=2),
        )
        for _ in range(3):
            assert quick.produce({"t": [(0, batch(b"x"))]})[0].error == 0
            time.sleep(0.02)
        (part,) = read_fetched(slow.receive(), 11)[2]
        assert part.records == expected
        assert offsets_of(read_fetched(slow.receive(), 11)[2][0].records)[0] == 39
    assert broker.plane.stats()["sendfiles"] > 40


def test_a_file_that_became_shorter_closes_the_connection(broker):
    """What was announced cannot be sent any more; other bytes in its place would be worse."""
    log = broker.topic("t")[0]
    large = batch(os.urandom(1000000))
    for _ in range(40):
        log.append(large)
    (path,) = (broker.folder / "t-0").glob("*.log")
    with broker.client(receive_buffer=8192) as client:
        client.send(fetch({"t": [(0, 0)]}, partition_max=1 << 30))
        wait_until(lambda: broker.plane.stats()["sendfiles"] > 1)
        os.truncate(path, 1000)
        client.expect_close()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)


def test_sequential_reader_sees_every_batch_once(make_broker):
    """Over roll-overs, by pread and by sendfile."""
    for minimum in (0, 1 << 30):
        broker = make_broker(file_send_min=minimum)
        log = broker.topic("t", segment_bytes=100000)[0]
        for number in range(300):
            log.append(batch(b"v" * (number * 7 % 3000 + 1)))
        seen = []
        with broker.client() as client:
            while len(seen) < 300:
                (part,) = client.fetch({"t": [(0, len(seen))]}, partition_max=9000)
                assert part.error == 0
                seen += offsets_of(part.records)
        assert seen == list(range(300))


def test_an_abandoned_fetch_leaves_nothing(broker):
    broker.topic("t", 3)
    for _ in range(20):
        with broker.client() as client:
            client.send(fetch({"t": [(n, 0) for n in range(3)]}, max_wait=60000))
    wait_until(lambda: broker.plane.stats()["connections_opened"] == 20)
    wait_until(lambda: broker.plane.stats()["connections"] == 0)


def test_a_request_of_the_control_plane_is_a_barrier(broker, control):
    broker.topic("t")
    release = threading.Event()

    def answer(request):
        release.wait(10)
        return echo(request)

    plane = control(answer)
    with broker.client() as client:
        client.send(
            produce({"t": [(0, batch(b"x"))]}, correlation=1),
            other(2),
            produce({"t": [(0, batch(b"x"))]}, correlation=3),
            other(4),
            other(5),
        )
        assert correlation_of(client.receive()) == 1
        wait_until(lambda: len(plane.seen) == 1)
        assert broker.plane.stats()["produce_requests"] == 1
        release.set()
        assert client.receive() == struct.pack(">i", 2) + b"answer"
        assert [correlation_of(client.receive()) for _ in range(3)] == [3, 4, 5]
    request = plane.seen[0]
    assert (request.api_key, request.api_version, request.listener) == (METADATA, 1, "PLAINTEXT")
    assert request.frame == other(2) and request.local == broker.address
    assert request.peer[0] == "127.0.0.1" and request.connection_id > 0
    with pytest.raises(ValueError):
        request.respond(b"again")


def test_who_waits_for_one_answer_comes_before_who_has_sent_many(broker):
    """Mostly: one in eight is of those that have sent more."""
    heavy = [broker.client() for _ in range(10)]
    for client in heavy:
        client.send(other(1), other(2))
    wait_until(lambda: broker.plane.stats()["other_requests"] == 10)
    light = [broker.client() for _ in range(10)]
    for client in light:
        client.send(other(7))
    wait_until(lambda: broker.plane.stats()["other_requests"] == 20)
    taken = [correlation_of(request.frame[4:]) for request in broker.plane.take_requests(20)]
    assert taken == [7] * 7 + [1] + [7] * 3 + [1] * 9
    for client in heavy + light:
        client.socket.close()


def test_addresses_have_their_turns(broker):
    """Who has many connections that ask at once waits for itself. Some addresses may share turns:
    which, nobody can foresee."""
    many = [broker.client() for _ in range(100)]
    for client in many:
        client.send(other(1))
    wait_until(lambda: broker.plane.stats()["other_requests"] == 100)
    few = [socket.create_connection(broker.address, 5, (f"127.0.0.{n}", 0)) for n in range(2, 10)]
    for peer in few:
        peer.sendall(struct.pack(">i", len(other(7))) + other(7))
    wait_until(lambda: broker.plane.stats()["other_requests"] == 108)
    first = [correlation_of(request.frame[4:]) for request in broker.plane.take_requests(20)]
    assert first.count(7) >= 4
    rest = broker.plane.take_requests(200)
    assert len(rest) == 88
    for peer in (*few, *(client.socket for client in many)):
        peer.close()


def test_a_request_waits_for_what_is_parked_before_it(broker, control):
    broker.topic("t")
    plane = control(echo)
    with broker.client() as client:
        client.send(fetch({"t": [(0, 0)]}, max_wait=400, correlation=1), other(2))
        time.sleep(0.1)
        assert not plane.seen
        assert correlation_of(client.receive()) == 1
        assert correlation_of(client.receive()) == 2


def test_the_control_plane_closes_or_forgets(broker, control):
    control(lambda request: None)
    with broker.client() as client:
        client.send(other(1), other(2))
        client.expect_close()


def test_an_answer_for_a_dead_connection_is_dropped(broker):
    with broker.client() as client:
        client.send(other(1))
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
        (request,) = broker.plane.take_requests(10)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    request.respond(b"too late")
    with broker.client() as client:
        client.send(other(1))
        wait_until(lambda: broker.plane.stats()["other_requests"] == 2)
        del request
        (request,) = broker.plane.take_requests(10)
        del request  # nobody answers: the connection ends
        client.expect_close()


def test_pipelining_is_bounded_by_memory(make_broker):
    """A client that sends and never reads is not read from any more."""
    broker = make_broker(request_memory=1 << 20)
    log = broker.topic("t")[0]
    log.append(batch(b"x" * 30000))
    with broker.client(receive_buffer=4096) as client:
        client.socket.settimeout(0.3)
        frame = fetch({"t": [(0, 0)]})
        frames = (struct.pack(">i", len(frame)) + frame) * 1000
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1 << 28:
                sent += client.socket.send(frames)
        assert broker.plane.stats()["request_memory"] <= 1 << 20
        with broker.client() as another:
            assert another.fetch({"t": [(0, 0)]})[0].error == 0


def test_memory_short_but_everyone_gets_on(make_broker):
    broker = make_broker(request_memory=300000)
    broker.topic("t")
    errors = []

    def work():
        with broker.client() as client:
            for _ in range(10):
                errors.append(client.produce({"t": [(0, batch(b"y" * 200000))]})[0].error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [0] * 80


def test_ipv6_and_many_listeners(broker):
    plane = DataPlane(Topics(), reactors=1, node_id=1)
    first = plane.listen("127.0.0.1", 0, "A")
    second = plane.listen("::1", 0, "B")
    assert first[1] and second[0] == "::1"
    plane.start()
    try:
        from .wire import Client

        with Client(second) as client:
            client.send(other(1))
            wait_until(lambda: plane.stats()["other_requests"] == 1)
            (request,) = plane.take_requests(1)
            assert request.listener == "B" and request.peer[0] == "::1"
            request.close()
    finally:
        assert plane.stop(1)
    with pytest.raises(OSError, match="."):
        DataPlane(Topics(), reactors=1, node_id=1).listen("192.0.2.1", 0, "C")


def test_connections_are_spread(make_broker):
    broker = make_broker(reactors=3)
    broker.topic("t")
    clients = [broker.client() for _ in range(9)]
    for client in clients:
        assert client.fetch({"t": [(0, 0)]})[0].error == 0
    assert broker.plane.stats()["connections"] == 9
    for client in clients:
        client.socket.close()


def test_request_fd_is_an_eventfd_that_tells(broker):
    with broker.client() as client:
        client.send(other(1))
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
        assert int.from_bytes(os.read(broker.plane.request_fd, 8), "little") == 1
        (request,) = broker.plane.take_requests(10)
        request.respond(b"\0\0\0\1")
        assert client.receive() == b"\0\0\0\1"
