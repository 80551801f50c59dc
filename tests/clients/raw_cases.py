"""Requests that no client library sends, or sends only by accident: what does a broker answer?

Each case speaks to one broker through a RawClient, which notes the answers down. The versions are
those that Kafka 3.9 and fastlog both serve.
"""

import struct
import time
from collections.abc import Callable
from typing import Any

from tests.clients.batches import (
    CONTROL_BIT,
    TIMESTAMP_TYPE_BIT,
    TRANSACTIONAL_BIT,
    Batch,
    Record,
)
from tests.clients.raw_client import RawClient

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
FIND_COORDINATOR, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 10, 18, 19, 20
INIT_PRODUCER_ID, DESCRIBE_CLUSTER = 22, 60
VERSIONS = {
    PRODUCE: range(3, 12),
    FETCH: range(4, 18),
    LIST_OFFSETS: range(0, 10),
    METADATA: range(0, 13),
    FIND_COORDINATOR: range(0, 7),
    API_VERSIONS: range(0, 4),
    CREATE_TOPICS: range(0, 8),
    DELETE_TOPICS: range(0, 7),
    INIT_PRODUCER_ID: range(0, 6),
    DESCRIBE_CLUSTER: range(0, 2),
}
COORDINATOR_LOADING = 14
UNKNOWN_ID = bytes(range(16))
QUIET = {"allow_auto_topic_creation": False}
THEN = 1_700_000_000_000

Case = Callable[[RawClient, int], None]


def made_topic(client: RawClient, name: str, partitions: int = 1, **configs: object) -> str:
    """Create a topic of this client's own and wait until the broker leads all of it."""
    topic = f"{client.topic}-{name}"
    wanted = [{"name": key.replace("_", "."), "value": str(v)} for key, v in configs.items()]
    body = {"name": topic, "num_partitions": partitions, "replication_factor": 1, "configs": wanted}
    answer = client.exchange(CREATE_TOPICS, 5, {"topics": [body], "timeout_ms": 10000})
    assert answer.topics[0].error_code == 0, answer.topics[0].error_message
    await_leaders(client, topic)
    await_metadata(client, topic)
    return topic


def await_leaders(client: RawClient, topic: str) -> None:
    """Kafka answers CreateTopics some time before it leads the partitions."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        parts = [{"partition_index": 0, "timestamp": -1}]
        body = {"replica_id": -1, "topics": [{"name": topic, "partitions": parts}]}
        if client.exchange(LIST_OFFSETS, 4, body).topics[0].partitions[0].error_code == 0:
            return
    raise AssertionError(f"{topic} has no leader")


def await_metadata(client: RawClient, topic: str) -> None:
    """Kafka learns of a topic's leader and tells its clients of it by separate ways."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = client.exchange(METADATA, 4, {"topics": [{"name": topic}], **QUIET})
        if answer.topics[0].error_code == 0:
            return
    raise AssertionError(f"Metadata does not show {topic}")


def topic_id(client: RawClient, topic: str) -> bytes:
    body = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    return client.exchange(METADATA, 12, body).topics[0].topic_id


def produce(client: RawClient, version: int, topic: str, records: bytes | None, **more: Any) -> Any:
    data = [{"index": more.pop("partition", 0), "records": records}]
    fields = {"acks": -1, "timeout_ms": 5000, **more}
    topics = [{"name": topic, "partition_data": data}]
    return client.ask(PRODUCE, version, topic_data=topics, **fields)


def filled(client: RawClient, name: str, batches: int = 4, **configs: object) -> str:
    """A topic with batches of three records, a second apart."""
    topic = made_topic(client, name, 2, **configs)
    for number in range(batches):
        records = [Record(b"value %d" % place, b"key", place * 100) for place in range(3)]
        batch = Batch(records, timestamp=THEN + number * 1000).encode()
        data = [{"name": topic, "partition_data": [{"index": 0, "records": batch}]}]
        body = {"acks": -1, "timeout_ms": 5000, "topic_data": data}
        answer = client.exchange(PRODUCE, 3, body).responses[0].partition_responses[0]
        assert (answer.error_code, answer.base_offset) == (0, number * 3)
    return topic


def produce_envelope(client: RawClient, version: int) -> None:
    """Good and bad addresses, acks and settings around a good batch."""
    topic = made_topic(client, "envelope", 2)
    good = Batch().encode()
    for acks in (-1, 1, 2, -2):
        produce(client, version, topic, good, acks=acks)
    produce(client, version, topic, good, partition=1, timeout_ms=0)
    for partition in (2, -1):
        produce(client, version, topic, good, partition=partition)
    for name in (f"{client.topic}-none", "no blanks", ""):
        produce(client, version, name, good)
    client.answers.append("no topics, no partitions")
    client.ask(PRODUCE, version, acks=-1, timeout_ms=1000, topic_data=[])
    empty = [{"name": topic, "partition_data": []}]
    client.ask(PRODUCE, version, acks=-1, timeout_ms=1000, topic_data=empty)
    client.answers.append("several partitions")
    several = [{"index": index, "records": good} for index in (1, 9, 0)]
    both = [
        {"name": topic, "partition_data": several},
        {"name": f"{client.topic}-none", "partition_data": several[:1]},
    ]
    client.ask(PRODUCE, version, acks=1, timeout_ms=1000, topic_data=both)


def produce_duplicates(client: RawClient, version: int) -> None:
    """A partition that is named more than once, at once and again: the last one counts."""
    topic = made_topic(client, "duplicates", 3)
    batches = [Batch([Record(b"%d" % number)] * number).encode() for number in range(1, 6)]
    bad = Batch(crc_change=1).encode()

    def send(name: str, *groups: list[tuple[int, bytes]]) -> None:
        client.answers.append(name)
        entries = [[{"index": index, "records": one} for index, one in some] for some in groups]
        topics = [{"name": topic, "partition_data": some} for some in entries]
        client.ask(PRODUCE, version, acks=-1, timeout_ms=5000, topic_data=topics)
        ends = [{"partition_index": index, "timestamp": -1} for index in range(3)]
        client.ask(LIST_OFFSETS, 2, replica_id=-1, topics=[{"name": topic, "partitions": ends}])

    send("twice", [(0, batches[0]), (0, batches[1])])
    send("among others", [(0, batches[1]), (1, batches[2]), (0, batches[3]), (2, batches[4])])
    send("topic twice", [(0, batches[0]), (1, batches[1])], [(1, batches[2]), (2, batches[3])])
    send("topic twice, the same", [(0, batches[0])], [(0, batches[4])])
    send("unknown", [(7, batches[0]), (7, batches[1])], [(7, batches[2])])
    send("good, then bad", [(0, batches[0]), (0, bad)])
    send("bad, then good", [(0, bad), (0, batches[0])])
    two = batches[0] + batches[1]
    send("good, then two batches", [(0, batches[0]), (0, two)])
    send("two batches, then good", [(0, two), (0, batches[0])])
    send("two, then good, then unframed", [(0, two), (0, batches[0]), (0, bad[:40])])
    send("many", [(number % 3, batches[number % 5]) for number in range(200)])


def produce_without_acks(client: RawClient, version: int) -> None:
    """acks=0: no answer, and an error closes the connection."""
    topic = made_topic(client, "silent")
    for name, records in ((topic, Batch()), (f"{topic}-none", Batch()), (topic, Batch(magic=1))):
        data = [{"name": name, "partition_data": [{"index": 0, "records": records.encode()}]}]
        client.send_without_answer(PRODUCE, version, acks=0, timeout_ms=1000, topic_data=data)
    parts = [{"partition_index": 0, "timestamp": -1}]
    client.ask(LIST_OFFSETS, 2, replica_id=-1, topics=[{"name": topic, "partitions": parts}])


GOOD = Batch().encode()
THREE = [Record(b"%d" % place) for place in range(3)]
GAP = [Record(), Record(offset_delta=2)]
# What stands in the records field; a look at the batch's header and its CRC tells what it is.
ODD_BATCHES = {
    "nothing": b"",
    "few bytes": GOOD[:10],
    "no records": GOOD[:60],
    "cut short": GOOD[:-1],
    "trailing byte": GOOD + b"\0",
    "two batches": GOOD + GOOD,
    "magic 0": Batch(magic=0).encode(),
    "magic 1": Batch(magic=1).encode(),
    "magic 3": Batch(magic=3).encode(),
    "wrong CRC": Batch(crc_change=1).encode(),
    "length too large": Batch(length_change=1).encode(),
    "length too small": Batch(length_change=-1).encode(),
    "length negative": Batch(length_change=-1000).encode(),
    "length huge": Batch(length_change=2_000_000_000).encode(),
    "count 0": Batch(count=0).encode(),
    "count -1": Batch(count=-1).encode(),
    "count too large": Batch(count=2).encode(),
    "count too small": Batch(THREE, count=2).encode(),
    "last delta too large": Batch(last_offset_delta=1).encode(),
    "last delta -1": Batch(last_offset_delta=-1).encode(),
    "base offset 5": Batch(base_offset=5).encode(),
    "base offset -5": Batch(base_offset=-5).encode(),
    "leader epoch 77": Batch(leader_epoch=77).encode(),
    "gap": Batch(GAP).encode(),
    "gap that the delta knows": Batch(GAP, last_offset_delta=2).encode(),
    "repeated delta": Batch([Record(), Record(offset_delta=0)]).encode(),
    "empty": Batch([]).encode(),
    "control": Batch(attributes=CONTROL_BIT).encode(),
    "append time": Batch(attributes=TIMESTAMP_TYPE_BIT).encode(),
    "append time, gzip": Batch(attributes=TIMESTAMP_TYPE_BIT | 1).encode(),
    "delete horizon": Batch(attributes=0x40).encode(),
    "unused bits": Batch(attributes=0x1F00).encode(),
    "codec 5": Batch(attributes=5).encode(),
    "codec 7": Batch(attributes=7).encode(),
    "gzip": Batch(THREE, attributes=1).encode(),
    "max timestamp too small": Batch(max_timestamp=1).encode(),
    "max timestamp -1": Batch(timestamp=-1, max_timestamp=-1).encode(),
    "timestamp negative": Batch(timestamp=-1000, max_timestamp=-1000).encode(),
    "timestamp far ahead": Batch(timestamp=4_000_000_000_000).encode(),
    "producer without sequence": Batch(producer_id=5, producer_epoch=0).encode(),
    "producer without epoch": Batch(producer_id=5, base_sequence=0).encode(),
    "epoch without producer": Batch(producer_epoch=3).encode(),
    "sequence without producer": Batch(base_sequence=3).encode(),
    "transactional without an id": Batch(
        attributes=TRANSACTIONAL_BIT, producer_id=5, producer_epoch=0, base_sequence=0
    ).encode(),
    "transactional without a producer": Batch(attributes=TRANSACTIONAL_BIT).encode(),
}
# The header is right: only who reads the records themselves can tell.
ODD_RECORDS = {
    "count and delta too small": Batch(THREE, count=2, last_offset_delta=1).encode(),
    "count and delta too large": Batch(count=5, last_offset_delta=4).encode(),
    "gzip, wrong count": Batch(THREE, attributes=1, count=2, last_offset_delta=1).encode(),
    "gzip, gap": Batch(GAP, attributes=1, last_offset_delta=1).encode(),
    "not gzip": Batch(attributes=1, body=b"this is no gzip at all").encode(),
    "not snappy": Batch(attributes=2, body=b"this is no snappy at all").encode(),
    "not lz4": Batch(attributes=3, body=b"this is no lz4 at all").encode(),
    "not zstd": Batch(attributes=4, body=b"this is no zstd at all").encode(),
    "no body": Batch(body=b"").encode(),
    "record longer than the batch": Batch(body=b"\x7e\0\0\0\0\0\0").encode(),
    "record shorter than it says": Batch(body=Record().encode(0) + b"more").encode(),
    "negative record length": Batch(body=b"\x01").encode(),
    "endless varint": Batch(body=b"\xff" * 12).encode(),
}


def produce_each(client: RawClient, version: int, batches: dict[str, bytes]) -> None:
    """Each to a partition of its own: what was taken shows in the end offset."""
    topic = made_topic(client, "batches", len(batches), segment_index_bytes=1024)
    for partition, (name, records) in enumerate(batches.items()):
        client.answers.append(name)
        produce(client, version, topic, records, partition=partition)
        parts = [{"partition_index": partition, "timestamp": -1}]
        client.ask(LIST_OFFSETS, 2, replica_id=-1, topics=[{"name": topic, "partitions": parts}])


def produce_odd_batches(client: RawClient, version: int) -> None:
    produce_each(client, version, ODD_BATCHES)


def produce_odd_records(client: RawClient, version: int) -> None:
    produce_each(client, version, ODD_RECORDS)


def produce_zstd(client: RawClient, version: int) -> None:
    """zstd is allowed from version 7."""
    topic = made_topic(client, "zstd")
    stored = bytes.fromhex("28b52ffd")  # a frame of one raw block, as RFC 8878 describes
    plain = Record().encode(0)
    frame = stored + b"\x20" + bytes([len(plain)])
    frame += struct.pack("<I", len(plain) << 3 | 1)[:3] + plain
    produce(client, version, topic, Batch(attributes=4, body=frame).encode())


def produce_sequences(client: RawClient, version: int) -> None:
    """Idempotent producers: gaps, repetitions, epochs, and unknown ids."""
    topic = made_topic(client, "sequences")

    def send(sequence: int, epoch: int = 0, producer: int = 4000, count: int = 1) -> None:
        records = [Record(b"%d" % sequence) for _ in range(count)]
        batch = Batch(records, producer_id=producer, producer_epoch=epoch, base_sequence=sequence)
        client.answers.append(f"producer {producer} epoch {epoch}: {count} from {sequence}")
        produce(client, version, topic, batch.encode())

    send(0, count=3)
    for sequence, count in ((0, 3), (0, 2), (1, 1), (5, 1), (3, 2), (5, 1), (6, 1), (7, 1), (8, 1)):
        send(sequence, count=count)
    for sequence, count in ((0, 3), (3, 2), (8, 1), (8, 2), (7, 1)):
        send(sequence, count=count)
    send(1, epoch=1)
    send(0, epoch=1)
    send(9, epoch=0)
    send(1, epoch=1)
    send(5, producer=5000)
    send(6, producer=5000)
    send(2**31 - 2, producer=6000, count=2)
    send(0, producer=6000)
    send(2**31 - 1, producer=7000, count=3)
    send(2, producer=7000)
    send(0, epoch=5, producer=8000)
    send(0, epoch=4, producer=8000)


def produce_limits(client: RawClient, version: int) -> None:
    """Sizes at max.message.bytes exactly and one beyond; timestamps at their limits."""
    topic = made_topic(client, "limits", max_message_bytes=200, segment_bytes=1000)
    for size in (100, 124, 125, 126, 127, 128, 129, 130, 131, 500):
        batch = Batch([Record(bytes(size))]).encode()
        client.answers.append(f"batch of {len(batch)} bytes")
        produce(client, version, topic, batch)
    client.answers.append("timestamps")
    strict = "message_timestamp_before_max_ms"
    topic = made_topic(client, "times", **{strict: 1000, "message_timestamp_after_max_ms": 1000})
    now = int(time.time() * 1000)
    two = [Record(b"a"), Record(b"b", timestamp_delta=-90_000), Record(b"c", timestamp_delta=9000)]
    wide = Batch(two, timestamp=now)
    for batch in (Batch(timestamp=now), Batch(timestamp=now - 60_000), Batch(timestamp=-1), wide):
        produce(client, version, topic, batch.encode())


def fetch(client: RawClient, version: int, topic: str, identity: bytes, **more: Any) -> Any:
    partition = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1_000_000}
    for name in (*partition, "current_leader_epoch", "last_fetched_epoch", "log_start_offset"):
        if name in more:
            partition[name] = more.pop(name)
    topics = [{"topic": topic, "topic_id": identity, "partitions": [partition]}]
    fields: dict[str, Any] = {"max_wait_ms": 50, "min_bytes": 1, "max_bytes": 10_000_000, **more}
    fields.setdefault("topics", topics)
    return client.ask(FETCH, version, **fields)


def fetch_positions(client: RawClient, version: int) -> None:
    topic = filled(client, "positions", segment_bytes=300)
    identity = topic_id(client, topic)
    for offset in (0, 1, 2, 3, 7, 11, 12, 13, 1000, -1, -2):
        client.answers.append(f"offset {offset}")
        fetch(client, version, topic, identity, fetch_offset=offset)
    for limit in (0, 1, 90, 200):
        client.answers.append(f"limit {limit}")
        fetch(client, version, topic, identity, partition_max_bytes=limit)
        fetch(client, version, topic, identity, max_bytes=limit)
    client.answers.append("at the end, isolation, rack")
    for waiting in ({"min_bytes": 0}, {"min_bytes": 2**31 - 1}, {"max_wait_ms": 0}):
        fetch(client, version, topic, identity, fetch_offset=12, **waiting)
    fetch(client, version, topic, identity, isolation_level=1)
    fetch(client, version, topic, identity, rack_id="somewhere")


def fetch_duplicates(client: RawClient, version: int) -> None:
    """A partition that is named more than once: it is answered once, as it was named last."""
    topic, other = filled(client, "duplicates"), filled(client, "others")
    known = {"topic": topic, "topic_id": topic_id(client, topic)}
    second = {"topic": other, "topic_id": topic_id(client, other)}
    unknown = {"topic": f"{topic}-none", "topic_id": UNKNOWN_ID}
    for one in (known, second):
        client.comparable(one["topic_id"], "topic_id")

    def ask(name: str, *groups: tuple[dict[str, Any], list[tuple[int, int]]], **more: Any) -> None:
        client.answers.append(name)
        whole = {"partition_max_bytes": more.pop("limit", 100_000)}
        topics = [
            {
                **group,
                "partitions": [{"partition": at, "fetch_offset": off, **whole} for at, off in some],
            }
            for group, some in groups
        ]
        fetch(client, version, topic, known["topic_id"], topics=topics, **more)

    ask("twice", (known, [(0, 0), (0, 6)]))
    ask("the last is wrong", (known, [(0, 0), (0, 1000)]))
    ask("the first is wrong", (known, [(0, 1000), (0, 0)]))
    ask("unknown", (known, [(7, 0), (7, 1), (-1, 0), (-1, 0)]), (unknown, [(0, 0), (0, 0)]))
    ask("topic twice", (known, [(0, 0)]), (second, [(0, 3)]), (known, [(0, 9), (1, 0)]))
    groups = (known, [(0, 9), (1, 0)]), (second, [(0, 3)]), (known, [(0, 3)])
    ask("the order stays", *groups, limit=1)
    ask("bounded", (known, [(0, 0)] * 3), (second, [(0, 0)] * 3), max_bytes=200)
    ask("many", (known, [(0, number % 13) for number in range(500)]), (second, [(0, 3)] * 500))
    ask("many unknown", (known, [(number % 50, 12) for number in range(500)]))
    ask("waiting", (known, [(0, 0), (0, 12), (1, 0), (1, 0)]))


def fetch_wrong(client: RawClient, version: int) -> None:
    """Unknown topics, partitions, epochs and sessions."""
    topic = filled(client, "wrong")
    identity = topic_id(client, topic)
    known = {"topic": topic, "topic_id": identity}
    whole = {"fetch_offset": 0, "partition_max_bytes": 100_000}
    for partition in (7, -1):
        client.answers.append(f"partition {partition}")
        fetch(client, version, topic, identity, partition=partition)
    client.answers.append("unknown topic")
    fetch(client, version, f"{topic}-none", UNKNOWN_ID)
    fetch(client, version, "", bytes(16))
    for epoch in (0, 1, 5):
        client.answers.append(f"leader epoch {epoch}")
        fetch(client, version, topic, identity, current_leader_epoch=epoch)
        if version >= 12:
            fetch(client, version, topic, identity, last_fetched_epoch=epoch, fetch_offset=3)
    client.answers.append("no topics, no partitions")
    fetch(client, version, topic, identity, topics=[])
    fetch(client, version, topic, identity, topics=[{**known, "partitions": []}])
    client.answers.append("several partitions")
    several = [{"partition": place, **whole} for place in (1, 0, 9)]
    other = {"topic": f"{topic}-none", "topic_id": UNKNOWN_ID, "partitions": several[:1]}
    topics = [{**known, "partitions": several}, other]
    fetch(client, version, topic, identity, topics=topics)
    for limit in (1, 250):
        client.answers.append(f"limit {limit} over two partitions")
        twice = [{**known, "partitions": several[:2]}]
        fetch(client, version, topic, identity, topics=twice, max_bytes=limit)
    for session, epoch in ((0, -1), (0, 0), (99, 5), (0, 5), (99, -1)):
        client.answers.append(f"session {session}, epoch {epoch}")
        fetch(client, version, topic, identity, session_id=session, session_epoch=epoch)


def list_offsets(client: RawClient, version: int) -> None:
    topic = filled(client, "offsets", segment_bytes=300)

    def ask(name: str, *, partition: int = 0, timestamp: int = -1, **more: Any) -> None:
        epoch = more.pop("current_leader_epoch", -1)
        parts = [{"partition_index": partition, "timestamp": timestamp, **_limit(version)}]
        parts[0]["current_leader_epoch"] = epoch
        fields = {"replica_id": -1, **more, "topics": [{"name": name, "partitions": parts}]}
        client.answers.append(f"partition {partition} timestamp {timestamp} epoch {epoch} {more}")
        client.ask(LIST_OFFSETS, version, **fields)

    moments = [THEN + 1000 * number + extra for number in range(4) for extra in (-1, 0, 150, 201)]
    for timestamp in (-1, -2, -3, -4, -5, -6, -7, 0, *moments, 2**62):
        ask(topic, timestamp=timestamp)
    for timestamp in (-1, -2, -3, 0):
        ask(topic, partition=1, timestamp=timestamp)
        ask(topic, timestamp=timestamp, **({"isolation_level": 1} if version >= 2 else {}))
    for partition in (2, -1):
        ask(topic, partition=partition)
    for name in (f"{topic}-none", "no blanks", ""):
        ask(name)
    for epoch in (0, 3):
        ask(topic, current_leader_epoch=epoch)
    parts = [{"partition_index": 0, "timestamp": -1, **_limit(version)}] * 2
    client.ask(LIST_OFFSETS, version, replica_id=-1, topics=[{"name": topic, "partitions": parts}])
    client.ask(LIST_OFFSETS, version, replica_id=-1, topics=[])


def _limit(version: int) -> dict[str, Any]:
    return {"max_num_offsets": 10} if version == 0 else {}


def metadata(client: RawClient, version: int) -> None:
    topic = made_topic(client, "known", 3)
    quiet = {"allow_auto_topic_creation": False} if version >= 4 else {}
    names = [[topic], [topic, topic], ["no blanks"], [""], ["x" * 250]]
    if quiet:
        names += [[f"{topic}-none"], [f"{topic}-none", topic]]
    for some in names:
        client.ask(METADATA, version, topics=[{"name": name} for name in some], **quiet)
    if version >= 1:
        client.ask(METADATA, version, topics=[], **quiet)
    if 8 <= version <= 10:
        every = {"include_cluster_authorized_operations": True}
        client.ask(METADATA, version, topics=[], **every, **quiet)
    if version >= 8:
        asked = {"include_topic_authorized_operations": True, **quiet}
        client.ask(METADATA, version, topics=[{"name": topic}], **asked)
    everything = client.exchange(METADATA, version, {"topics": None if version else [], **quiet})
    mine = [one for one in everything.topics if one.name.startswith(client.topic)]
    client.answers.append(client.comparable(mine))
    if version >= 12:
        identity = topic_id(client, topic)
        for asked_id in (identity, UNKNOWN_ID, bytes(16)):
            by_id = [{"name": None, "topic_id": asked_id}]
            client.ask(METADATA, version, topics=by_id, **quiet)
        client.ask(METADATA, version, topics=[{"name": topic, "topic_id": identity}], **quiet)


def metadata_makes_topics(client: RawClient, version: int) -> None:
    """Auto-creation: what the first answer says, and that the topic is there at last."""
    name = f"{client.topic}-automatic"
    client.ask(METADATA, version, topics=[{"name": name}])
    await_metadata(client, name)
    client.ask(METADATA, version, topics=[{"name": name}])


def create_topics(client: RawClient, version: int) -> None:
    def create(*topics: dict[str, Any], **more: Any) -> None:
        defaults = {"num_partitions": 1, "replication_factor": 1}
        wanted = [{**defaults, **one, "name": client.topic + one["name"]} for one in topics]
        fields = {"timeout_ms": 5000, **more}
        client.answers.append(f"{[one['name'] for one in topics]} {more}")
        client.ask(CREATE_TOPICS, version, topics=wanted, **fields)

    here, away = [client.node], [client.node + 7]
    create({"name": "-a"})
    create({"name": "-a"})
    create({"name": "-b"}, {"name": "-a"}, {"name": "-c", "num_partitions": 0})
    create({"name": "-d"}, {"name": "-d"})
    create({"name": "-defaults", "num_partitions": -1, "replication_factor": -1})
    create({"name": "-zero", "replication_factor": 0})
    create({"name": "-two", "replication_factor": 2})
    create({"name": "-late"}, timeout_ms=0)
    create({"name": "-config", "configs": [{"name": "segment.bytes", "value": None}]})
    create({"name": "-config", "configs": [{"name": "segment.bytes", "value": "20000"}] * 2})
    create({"name": "-config", "configs": [{"name": "", "value": "1"}]})
    assigned = {"num_partitions": -1, "replication_factor": -1}
    plans = {
        "good": [(0, here), (1, here)],
        "gap": [(0, here), (2, here)],
        "twice": [(0, here), (0, here)],
        "double": [(0, here * 2)],
        "uneven": [(0, here), (1, here + away)],
    }
    for name, plan in plans.items():
        parts = [{"partition_index": index, "broker_ids": ids} for index, ids in plan]
        create({"name": f"-{name}", "assignments": parts, **assigned})
    create({"name": "-both", "assignments": [{"partition_index": 0, "broker_ids": here}]})
    create()
    if version >= 1:
        create({"name": "-only"}, {"name": "-a"}, validate_only=True)
        create({"name": "-only", "num_partitions": 0}, validate_only=True)
    bad = [{"name": "no blanks", "num_partitions": 1, "replication_factor": 1}]
    client.ask(CREATE_TOPICS, version, topics=bad, timeout_ms=5000)
    client.ask(METADATA, 4, topics=[{"name": f"{client.topic}-only"}], **QUIET)


def delete_topics(client: RawClient, version: int) -> None:
    names = [made_topic(client, f"gone-{number}") for number in range(3)]

    def delete(*wanted: str) -> None:
        if version >= 6:
            topics = {"topics": [{"name": name} for name in wanted]}
        else:
            topics = {"topic_names": list(wanted)}
        client.ask(DELETE_TOPICS, version, timeout_ms=5000, **topics)

    delete(names[0])
    delete(names[0], "no blanks", "", names[1])
    delete()
    if version >= 6:
        identity = topic_id(client, names[2])
        for one in ({"name": names[2], "topic_id": identity}, {"name": None}):
            client.ask(DELETE_TOPICS, version, timeout_ms=5000, topics=[one])
        for some in (UNKNOWN_ID, identity):
            one = {"name": None, "topic_id": some}
            client.ask(DELETE_TOPICS, version, timeout_ms=5000, topics=[one])
    else:
        delete(names[2], names[2])
    client.ask(METADATA, 4, topics=[{"name": name} for name in names], **QUIET)


def init_producer_id(client: RawClient, version: int) -> None:
    def ask(**fields: Any) -> None:
        client.ask(INIT_PRODUCER_ID, version, transaction_timeout_ms=1000, **fields)

    deadline = time.monotonic() + 10
    first = {"transactional_id": None, "transaction_timeout_ms": 1000}
    while client.exchange(INIT_PRODUCER_ID, version, first).error_code == COORDINATOR_LOADING:
        assert time.monotonic() < deadline, "the broker hands out no producer ids"
    ask(transactional_id=None)
    ask(transactional_id="")
    if version >= 3:
        for producer, epoch in ((50, 3), (-1, 0), (5, -1)):
            ask(transactional_id=None, producer_id=producer, producer_epoch=epoch)


def describe_cluster(client: RawClient, version: int) -> None:
    client.ask(DESCRIBE_CLUSTER, version)
    client.ask(DESCRIBE_CLUSTER, version, include_cluster_authorized_operations=True)
    if version >= 1:
        for endpoint in (2, 3):
            client.ask(DESCRIBE_CLUSTER, version, endpoint_type=endpoint)


def api_versions(client: RawClient, version: int) -> None:
    names = [("good", "1.0"), ("", ""), ("no blanks", "1"), ("a", "-1"), ("é", "1")]
    for name, release in names if version >= 3 else names[:1]:
        fields = {"client_software_name": name, "client_software_version": release}
        client.ask(API_VERSIONS, version, **(fields if version >= 3 else {}))


def find_coordinator(client: RawClient, version: int) -> None:
    """Only what needs no group and no transaction: keys and types that are none."""
    for kind in (9, -1) if version else ():
        key = {"coordinator_keys": ["a"]} if version >= 4 else {"key": "a"}
        client.ask(FIND_COORDINATOR, version, key_type=kind, **key)
    if version >= 4:
        client.ask(FIND_COORDINATOR, version, key_type=0, coordinator_keys=[])


CASES: dict[int, list[Case]] = {
    PRODUCE: [
        produce_envelope,
        produce_duplicates,
        produce_without_acks,
        produce_odd_batches,
        produce_odd_records,
        produce_zstd,
        produce_sequences,
        produce_limits,
    ],
    FETCH: [fetch_positions, fetch_duplicates, fetch_wrong],
    LIST_OFFSETS: [list_offsets],
    METADATA: [metadata, metadata_makes_topics],
    CREATE_TOPICS: [create_topics],
    DELETE_TOPICS: [delete_topics],
    FIND_COORDINATOR: [find_coordinator],
    INIT_PRODUCER_ID: [init_producer_id],
    DESCRIBE_CLUSTER: [describe_cluster],
    API_VERSIONS: [api_versions],
}
