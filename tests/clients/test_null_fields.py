"""Null where the protocol allows none, in every version of Produce and Fetch, ends as in Kafka."""

import struct
from collections.abc import Iterator

from tests.clients.raw_cases import FETCH, PRODUCE, VERSIONS
from tests.clients.raw_client import RawClient
from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import Broker

ID = bytes(range(16))


def count(number: int, flexible: bool) -> bytes:
    """Of an array; -1: it is null."""
    return bytes([number + 1]) if flexible else struct.pack(">i", number)


def text(value: str | None, flexible: bool) -> bytes:
    if value is None:
        return b"\0" if flexible else b"\xff\xff"
    size = bytes([len(value) + 1]) if flexible else struct.pack(">h", len(value))
    return size + value.encode()


def head(key: int, version: int, flexible: bool) -> bytes:
    return struct.pack(">hhih", key, version, 1, -1) + b"\0" * flexible


def produce(version: int, null: str) -> bytes:
    flexible = version >= 9
    tags = b"\0" * flexible
    out = head(PRODUCE, version, flexible) + text(None, flexible) + struct.pack(">hi", 1, 1000)
    if null == "topic_data":
        return out + count(-1, flexible) + tags
    out += count(1, flexible) + text(None if null == "name" else "none", flexible)
    if null == "partition_data":
        return out + count(-1, flexible) + tags + tags
    out += count(1, flexible) + struct.pack(">i", 0) + count(-1, flexible)  # records, which may be
    return out + tags * 3


def named(version: int, null: bool) -> bytes:
    """A topic of a Fetch; by its id it cannot be null."""
    return ID if version >= 13 else text(None if null else "none", version >= 12)


def forgotten(version: int, null: str, tags: bytes) -> bytes:
    flexible = version >= 12
    if null == "forgotten_topics_data":
        return count(-1, flexible)
    if null not in ("forgotten name", "forgotten partitions"):
        return count(0, flexible)
    out = count(1, flexible) + named(version, null == "forgotten name")
    return out + count(-1 if null == "forgotten partitions" else 0, flexible) + tags


def fetch(version: int, null: str) -> bytes:
    flexible = version >= 12
    tags = b"\0" * flexible
    out = head(FETCH, version, flexible)
    out += struct.pack(">i", -1) if version < 15 else b""
    out += struct.pack(">iiib", 0, 0, 1 << 20, 0)
    out += struct.pack(">ii", 0, -1) if version >= 7 else b""
    if null == "topics":
        out += count(-1, flexible)
    elif null in ("partitions", "name"):
        out += count(1, flexible) + named(version, null == "name")
        out += count(-1 if null == "partitions" else 0, flexible) + tags
    else:
        out += count(0, flexible)
    if version >= 7:
        out += forgotten(version, null, tags)
    if version >= 11:
        out += text(None if null == "rack_id" else "", flexible)
    return out + tags


def frames() -> Iterator[tuple[str, bytes]]:
    for version in VERSIONS[PRODUCE]:
        for null in ("nothing", "topic_data", "partition_data", "name"):
            yield f"Produce v{version}, {null} is null", produce(version, null)
    for version in VERSIONS[FETCH]:
        nulls = ["nothing", "topics", "partitions"]
        nulls += ["name"] if version < 13 else []
        if version >= 7:
            nulls += ["forgotten_topics_data", "forgotten partitions"]
            nulls += ["forgotten name"] if version < 13 else []
        for null in [*nulls, "rack_id"] if version >= 11 else nulls:
            yield f"Fetch v{version}, {null} is null", fetch(version, null)


def ends(broker: Broker) -> dict[str, str]:
    with RawClient((broker.host, broker.port)) as client:
        for _, frame in frames():
            client.send_raw(frame)
        return dict(zip((name for name, _ in frames()), client.answers, strict=True))


def test_null_ends_as_in_kafka(kafka_broker: Broker, shared_fastlog: FastlogBroker) -> None:
    expected, actual = ends(kafka_broker), ends(shared_fastlog)
    differing = {
        name: (expected[name], actual[name]) for name in expected if expected[name] != actual[name]
    }
    assert not differing
    answered = {name for name, end in expected.items() if end != "closed"}
    assert all(name in answered for name in expected if "nothing" in name)
    assert len(answered) < len(expected)
