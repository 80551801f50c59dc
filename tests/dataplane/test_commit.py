"""acks=all while the high watermark is held back, as it is by replicas that lag."""

import threading
import time

from .waiting import wait_until
from .wire import batch, fetch, offsets_of, produce, read_fetched, read_produced


def parked(broker):
    return broker.plane.stats()["produces_parked"]


def held_topic(broker, partitions=1, **settings):
    logs = broker.topic("t", partitions, **settings)
    for log in logs.values():
        log.hold_high_watermark(True)
    return logs


def test_answered_when_the_high_watermark_passes(broker):
    logs = held_topic(broker, 3)
    with broker.client() as client:
        client.send(produce({"t": [(n, batch(b"a")) for n in range(3)]}, acks=-1, timeout=20000))
        wait_until(lambda: parked(broker) == 1)
        assert broker.plane.stats()["request_memory"] == 0
        for number in (2, 0, 1):
            client.socket.settimeout(0.05)
            try:
                raise AssertionError(f"answered too early: {client.receive()}")
            except TimeoutError:
                pass
            logs[number].hold_high_watermark(False)
        client.socket.settimeout(10)
        _, parts = read_produced(client.receive(), 7)
        assert [(p.topic, p.index, p.error, p.base_offset) for p in parts] == [
            ("t", n, 0, 0) for n in range(3)
        ]


def test_the_next_produce_is_appended_meanwhile(broker):
    (log,) = held_topic(broker).values()
    with broker.client() as client:
        client.send(*(produce({"t": [(0, batch(b"a"))]}, acks=-1, correlation=n) for n in range(9)))
        wait_until(lambda: parked(broker) == 9)
        assert log.end_offset == 9 and log.high_watermark == 0
        with broker.client() as another:
            assert another.fetch({"t": [(0, 0)]})[0].records == b""
        log.hold_high_watermark(False)
        for number in range(9):
            correlation, (part,) = read_produced(client.receive(), 7)
            assert (correlation, part.error, part.base_offset) == (number, 0, number)


def test_timed_out(broker):
    logs = held_topic(broker, 2)
    logs[1].hold_high_watermark(False)
    with broker.client() as client:
        started = time.monotonic()
        parts = client.produce({"t": [(0, batch(b"a")), (1, batch(b"a"))]}, acks=-1, timeout=200)
        assert 0.19 <= time.monotonic() - started < 5
        assert [p.error for p in parts] == [7, 0]
        (part,) = client.produce({"t": [(0, batch(b"a"))]}, acks=-1, timeout=0)
        assert part.error == 7
        logs[0].hold_high_watermark(False)
        assert client.produce({"t": [(0, batch(b"a"))]}, acks=-1)[0].base_offset == 2


def test_the_log_goes_away(broker):
    (log,) = held_topic(broker).values()
    with broker.client() as client:
        client.send(produce({"t": [(0, batch(b"a"))]}, acks=-1, timeout=20000))
        wait_until(lambda: parked(broker) == 1)
        broker.topics.remove("t")
        log.remove()
        assert read_produced(client.receive(), 7)[1][0].error in (6, 56)
    del broker.logs["t"]


def test_the_client_goes_away(broker):
    (log,) = held_topic(broker).values()
    for _ in range(5):
        with broker.client() as client:
            client.send(produce({"t": [(0, batch(b"a"))]}, acks=-1, timeout=20000))
            wait_until(lambda: log.end_offset > 0)
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    log.hold_high_watermark(False)


def test_stop_while_it_waits(broker):
    held_topic(broker)
    with broker.client() as client:
        client.send(produce({"t": [(0, batch(b"a"))]}, acks=-1, timeout=60000))
        wait_until(lambda: parked(broker) == 1)
        started = time.monotonic()
        assert broker.plane.stop(0.2)
        assert time.monotonic() - started < 2


def test_time_and_commit_race(broker):
    """Time-outs of a millisecond against a high watermark that keeps moving; a consumer follows."""
    logs = held_topic(broker, 3)
    ending = threading.Event()

    def move():
        while not ending.is_set():
            for log in logs.values():
                log.hold_high_watermark(False)
                log.hold_high_watermark(True)

    def follow():
        seen = 0
        with broker.client() as client:
            while not ending.is_set():
                client.send(fetch({"t": [(0, seen), (1, 1 << 40)]}, max_wait=3))
                client.send(
                    fetch({"t": [(0, seen), (1, 0), (2, 0)]}, max_wait=3, min_bytes=1 << 30)
                )
                found = offsets_of(read_fetched(client.receive(), 11)[2][0].records)
                assert found == list(range(seen, seen + len(found)))
                seen += len(found)
                client.receive()

    threads = [threading.Thread(target=move), threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    try:
        errors = set()
        with broker.client() as client:
            for _ in range(60):
                for _ in range(10):
                    client.send(
                        produce({"t": [(n, batch(b"a")) for n in range(3)]}, acks=-1, timeout=1)
                    )
                for _ in range(10):
                    errors |= {p.error for p in read_produced(client.receive(), 7)[1]}
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert errors <= {0, 7}
    assert logs[0].end_offset == 600
    for log in logs.values():
        log.hold_high_watermark(False)
