"""What a peer can make the broker hold is counted, and let go; a child of a fork writes nowhere."""

import contextlib
import ctypes
import os
import select
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .waiting import wait_until
from .wire import batch, fetch, produce, read_fetched, read_produced, uvarint

ROOT = Path(__file__).parents[2]
LARGE = 3000  # partitions of one request
TOO_MANY = "request of more topics and partitions than fastlog.request.elements.max"


HELD_BYTES_MOST = 32 << 20  # of one connection's requests


class Malloc(ctypes.Structure):
    """What mallinfo2 tells."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "used",
            "free",
            "keepcost",
        ]
    ]


def allocated():
    """Bytes that the process has from malloc and has not given back to it."""
    told = ctypes.CDLL(None).mallinfo2
    told.restype = Malloc
    return told().used + told().hblkhd


def used(broker):
    return broker.plane.stats()["request_memory"]


def test_a_large_fetch_that_waits_is_counted(broker):
    broker.topic("t")
    with broker.client() as client:
        client.send(fetch({"t": [(index, 0) for index in range(LARGE)]}, max_wait=60000))
        wait_until(lambda: broker.plane.stats()["fetches_parked"] == 1)
        assert used(broker) > 33 * LARGE
    wait_until(lambda: used(broker) == 0)


def test_many_fetches_that_wait_are_counted_and_bounded(make_broker):
    """Each is too small to be worth a word, and 256 of them on a connection are not."""
    broker = make_broker(reactors=1)
    broker.topic("t")
    waiting = fetch({"t": [(index, 0) for index in range(1000)]}, max_wait=600_000)
    before = allocated()
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(broker.client()) for _ in range(3)]
        for peer in peers:
            peer.send(*[waiting] * 110)
        wait_until(lambda: used(broker) >= 3 * HELD_BYTES_MOST)
        assert used(broker) < 3 * HELD_BYTES_MOST + (4 << 20)
        assert broker.plane.stats()["fetches_parked"] < 3 * 110
    wait_until(lambda: used(broker) == 0)
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    assert allocated() - before < 2 * HELD_BYTES_MOST, "what was answered is let go"


def test_many_short_answers_that_nobody_reads_are_counted_and_bounded(make_broker):
    limit = 64 << 20
    broker = make_broker(reactors=2, request_memory=limit, file_send_min=1 << 16)
    (log,) = broker.topic("t").values()
    log.append(batch(b"x" * 30_000))
    short = fetch({"t": [(0, 0)]})
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(broker.client(receive_buffer=4096)) for _ in range(30)]
        for peer in peers:
            peer.send(*[short] * 250)
        wait_until(lambda: used(broker) > limit // 4 - (1 << 20))
        with broker.client() as client:  # whoever reads is served
            for _ in range(20):
                assert client.produce({"t": [(0, batch(b"x" * 1000))]})[0].error == 0
        assert used(broker) < limit * 3 // 8
        for _ in range(250):  # in their order, to the last one
            (part,) = read_fetched(peers[0].receive(), 11)[2]
            assert len(part.records) >= 30_000
    wait_until(lambda: used(broker) == 0)


def test_a_request_of_the_control_plane_is_counted(broker):
    body = b"\0\x03\0\1\0\0\0\x07\xff\xff" + bytes(200_000)
    with broker.client() as client:
        client.send(body)
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
        wait_until(lambda: used(broker) == len(body))
        (request,) = broker.plane.take_requests()
        request.respond(b"answer")
        assert client.receive() == b"answer"
        wait_until(lambda: used(broker) == 0)


def test_more_partitions_than_any_client_names_are_refused_unread(broker):
    """A count is bounded before the places for it are made: each takes many times its bytes."""
    many = 300_000
    head = fetch({}, version=4)[:-4] + struct.pack(">i", 1) + b"\0\1t" + struct.pack(">i", many)
    with broker.client() as client:
        client.send(head + bytes(16 * many))
        client.expect_close()
    told = f"a Fetch {TOO_MANY}"
    assert [(kind, text.split(": ")[1]) for kind, text in broker.plane.take_events()] == [
        ("malformed", told)
    ]
    wait_until(lambda: used(broker) == 0)


def test_a_child_that_drops_a_request_writes_into_no_other_file(tmp_path):
    """The numbers of the descriptors that the child lost are free for what it opens."""
    code = """
        import os, sys
        from fastlog_ext.reactor import DataPlane
        from fastlog_ext.topics import Topics
        from tests.dataplane.wire import Client
        plane = DataPlane(Topics(), reactors=1, node_id=1)
        client = Client(plane.listen("127.0.0.1", 0, "A"))
        plane.start()
        client.send(b"\\0\\x03\\0\\1\\0\\0\\0\\x07\\xff\\xff")
        while not (requests := plane.take_requests()):
            pass
        import time
        time.sleep(0.1)  # the reactor sleeps: whoever posts would write
        child = os.fork()
        if child == 0:
            paths = [f"{sys.argv[1]}/{number}" for number in range(64)]
            files = [open(path, "wb") for path in paths]
            requests.clear()
            os._exit(0 if not any(os.stat(path).st_size for path in paths) else 9)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        requests.clear()
        assert plane.stop(0)
        print(status)
    """
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ},
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_large_produce_is_bounded_as_well(broker):
    many = 300_000
    head = struct.pack(">hhi", 0, 3, 1) + struct.pack(">h", -1) * 2 + struct.pack(">hi", 1, 5000)
    head += struct.pack(">i", 1) + b"\0\1t" + struct.pack(">i", many)
    with broker.client() as client:
        client.send(head + bytes(8 * many))
        client.expect_close()
    told = f"a Produce {TOO_MANY}"
    assert [(kind, text.split(": ")[1]) for kind, text in broker.plane.take_events()] == [
        ("malformed", told)
    ]
    broker.topic("t")
    with broker.client() as client:
        parts = client.produce({"t": [(index, None) for index in range(LARGE)]})
        assert len(parts) == LARGE and all(part.error for part in parts)
    wait_until(lambda: used(broker) == 0)


def claim(client, size, sent):
    """The beginning of a Produce request of `size` bytes that does not go on."""
    client.socket.sendall(struct.pack(">ihh", size, 0, 7) + bytes(sent - 8))


def test_claims_leave_room_for_what_is_whole(make_broker):
    """A length is believed while there is plenty; unfinished requests never keep short ones out."""
    broker = make_broker(reactors=2, request_memory=64 << 20)
    broker.topic("t")
    with contextlib.ExitStack() as opened:
        for _ in range(200):
            claim(opened.enter_context(broker.client()), 30 << 20, 70_000)
        with broker.client() as client:
            client.socket.settimeout(30)
            assert client.produce({"t": [(0, batch(b"x"))]})[0].error == 0
        assert used(broker) <= 64 << 20


def test_who_keeps_memory_and_does_not_go_on_makes_room(make_broker):
    """A long request of another peer comes to its end, whatever has begun before."""
    broker = make_broker(reactors=2, request_memory=32 << 20)
    broker.topic("t", max_message_bytes=8 << 20)
    with contextlib.ExitStack() as opened:
        for _ in range(64):
            claim(opened.enter_context(broker.client()), 8 << 20, 400_000)
        with broker.client() as client:
            client.socket.settimeout(30)
            large = produce({"t": [(0, batch(os.urandom(4 << 20)))]})
            client.send(large)
            assert read_produced(client.receive(), 7)[1][0].error == 0
    told = [text for kind, text in broker.plane.take_events() if kind == "connection_timed_out"]
    assert told and all("memory for requests is short" in text for text in told)


def long_answers(partitions):
    """A Produce request of partitions without records: its answer is many times as long."""
    each = b"".join(struct.pack(">i2x", index) for index in range(partitions))
    body = b"\2\2t" + uvarint(partitions + 1) + each
    return (
        struct.pack(">hhihb", 0, 9, 1, -1, 0) + b"\0" + struct.pack(">hi", 1, 1000) + body + b"\0\0"
    )


class Silent:
    """Asks for more than the kernel keeps for it, and reads nothing."""

    def __init__(self, client):
        request = long_answers(100_000)
        self.socket = client.socket
        self.unsent = (struct.pack(">i", len(request)) + request) * 4
        self.socket.setblocking(False)

    def go_on(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.unsent = b""


def test_answers_that_nobody_reads_are_bounded(make_broker):
    """Who asks for one more is closed, and so is who keeps what others wait for."""
    limit = 64 << 20
    broker = make_broker(reactors=2, request_memory=limit)
    broker.topic("t")
    reasons = {
        "out_of_memory": "memory for requests is full",
        "connection_timed_out": "memory for requests is short",
    }
    told = set()

    def look():
        assert used(broker) < 1.5 * limit
        for kind, text in broker.plane.take_events():
            assert reasons[kind] in text
            told.add(kind)

    with contextlib.ExitStack() as opened:
        new = (opened.enter_context(broker.client(receive_buffer=4096)) for _ in range(20))
        peers = [Silent(client) for client in new]
        while "out_of_memory" not in told:
            for peer in peers:
                peer.go_on()
            look()
        with broker.client(timeout=60) as client:  # whoever reads is served
            for _ in range(5):
                assert client.produce({"t": [(0, batch(b"x" * 500_000))]})[0].error == 0
                look()
    wait_until(lambda: used(broker) == 0)


def test_a_partition_that_is_named_many_times_is_answered_once(make_broker):
    """Also where that is more than what one read of the connection brings; each answer would be
    records again."""
    broker = make_broker(reactors=1)
    log = broker.topic("t", 2)[0]
    log.append(batch(b"x" * 1000))
    with broker.client() as client:
        (part,) = client.fetch({"t": [(0, 7)] * LARGE + [(0, 0)]})
        assert (part.index, part.error, len(part.records)) == (0, 0, log.size_bytes)
        parts = client.fetch({"t": [(number % 2, 0) for number in range(LARGE)]})
        assert [(part.index, bool(part.records)) for part in parts] == [(0, True), (1, False)]
        (part,) = client.produce({"t": [(0, batch(b"lost"))] * LARGE + [(0, batch(b"kept"))]})
        assert (part.error, part.base_offset, log.end_offset) == (0, 1, 2)


def test_topics_and_partitions_of_a_request_are_bounded_together(make_broker):
    broker = make_broker(max_elements=100)
    broker.topic("t")
    good = batch(b"x")
    many = [(index, 0) for index in range(100)]
    by_topic = {f"{index}": [(0, 0)] for index in range(51)}
    with broker.client() as client:
        assert len(client.fetch({"t": many[:99]})) == 99
        assert len(client.produce({"t": [(index, good) for index in range(99)]})) == 99
        assert client.fetch({"t": many[:50]}, forgotten={"t": range(48)})
    produced = {topic: [(0, good)] for topic in by_topic}
    for frame in (
        fetch({"t": many}),
        fetch(by_topic),
        fetch({"t": many[:50]}, forgotten={"t": range(49)}),
        fetch({"t": many[:50]}, forgotten={str(index): [0] for index in range(25)}),
        fetch({"t": many[:50]}, forgotten={str(index): [] for index in range(50)}),
        produce({"t": [(index, good) for index in range(100)]}),
        produce(produced),
    ):
        with broker.client() as client:
            client.send(frame)
            client.expect_close()
    assert [kind for kind, _ in broker.plane.take_events()] == ["malformed"] * 7
    wait_until(lambda: used(broker) == 0)


def unknown(size):
    """A Produce request that is read to its end and answered without the disk."""
    frame = produce({"t": [(7, batch(os.urandom(size)))]})
    return struct.pack(">i", len(frame)) + frame


def send_together(peers, data, piece=1 << 16):
    """Each peer gets piece after piece of the same, none more than one piece ahead while the broker
    reads from all, until it has been sent whole."""
    rest = dict.fromkeys((peer.socket for peer in peers), memoryview(data))
    for one in rest:
        one.setblocking(False)
    while rest:
        _, writable, _ = select.select([], list(rest), [], 60)
        assert writable, "nobody goes on"
        for one in writable:
            sent = one.send(rest[one][:piece])
            rest[one] = rest[one][sent:]
            if not rest[one]:
                del rest[one]
    for peer in peers:
        peer.socket.settimeout(60)


@pytest.mark.parametrize("reactors", [1, 2])
def test_long_requests_that_all_go_on_come_to_their_end(make_broker, reactors):
    """Together they hold all that unfinished requests may, and none of them is at its end."""
    broker = make_broker(reactors=reactors, request_memory=16 << 20)
    broker.topic("t")
    data = unknown(3 << 20)
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(broker.client()) for _ in range(60)]
        send_together(peers, data)
        for peer in peers:
            assert read_produced(peer.receive(), 7)[1][0].error == 3
    assert broker.plane.take_events() == []
    wait_until(lambda: used(broker) == 0)


def test_who_sends_is_served_beside_long_requests_that_never_end(make_broker):
    """Each peer goes on until it is not read from; then all of them wait for memory."""
    broker = make_broker(reactors=2, request_memory=16 << 20)
    broker.topic("t", max_message_bytes=8 << 20)
    claimed = struct.pack(">ihh", 100 << 20, 0, 7)
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(broker.client()) for _ in range(130)]
        sent = dict.fromkeys((peer.socket for peer in peers), 0)
        for one in sent:
            one.sendall(claimed)
            one.setblocking(False)
        while writable := select.select([], list(sent), [], 0.2)[1]:
            for one in writable:
                sent[one] += one.send(bytes(1 << 16))
                if sent[one] > 8 << 20:
                    del sent[one]
        with broker.client() as client:
            for _ in range(3):
                (part,) = client.produce({"t": [(0, batch(os.urandom(5 << 20)))]}, timeout=60000)
                assert part.error == 0


def test_who_waits_longest_for_memory_is_the_first_to_have_it(make_broker):
    """Whichever connection is older."""
    limit = 1 << 20
    broker = make_broker(reactors=1, request_memory=limit)
    (log,) = broker.topic("t").values()
    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(broker.client()) for _ in range(4)]
        with broker.client() as first:
            claim(first, limit - 4, 300_000)
            wait_until(lambda: used(broker) >= limit // 2)
            for number in (2, 0, 3, 1):
                before = broker.plane.stats()["reads_paused"]
                peers[number].send(produce({"t": [(0, batch(b"%d" % number * 100_000))]}))
                wait_until(lambda before=before: broker.plane.stats()["reads_paused"] > before)
        offsets = [read_produced(peer.receive(), 7)[1][0].base_offset for peer in peers]
    assert offsets == [1, 3, 0, 2]
    assert log.end_offset == 4
