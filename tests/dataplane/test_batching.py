"""What arrives together is written together and answered together, with the answers of one by one.

A request of the control plane holds its connection back until the test lets it go: by then all that
was sent behind it waits in the socket, and one turn finds it.
"""

import struct
import threading

import pytest

from .test_connection import correlation_of, echo, other
from .waiting import wait_until
from .wire import batch, fetch, offsets_of, produce, read_fetched, read_produced

CONTROL = 0x7FFF


class Gate:
    """A client behind whose first request everything waits."""

    def __init__(self, broker, control):
        self.opened = threading.Event()
        self.client = broker.client()
        control(self.answer)
        self.client.send(other(CONTROL))
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)

    def answer(self, request):
        self.opened.wait(20)
        return echo(request)

    def open(self, *frames):
        """Sends them, lets them in, and returns what answers them."""
        self.client.send(*frames)
        self.opened.set()
        assert correlation_of(self.client.receive()) == CONTROL
        return [self.client.receive() for _ in frames]


@pytest.fixture
def gate(broker, control):
    gate = Gate(broker, control)
    yield gate
    gate.opened.set()
    gate.client.socket.close()


def begun(broker, partitions=1, **settings):
    """Logs that have their segment's first batch, which is always written alone."""
    logs = broker.topic("t", partitions, **settings)
    for log in logs.values():
        log.append(batch(b"first"))
    return logs


def writes(logs):
    return sum(log.counters()["writes"] for log in logs.values())


@pytest.mark.parametrize("partitions", (1, 6))
def test_many_requests_few_system_calls(broker, gate, partitions):
    logs = begun(broker, partitions)
    before, calls = writes(logs), broker.plane.stats()
    data = batch(b"x" * 100)
    frames = [
        produce({"t": [(n, data) for n in range(partitions)]}, correlation=number)
        for number in range(250)
    ]
    for number, answer in enumerate(gate.open(*frames)):
        correlation, parts = read_produced(answer, 7)
        assert correlation == number
        assert [(p.error, p.base_offset) for p in parts] == [(0, 1 + number)] * partitions
    after = broker.plane.stats()
    # A write and a send for as many batches as one write takes, not for each request.
    rounds = 250 * partitions // 256 + 3
    assert writes(logs) - before <= rounds * partitions
    assert after["sends"] - calls["sends"] <= rounds + 1
    assert after["receives"] - calls["receives"] <= 250 * partitions * 300 // 65536 + 4


def test_answers_inside_a_run_are_those_of_one_by_one(broker, gate):
    """Duplicates, gaps and damage between good batches of two producers and of none."""
    (log,) = begun(broker).values()
    damaged = bytearray(batch(b"x"))
    damaged[-2] ^= 1

    def sent(sequence, producer=5, epoch=0):
        return batch(b"v", producer=(producer, epoch, sequence))

    cases = [
        (sent(0), (0, 1)),
        (batch(b"plain"), (0, 2)),
        (sent(0, producer=6), (0, 3)),
        (sent(1), (0, 4)),
        (bytes(damaged), (2, -1)),
        (sent(1), (0, 4)),
        (sent(0), (0, 1)),
        (sent(3), (45, -1)),
        (None, (87, -1)),
        (sent(2), (0, 5)),
        (sent(1, producer=6), (0, 6)),
        (sent(0, epoch=1), (0, 7)),
        (sent(3), (47, -1)),
        (sent(1, epoch=1), (0, 8)),
        (sent(2, epoch=1), (0, 9)),
    ]
    answers = gate.open(*(produce({"t": [(0, data)]}) for data, _ in cases))
    found = [read_produced(answer, 7)[1][0] for answer in answers]
    assert [(p.error, p.base_offset) for p in found] == [expected for _, expected in cases]
    assert log.end_offset == 10 and log.counters()["writes"] < 9


def test_a_partition_named_twice_in_a_request(broker, gate):
    """As in Kafka, only the last counts."""
    log = begun(broker)[0]
    (answer,) = gate.open(produce({"t": [(0, batch(b"a")), (0, batch(b"b")), (0, batch(b"last"))]}))
    assert [(p.error, p.base_offset) for p in read_produced(answer, 7)[1]] == [(0, 1)]
    assert log.end_offset == 2 and log.read(1, 1 << 20)[1].count(b"last") == 1


def test_a_fetch_sees_what_was_produced_before_it(broker, gate):
    begun(broker)
    frames = []
    for number in range(1, 60):
        frames.append(produce({"t": [(0, batch(b"x"))]}, correlation=number))
        frames.append(fetch({"t": [(0, number)]}, correlation=number, max_wait=60000))
    answers = gate.open(*frames)
    for number in range(1, 60):
        assert read_produced(answers[2 * number - 2], 7)[1][0].base_offset == number
        _, _, (part,) = read_fetched(answers[2 * number - 1], 11)
        assert offsets_of(part.records) == [number]


def test_a_control_request_sees_what_was_produced_before_it(broker, control):
    (log,) = begun(broker).values()
    seen = []

    def answer(request):
        seen.append(log.end_offset)
        return echo(request)

    control(answer)
    with broker.client() as client:
        frames = []
        for number in range(20):
            frames += [produce({"t": [(0, batch(b"x"))]})] * 3 + [other(number)]
        client.send(*frames)
        for _ in frames:
            client.receive()
    assert seen == [1 + 3 * number for number in range(1, 21)]


def test_what_came_before_a_malformed_frame_is_appended(broker, gate):
    (log,) = begun(broker).values()
    good = [produce({"t": [(0, batch(b"x"))]}, acks=acks) for acks in (1, 0, 1)]
    gate.client.send(*good, struct.pack(">hhih", 0, 7, 1, -7) + bytes(20))
    gate.opened.set()
    wait_until(lambda: broker.plane.stats()["malformed"] == 1)
    wait_until(lambda: log.end_offset == 4)
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    assert broker.plane.stats()["request_memory"] == 0


def test_an_unanswered_error_closes_after_what_came_before(broker, gate):
    """acks=0: the client can be told of an error in no other way."""
    (log,) = begun(broker).values()
    frames = [produce({"t": [(0, batch(b"x"))]}, acks=0) for _ in range(5)]
    frames.append(produce({"t": [(0, batch(b"x", producer=(1, 0, 5)))]}, acks=0))
    frames.append(produce({"t": [(0, batch(b"x", producer=(1, 0, 9)))]}, acks=0))
    gate.client.send(*frames)
    gate.opened.set()
    assert correlation_of(gate.client.receive()) == CONTROL
    gate.client.expect_close()
    assert log.end_offset == 7


def test_nothing_is_allocated_or_moved_in_a_steady_stream(broker):
    begun(broker, 3)
    data = batch(b"x" * 6000)
    request = produce({"t": [(number, data) for number in range(3)]})
    with broker.client() as client:

        def rounds(count):
            for _ in range(count):
                client.send(*[request] * 3)
                for _ in range(3):
                    client.receive()

        rounds(20)
        before = broker.plane.stats()
        rounds(200)
        after = broker.plane.stats()
    assert after["produce_requests"] - before["produce_requests"] == 600
    # A few when more are in flight at once than ever before; none for each request.
    assert after["allocations"] - before["allocations"] <= 12
    assert after["bytes_moved"] == before["bytes_moved"]


def test_many_connections_and_a_log_that_goes_away(broker):
    """Everything is answered, whatever was queued when its log was closed."""
    logs = begun(broker, 4)
    ending = threading.Event()
    errors, failures = set(), []

    def run(number):
        frames = [produce({"t": [((number + n) % 4, batch(b"x"))]}) for n in range(16)]
        try:
            with broker.client() as client:
                while not ending.is_set():
                    client.send(*frames)
                    for _ in frames:
                        errors.update(p.error for p in read_produced(client.receive(), 7)[1])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for number in range(4):
        wait_until(lambda: all(log.end_offset > 30 for log in logs.values()) or failures)
        logs[number].close()
        wait_until(lambda: 6 in errors or failures)
    ending.set()
    for thread in threads:
        thread.join()
    assert not failures and errors == {0, 6}
    for log in logs.values():
        assert log.counters()["records_in"] == log.end_offset
