"""What every client does to every broker: lists of steps, the same for all of them.

A scenario is a function of (topic, now): `topic` is a name that nobody uses yet, `now` the time in
milliseconds that timestamps count from.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.clients.drivers import Step

Scenario = Callable[[str, int], Iterator[Step]]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TOO_LONG = "n" * 250


def record(
    value: bytes | None, key: bytes | None = None, *, at: int | None = None, **more: Any
) -> Step:
    """One record to produce; `at` is its timestamp in milliseconds."""
    stamp = {} if at is None else {"timestamp": at}
    return {"key": key, "value": value, **stamp, **more}


def varied(now: int, count: int = 40) -> list[Step]:
    """Keys and values present, empty and null; headers; two partitions."""
    texts = random.Random(7)
    records = []
    for number in range(count):
        at = now + 10 * number
        partition = number % 2 if number < 6 else 0
        key = f"key-{number % 5}".encode()
        value = bytes(texts.choices(b"abcdefgh \xc3\xa9", k=number * 7))
        records.append(record(value, key, at=at, partition=partition))
    at = now + 10 * count
    duplicates = [["name", b"first"], ["name", b"second"], ["other", b""], ["nothing", None]]
    return [
        *records,
        record(b"no key", None, at=at),
        record(None, b"no value", at=at),
        record(b"", b"empty value", at=at),
        record(b"", None, at=at),
        record(b"headers", b"with", at=at, headers=duplicates),
        record(b"header, no key", None, at=at, headers=[["one", b"x"]]),
    ]


def look_over(topic: str, now: int, count: int) -> Iterator[Step]:
    """Everything a consumer can ask of partition 0 and 1."""
    for partition in (0, 1):
        yield {"op": "watermarks", "topic": topic, "partition": partition}
        yield {"op": "consume", "topic": topic, "partition": partition, "start": "beginning"}
    for start in (1, count // 2, "end"):
        yield {"op": "consume", "topic": topic, "start": start}
    inside = [now, now + 1, now + 95, now + 10 * (count // 2)]
    times = [now - 60_000, *inside, now + 10 * count, now + 10 * count + 1]
    yield {"op": "times", "topic": topic, "times": times}


def codec(name: str, *, idempotent: bool) -> Scenario:
    def steps(topic: str, now: int) -> Iterator[Step]:
        yield {"op": "create", "topic": topic, "partitions": 2}
        yield {"op": "partitions", "topic": topic}
        sent = {"op": "produce", "topic": topic, "codec": name, "idempotent": idempotent}
        yield {**sent, "records": varied(now)}
        yield from look_over(topic, now, 40)

    return steps


def acks(level: str) -> Scenario:
    def steps(topic: str, now: int) -> Iterator[Step]:
        yield {"op": "create", "topic": topic, "partitions": 1}
        records = [record(b"v%d" % number, at=now + number) for number in range(30)]
        yield {"op": "produce", "topic": topic, "acks": level, "records": records}
        yield {"op": "await_end", "topic": topic, "end": 30}
        yield {"op": "consume", "topic": topic, "start": 0}

    return steps


def segments(topic: str, now: int) -> Iterator[Step]:
    """Some twenty segments, read from inside, across and by time."""
    configs = {"segment.bytes": 16384, "segment.index.bytes": 1024, "index.interval.bytes": 512}
    yield {"op": "create", "topic": topic, "configs": configs}
    texts = random.Random(3)
    records = [
        record(texts.randbytes(500 + number % 300), b"k%d" % number, at=now + 10 * number)
        for number in range(500)
    ]
    sent = {"op": "produce", "topic": topic, "idempotent": True, "batch_size": 2000}
    yield {**sent, "records": records}
    yield {"op": "watermarks", "topic": topic}
    for start in ("beginning", 1, 99, 250, 333, 499, 500):
        yield {"op": "consume", "topic": topic, "start": start}
    times = [now - 1, *(now + 10 * number - number % 3 for number in range(0, 500, 23)), now + 4991]
    yield {"op": "times", "topic": topic, "times": times}
    yield {"op": "consume", "topic": topic, "start": 480, "fetch_bytes": 1100}


def times_out_of_order(topic: str, now: int) -> Iterator[Step]:
    """Timestamps that go back: the first record at or after a time counts, by offset."""
    yield {"op": "create", "topic": topic, "configs": {"segment.bytes": 16384}}
    order = random.Random(11)
    moments = [now + order.randrange(1000) for _ in range(120)]
    records = [record(order.randbytes(400), at=moment) for moment in moments]
    yield {"op": "produce", "topic": topic, "records": records, "batch_size": 1000}
    ahead = [*range(0, 1000, 67), 999, 1000]
    yield {"op": "times", "topic": topic, "times": [now + extra for extra in ahead]}


def large_messages(topic: str, now: int) -> Iterator[Step]:
    yield {"op": "create", "topic": topic}
    texts = random.Random(5)
    sizes = (1_000_000, 10, 900_000, 300_000)
    records = [record(texts.randbytes(size // 2).hex().encode(), at=now + size) for size in sizes]
    yield {"op": "produce", "topic": topic, "records": records}
    yield {"op": "consume", "topic": topic, "start": 0}
    yield {"op": "consume", "topic": topic, "start": 0, "fetch_bytes": 1000}
    yield {"op": "produce", "topic": topic, "records": [record(bytes(1_200_000), at=now)]}
    small = {"op": "produce", "topic": topic, "codec": "gzip"}
    yield {**small, "records": [record(bytes(1_200_000), b"compressed", at=now)]}
    yield {"op": "consume", "topic": topic, "start": 4}


def size_limits(topic: str, now: int) -> Iterator[Step]:
    configs = {"max.message.bytes": 1000, "segment.bytes": 2000}
    yield {"op": "create", "topic": topic, "configs": configs}
    for size in (900, 1000, 5):
        yield {"op": "produce", "topic": topic, "records": [record(bytes(size), at=now)]}
    yield {"op": "watermarks", "topic": topic}
    other = f"{topic}-segment"
    yield {"op": "create", "topic": other, "configs": {"segment.bytes": 1000}}
    for size in (2000, 10):
        yield {"op": "produce", "topic": other, "records": [record(bytes(size), at=now)]}
    yield {"op": "watermarks", "topic": other}


def append_time(topic: str, now: int) -> Iterator[Step]:
    configs = {"message.timestamp.type": "LogAppendTime"}
    yield {"op": "create", "topic": topic, "configs": configs}
    for name in CODECS:
        records = [record(b"stamped", name.encode(), at=now - 5_000_000 + n) for n in range(3)]
        yield {"op": "produce", "topic": topic, "codec": name, "records": records}
    yield {"op": "consume", "topic": topic, "start": 0}
    yield {"op": "times", "topic": topic, "times": [now - 6_000_000, now + 86_400_000]}


def timestamp_limits(topic: str, now: int) -> Iterator[Step]:
    limits = {"message.timestamp.after.max.ms": 5000, "message.timestamp.before.max.ms": 86_400_000}
    yield {"op": "create", "topic": topic, "configs": limits}
    for ahead in (10**9, -(10**9), 0):
        records = [record(b"when", at=now + ahead)]
        yield {"op": "produce", "topic": topic, "records": records, "codec": "lz4"}
    mixed = [record(b"good", at=now), record(b"bad", at=now + 10**9)]
    yield {"op": "produce", "topic": topic, "records": mixed, "idempotent": True}
    yield {"op": "watermarks", "topic": topic}


def many_partitions(topic: str, now: int) -> Iterator[Step]:
    """The Java consumer opens a fetch session over them; small answers take it many rounds."""
    places = random.Random(5)
    count = 900
    yield {"op": "create", "topic": topic, "partitions": 400}
    records = [record(b"%d" % n, at=now, partition=places.randrange(400)) for n in range(count)]
    yield {"op": "produce", "topic": topic, "records": records}
    yield {"op": "consume_all", "topic": topic, "count": count}
    yield {"op": "consume_all", "topic": topic, "count": count, "fetch_bytes": 700}


def bad_topics(topic: str, now: int) -> Iterator[Step]:
    """What CreateTopics and DeleteTopics refuse."""
    yield {"op": "create", "topic": topic, "partitions": 3}
    yield {"op": "create", "topic": topic, "partitions": 3}
    yield {"op": "create", "topic": f"{topic}.collides"}
    yield {"op": "create", "topic": f"{topic}_collides"}
    for name in ("no blanks", ".", "..", TOO_LONG, "a/b", "é"):
        yield {"op": "create", "topic": name}
    for count in (0, -2):
        yield {"op": "create", "topic": f"{topic}-count", "partitions": count}
    for replication in (2, 0, -2):
        yield {"op": "create", "topic": f"{topic}-replicas", "replication": replication}
    for configs in (
        {"no.such.setting": "1"},
        {"segment.bytes": "many"},
        {"segment.bytes": "13"},
        {"max.message.bytes": "-1"},
        {"message.timestamp.type": "Yesterday"},
        {"compression.type": "rar"},
        {"cleanup.policy": "burn"},
        {"min.insync.replicas": "0"},
    ):
        yield {"op": "create", "topic": f"{topic}-configs", "configs": configs}
        yield {"op": "partitions", "topic": f"{topic}-configs"}
    yield {"op": "delete", "topic": f"{topic}-none"}
    yield {"op": "delete", "topic": topic}
    yield {"op": "delete", "topic": topic}
    yield {"op": "partitions", "topic": topic}


def missing_topics(topic: str, now: int) -> Iterator[Step]:
    """Topics and partitions that are not there, for producers and consumers."""
    yield {"op": "partitions", "topic": topic}
    yield {"op": "watermarks", "topic": topic, "api_timeout_ms": 1000}
    for name in ("no blanks", TOO_LONG):
        yield {"op": "produce", "topic": name, "records": [record(b"x", at=now)]}
        yield {"op": "partitions", "topic": name}
    made = f"{topic}-made"
    yield {"op": "produce", "topic": made, "records": [record(b"makes the topic", at=now)]}
    yield {"op": "partitions", "topic": made}
    yield {"op": "consume", "topic": made, "start": "beginning"}
    bad = record(b"no such partition", at=now, partition=7)
    yield {"op": "produce", "topic": made, "records": [bad]}


def out_of_range(topic: str, now: int) -> Iterator[Step]:
    yield {"op": "create", "topic": topic}
    yield {"op": "consume", "topic": topic, "start": "beginning"}
    yield {"op": "consume", "topic": topic, "start": 1}
    yield {"op": "times", "topic": topic, "times": [0, now]}
    records = [record(b"x", at=now) for _ in range(5)]
    yield {"op": "produce", "topic": topic, "records": records}
    for start in (4, 5, 6, 1000):
        yield {"op": "consume", "topic": topic, "start": start}


def deleted_and_made_again(topic: str, now: int) -> Iterator[Step]:
    yield {"op": "create", "topic": topic}
    yield {"op": "produce", "topic": topic, "records": [record(b"old", at=now)] * 3}
    yield {"op": "delete", "topic": topic}
    yield {"op": "partitions", "topic": topic}
    yield {"op": "create_again", "topic": topic, "partitions": 2}
    yield {"op": "watermarks", "topic": topic}
    sent = {"op": "produce", "topic": topic, "idempotent": True}
    yield {**sent, "records": [record(b"new", at=now, partition=1)]}
    yield {"op": "consume", "topic": topic, "start": "beginning", "partition": 1}
    yield {"op": "delete", "topic": topic}
    yield {**sent, "records": [record(b"automatic", at=now)]}
    yield {"op": "consume", "topic": topic, "start": "beginning"}


SCENARIOS: dict[str, Scenario] = {
    **{f"codec_{name}": codec(name, idempotent=False) for name in CODECS},
    **{f"codec_{name}_idempotent": codec(name, idempotent=True) for name in CODECS},
    **{f"acks_{level}": acks(level) for level in ("0", "1", "all")},
    "segments": segments,
    "times_out_of_order": times_out_of_order,
    "large_messages": large_messages,
    "many_partitions": many_partitions,
    "size_limits": size_limits,
    "append_time": append_time,
    "timestamp_limits": timestamp_limits,
    "bad_topics": bad_topics,
    "missing_topics": missing_topics,
    "out_of_range": out_of_range,
    "deleted_and_made_again": deleted_and_made_again,
}
# kcat gives no timestamps to what it sends: what needs none is sent by kcat itself, the rest for it
KCAT_SENDS = (
    *(f"codec_{name}" for name in CODECS),
    "codec_zstd_idempotent",
    "acks_0",
    "acks_1",
    "large_messages",
    "size_limits",
    "missing_topics",
    "deleted_and_made_again",
)
KCAT_READS = ("segments", "times_out_of_order", "append_time", "out_of_range")
