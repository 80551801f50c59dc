"""Produce and Fetch over a socket, in every version."""

import random
import struct
import time

import pytest

from fastlog_ext.batch import checksum_matches

from .wire import READ_COMMITTED, batch, fetch, offsets_of, produce, read_fetched, read_produced

pytestmark = pytest.mark.native
PRODUCE_VERSIONS = range(3, 14)
FETCH_VERSIONS = range(4, 19)


def key(broker, name, version, by_id_from):
    return broker.ids[name] if version >= by_id_from else name


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_produce_answers_in_every_version(broker, version):
    log = broker.topic("t", 2)[1]
    topic = key(broker, "t", version, 13)
    with broker.client() as client:
        for number in range(3):
            data = batch(b"a", b"b")
            (part,) = client.produce({topic: [(1, data)]}, version=version)
            assert (part.topic, part.index, part.error, part.base_offset) == (
                topic,
                1,
                0,
                2 * number,
            )
            assert part.append_time == -1
            assert part.log_start == (0 if version >= 5 else None)
            assert part.record_errors == ([] if version >= 8 else None) and part.message is None
    assert log.end_offset == 6


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_fetch_returns_the_bytes_in_every_version(broker, version):
    log = broker.topic("t", 2)[1]
    log.append(batch(b"one", b"two"))
    log.append(batch(b"three"))
    topic = key(broker, "t", version, 13)
    with broker.client() as client:
        parts = client.fetch({topic: [(1, 0), (0, 0)]}, version=version)
        assert [(p.topic, p.index, p.error) for p in parts] == [(topic, 1, 0), (topic, 0, 0)]
        assert parts[0].records == log.read(0, 1 << 20)[1] and offsets_of(parts[0].records) == [
            0,
            2,
        ]
        assert (parts[0].high_watermark, parts[0].last_stable) == (3, 3)
        assert parts[0].log_start == (0 if version >= 5 else None)
        assert parts[0].aborted is None and parts[1].records == b""
        (part,) = client.fetch({topic: [(1, 2)]}, version=version, isolation=READ_COMMITTED)
        assert offsets_of(part.records) == [2] and part.aborted == []
        # From the middle of a batch: the batch that holds the offset.
        (part,) = client.fetch({topic: [(1, 1)]}, version=version)
        assert offsets_of(part.records) == [0, 2]


@pytest.mark.parametrize("version", (7, 9, 13))
def test_produce_errors_of_a_partition(broker, version):
    broker.topic("t", 6, missing=[1])
    topic = key(broker, "t", version, 13)
    unknown = b"?" * 16 if version >= 13 else "nowhere"
    damaged = bytearray(batch(b"x"))
    damaged[-2] ^= 1
    with broker.client() as client:
        parts = client.produce(
            {
                topic: [
                    (0, bytes(damaged)),
                    (1, batch(b"x")),
                    (6, batch(b"x")),
                    (-1, batch(b"x")),
                    (2, None),
                    (3, b""),
                    (4, struct.pack(">q", 4) + batch(b"x")[8:]),
                    (5, batch(b"good")),
                ],
                unknown: [(0, batch(b"x"))],
            },
            version=version,
        )
        assert [p.error for p in parts] == [2, 6, 3, 3, 87, 87, 87, 0, 100 if version >= 13 else 3]
        # Where the log starts is told once the log has looked at the batch.
        assert [p.log_start for p in parts] == [-1] * 6 + [0, 0, -1]
        assert [p.base_offset for p in parts] == [-1] * 7 + [0, -1]
        assert [
            p.error for p in client.produce({topic: [(0, batch(b"x"))]}, version=version, acks=2)
        ] == [21]


def test_the_request_is_refused_before_the_log_is_asked(broker):
    """Kafka's order: what is wrong with a batch itself, the acks, the leader, the log's checks."""
    broker.topic("t", 3, missing=[1, 2])
    with broker.client() as client:
        parts = client.produce({"t": [(1, b"few bytes"), (2, batch(b"x"))]}, acks=2)
        assert [p.error for p in parts] == [87, 21]
        # One that is not even a batch, or a transaction without its id, spoils the whole request.
        for bad, error in ((b"?" * 80, 2), (batch(b"x", attributes=0x10), 53)):
            parts = client.produce({"t": [(0, batch(b"x")), (1, bad)], "u": [(0, b"")]})
            assert [(p.error, p.log_start) for p in parts] == [(error, -1)] * 3
        transaction = {"t": [(1, batch(b"x", attributes=0x10)), (0, batch(b"x"))]}
        parts = client.produce(transaction, transactional_id="a")
        assert [(p.error, p.log_start) for p in parts] == [(48, -1), (0, 0)]


@pytest.mark.parametrize("version", (7, 8, 11, 13))
def test_all_refused_records_are_named(broker, version):
    broker.topic("t", 2, compacted=1)
    topic = key(broker, "t", version, 13)
    many = 20_000
    with broker.client() as client:
        one, other = client.produce(
            {topic: [(0, batch(b"x", b"y")), (1, batch(*[b""] * many))]}, version=version
        )
        assert (one.error, other.error) == (87, 87)
        if version < 8:
            return
        assert [index for index, _ in one.record_errors] == [0, 1]
        # The answer is bounded, whatever was sent.
        assert [index for index, _ in other.record_errors] == list(range(16384 - 2))
        assert {text for _, text in other.record_errors} == {other.message}


def test_an_append_time_that_a_client_claims_is_cleared(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        (part,) = client.produce({"t": [(0, batch(b"x", b"y", attributes=0x1F08, timestamp=50))]})
        assert (part.error, part.base_offset, part.append_time) == (0, 0, -1)
        (part,) = client.produce({"t": [(0, batch(b"x", attributes=8, timestamp=-1))]}, version=8)
        assert (part.error, [index for index, _ in part.record_errors]) == (32, [0])
        # What is no whole batch behind the first is not stored.
        (part,) = client.produce({"t": [(0, batch(b"z", timestamp=50) + batch(b"no")[:-1])]})
        assert (part.error, part.base_offset) == (0, 2)
    stored = log.read(0, 1 << 20)[1]
    assert stored[21:23] == b"\0\0" and offsets_of(stored) == [0, 2]
    assert checksum_matches(stored) and log.offset_of_max_timestamp()[:2] == (0, 50)


def test_topics_without_partitions_are_not_answered(broker):
    broker.topic("t")
    with broker.client() as client:
        for version in (3, 9):
            parts = client.produce({"e": [], "t": [(0, batch(b"x"))], "f": []}, version=version)
            assert [(p.topic, p.error) for p in parts] == [("t", 0)]
        for version in (4, 12):
            client.send(fetch({"e": [], "t": [(0, 0)], "f": []}, version=version))
            assert topics_fetched(client.receive(), version) == 1
            client.send(fetch({"e": []}, version=version))
            assert topics_fetched(client.receive(), version) == 0


def topics_fetched(data, version):
    """How many topics a Fetch answer names."""
    return data[15] - 1 if version >= 12 else struct.unpack_from(">i", data, 8)[0]


def test_fetch_errors_of_a_partition(broker):
    logs = broker.topic("t", 3, missing=[1])
    logs[0].append(batch(b"x"))
    logs[2].append(batch(b"x"))
    with broker.client() as client:
        parts = client.fetch({"t": [(0, 2), (2, -1), (1, 0), (3, 0)], "u": [(0, 0)]}, max_wait=5000)
        assert [p.error for p in parts] == [1, 1, 6, 3, 3]
        assert [p.high_watermark for p in parts] == [-1] * 5
        assert [p.aborted for p in parts] == [None, None, None, [], []]
        (part,) = client.fetch({b"?" * 16: [(0, 0)]}, version=13)
        assert part.error == 100
        (part,) = client.fetch({"t": [(0, 0)]}, leader_epoch=7)
        assert part.error == 75
        logs[0].become_leader(3)
        (part,) = client.fetch({"t": [(0, 0)]}, leader_epoch=0)
        assert part.error == 74
        (part,) = client.fetch({"t": [(0, 0)]}, replica=5)
        assert part.error == 6
        (part,) = client.fetch({broker.ids["t"]: [(0, 0)]}, replica=5, version=15)
        assert part.error == 6


def test_diverging_epoch(broker):
    log = broker.topic("t")[0]
    log.append(batch(b"a"))
    log.become_leader(4)
    log.append(batch(b"b"))
    with broker.client() as client:
        (part,) = client.fetch({"t": [(0, 2)]}, version=12, last_epoch=0, max_wait=5000)
        assert part.error == 0 and part.records == b""
        assert part.tags[0] == (0).to_bytes(4, "big") + (1).to_bytes(8, "big") + b"\0"
        (part,) = client.fetch({"t": [(0, 1)]}, version=12, last_epoch=0)
        assert offsets_of(part.records) == [1] and part.tags == {}


@pytest.mark.parametrize("version", (7, 12, 18))
def test_an_unknown_session_is_refused(broker, version):
    broker.topic("t")
    topic = key(broker, "t", version, 13)
    with broker.client() as client:
        client.send(fetch({topic: [(0, 0)]}, version=version, session=(9, 1), max_wait=9999))
        assert read_fetched(client.receive(), version) == (1, 70, [])


def test_the_first_batch_is_whole_and_then_the_limits_hold(broker):
    logs = broker.topic("t", 2)
    for log in logs.values():
        for _ in range(5):
            log.append(batch(b"x" * 1000))
    with broker.client() as client:
        parts = client.fetch({"t": [(0, 0), (1, 0)]}, max_bytes=10)
        assert [len(offsets_of(p.records)) for p in parts] == [1, 0]
        parts = client.fetch({"t": [(0, 0), (1, 0)]}, partition_max=10)
        assert [len(offsets_of(p.records)) for p in parts] == [1, 0]
        parts = client.fetch({"t": [(0, 0), (1, 0)]}, max_bytes=8000)
        assert sum(len(p.records) for p in parts) <= 8000
        assert len(offsets_of(parts[0].records)) == 5


@pytest.mark.parametrize("minimum", [0, 2000, 1 << 30])
def test_a_connection_remembers_where_its_reader_stopped(make_broker, minimum):
    """Ranges from the file and bytes in memory, cut inside batches: never a wrong place."""
    broker = make_broker(file_send_min=minimum)
    log = broker.topic("t", segment_bytes=200_000, index_interval_bytes=1)[0]
    sizes = random.Random(minimum)
    for _ in range(1500):
        log.append(batch(b"x" * int(sizes.paretovariate(1) * 20 % 9000), b"y"))
    position = 0
    with broker.client() as client:
        while position < log.end_offset:
            limit = sizes.choice((1, 700, 5000, 30_000))
            (part,) = client.fetch({"t": [(0, position)]}, partition_max=limit)
            assert part.records == log.read(position, limit)[1]
            position = offsets_of(part.records)[-1] + 2


def test_acks_0_has_no_answer_and_an_error_closes(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        client.send(
            produce({"t": [(0, batch(b"a"))]}, acks=0),
            produce({"t": [(0, batch(b"b"))]}, acks=1, correlation=2),
        )
        correlation, (part,) = read_produced(client.receive(), 7)
        assert (correlation, part.base_offset) == (2, 1)
        client.send(produce({"none": [(0, batch(b"a"))]}, acks=0))
        client.expect_close()
    assert log.end_offset == 2


def test_acks_all_is_answered_when_committed(broker):
    broker.topic("t", 3)
    with broker.client() as client:
        parts = client.produce({"t": [(n, batch(b"a")) for n in range(3)]}, acks=-1)
        assert [(p.error, p.base_offset) for p in parts] == [(0, 0)] * 3


def test_a_duplicate_gets_the_original_offset(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        for expected, sequence in ((0, 0), (1, 1), (0, 0), (1, 1), (2, 2)):
            (part,) = client.produce({"t": [(0, batch(b"v", producer=(5, 0, sequence)))]})
            assert (part.error, part.base_offset) == (0, expected)
        (part,) = client.produce({"t": [(0, batch(b"v", producer=(5, 0, 9)))]})
        assert part.error == 45
    assert log.end_offset == 3


def test_log_append_time_is_told(broker):
    broker.topic("t", timestamp_type=1)
    with broker.client() as client:
        before = int(time.time() * 1000)
        (part,) = client.produce({"t": [(0, batch(b"v", timestamp=5))]})
        assert before <= part.append_time <= int(time.time() * 1000)


def test_null_keys_of_a_compacted_topic_are_told_one_by_one(broker):
    broker.topic("t", compacted=1)
    with broker.client() as client:
        (part,) = client.produce({"t": [(0, batch(b"v"))]}, version=8)
        assert part.error == 87 and part.record_errors[0][0] == 0 and part.message


def test_a_message_too_large(broker):
    broker.topic("t", max_message_bytes=1000)
    with broker.client() as client:
        (part,) = client.produce({"t": [(0, batch(b"v" * 2000))]})
        assert part.error == 10


def test_parked_fetch_is_woken_by_an_append(broker):
    log = broker.topic("t", 4)[2]
    with broker.client() as client:
        client.send(fetch({"t": [(n, 0) for n in range(4)]}, max_wait=15000))
        deadline = time.monotonic() + 5
        while broker.plane.stats()["fetches_parked"] == 0:
            assert time.monotonic() < deadline
        started = time.monotonic()
        log.append(batch(b"news"))
        parts = read_fetched(client.receive(), 11)[2]
        assert time.monotonic() - started < 5
        assert [offsets_of(p.records) for p in parts] == [[], [], [0], []]


def test_parked_fetch_ends_by_its_time(broker):
    broker.topic("t")
    with broker.client() as client:
        started = time.monotonic()
        (part,) = client.fetch({"t": [(0, 0)]}, max_wait=300)
        assert part.records == b"" and 0.29 <= time.monotonic() - started < 5


def test_min_bytes_waits_for_enough(broker):
    log = broker.topic("t")[0]
    log.append(batch(b"x" * 500))
    with broker.client() as client:
        client.send(fetch({"t": [(0, 0)]}, max_wait=15000, min_bytes=1500))
        for _ in range(2):
            log.append(batch(b"x" * 500))
        (part,) = read_fetched(client.receive(), 11)[2]
        assert offsets_of(part.records) == [0, 1, 2]


def test_a_parked_fetch_learns_that_its_records_are_gone(broker):
    log = broker.topic("t")[0]
    for _ in range(3):
        log.append(batch(b"x" * 500))
    with broker.client() as client:
        client.send(fetch({"t": [(0, 1)]}, max_wait=15000, min_bytes=9000))
        while broker.plane.stats()["fetches_parked"] == 0:
            pass
        log.set_log_start_offset(3, with_active=True)
        (part,) = read_fetched(client.receive(), 11)[2]
        assert part.error == 1


def test_a_parked_fetch_learns_that_its_log_is_gone(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        client.send(fetch({"t": [(0, 0)]}, max_wait=15000))
        while broker.plane.stats()["fetches_parked"] == 0:
            pass
        broker.topics.remove("t")
        log.remove()
        (part,) = read_fetched(client.receive(), 11)[2]
        assert part.error in (3, 6)
    del broker.logs["t"]
