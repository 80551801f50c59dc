"""Produce and Fetch by struct, for every version, independent of the product's own codec."""

import socket
import struct
import time
from dataclasses import dataclass, field

import pytest

from fastlog_ext.crc32c import checksum as fast_crc32c

PRODUCE, FETCH, METADATA = 0, 1, 3
READ_COMMITTED = 1


def crc32c_table():
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


_TABLE = crc32c_table()


def crc32c(data):
    if len(data) > 4096:
        return fast_crc32c(data)  # proved elsewhere against this one
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def zigzag(value):
    return uvarint((value << 1) ^ (value >> 63))


def uvarint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def batch(*values, attributes=0, producer=(-1, -1, -1), timestamp=None):
    """One uncompressed record batch of null-keyed values."""
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    records = b""
    for number, value in enumerate(values):
        body = (
            b"\0" + zigzag(0) + zigzag(number) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
        )
        records += zigzag(len(body)) + body
    checked = (
        struct.pack(
            ">hiqqqhii", attributes, len(values) - 1, timestamp, timestamp, *producer, len(values)
        )
        + records
    )
    tail = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def _text(value, flexible):
    data = None if value is None else value.encode()
    if flexible:
        return uvarint(0) if data is None else uvarint(len(data) + 1) + data
    return struct.pack(">h", -1) if data is None else struct.pack(">h", len(data)) + data


def _count(number, flexible):
    return uvarint(number + 1) if flexible else struct.pack(">i", number)


def _head(key, version, correlation, flexible):
    return struct.pack(">hhi", key, version, correlation) + _text("test", False) + b"\0" * flexible


def produce(topics, *, version=7, acks=1, timeout=5000, correlation=1, transactional_id=None):
    """topics: {name or 16-byte id: [(partition, records or None)]}."""
    flexible = version >= 9
    tags = b"\0" * flexible
    out = bytearray(_head(PRODUCE, version, correlation, flexible))
    out += _text(transactional_id, flexible)
    out += struct.pack(">hi", acks, timeout) + _count(len(topics), flexible)
    for topic, partitions in topics.items():
        out += topic if version >= 13 else _text(topic, flexible)
        out += _count(len(partitions), flexible)
        for index, records in partitions:
            out += struct.pack(">i", index)
            out += _count(-1 if records is None else len(records), flexible)
            out += (records or b"") + tags
        out += tags
    return bytes(out + tags)


def fetch(
    topics,
    *,
    version=11,
    max_wait=0,
    min_bytes=1,
    max_bytes=1 << 26,
    isolation=0,
    session=(0, -1),
    correlation=1,
    replica=-1,
    leader_epoch=-1,
    last_epoch=-1,
    partition_max=1 << 20,
    forgotten=(),
):
    """topics: {name or 16-byte id: [(partition, offset)]}; forgotten: {name or id: [partition]}."""
    flexible = version >= 12
    tags = b"\0" * flexible
    out = bytearray(_head(FETCH, version, correlation, flexible))
    if version < 15:
        out += struct.pack(">i", replica)
    out += struct.pack(">iiib", max_wait, min_bytes, max_bytes, isolation)
    if version >= 7:
        out += struct.pack(">ii", *session)
    out += _count(len(topics), flexible)
    for topic, partitions in topics.items():
        out += topic if version >= 13 else _text(topic, flexible)
        out += _count(len(partitions), flexible)
        for index, offset in partitions:
            out += struct.pack(">i", index)
            out += struct.pack(">i", leader_epoch) if version >= 9 else b""
            out += struct.pack(">q", offset)
            out += struct.pack(">i", last_epoch) if version >= 12 else b""
            out += struct.pack(">q", -1) if version >= 5 else b""
            out += struct.pack(">i", partition_max) + tags
        out += tags
    if version >= 7:
        out += _count(len(forgotten), flexible)
        for topic in forgotten:
            out += topic if version >= 13 else _text(topic, flexible)
            out += _count(len(forgotten[topic]), flexible)
            out += struct.pack(f">{len(forgotten[topic])}i", *forgotten[topic]) + tags
    if version >= 11:
        out += _text("", flexible)
    if version >= 15 and replica >= 0:
        return bytes(out + b"\x01\x01\x0d" + struct.pack(">iq", replica, -1) + b"\0")
    return bytes(out + tags)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        assert 0 <= size <= len(self.data) - self.at, "the response ends early"
        self.at += size
        return self.data[self.at - size : self.at]

    def get(self, form):
        values = struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))
        return values[0] if len(values) == 1 else values

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.get("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def count(self, flexible):
        return self.uvarint() - 1 if flexible else self.get("i")

    def text(self, flexible):
        size = self.uvarint() - 1 if flexible else self.get("h")
        return None if size < 0 else self.take(size).decode()

    def tags(self, flexible):
        found = {}
        for _ in range(self.uvarint() if flexible else 0):
            tag = self.uvarint()
            found[tag] = self.take(self.uvarint())
        return found

    def end(self):
        assert self.at == len(self.data), "bytes after the response"


@dataclass
class Produced:
    topic: object
    index: int
    error: int
    base_offset: int
    append_time: int
    log_start: int = None
    record_errors: list = None
    message: str = None


@dataclass
class Fetched:
    topic: object
    index: int
    error: int
    high_watermark: int
    last_stable: int
    log_start: int
    aborted: object
    records: bytes
    tags: dict = field(default_factory=dict)


def read_produced(data, version):
    """(correlation, [Produced])."""
    flexible = version >= 9
    r = Reader(data)
    correlation = r.get("i")
    r.tags(flexible)
    found = []
    for _ in range(r.count(flexible)):
        topic = r.take(16) if version >= 13 else r.text(flexible)
        for _ in range(r.count(flexible)):
            part = Produced(topic, *r.get("ihqq"))
            if version >= 5:
                part.log_start = r.get("q")
            if version >= 8:
                part.record_errors = []
                for _ in range(r.count(flexible)):
                    part.record_errors.append((r.get("i"), r.text(flexible)))
                    r.tags(flexible)
                part.message = r.text(flexible)
            r.tags(flexible)
            found.append(part)
        r.tags(flexible)
    assert r.get("i") == 0
    r.tags(flexible)
    r.end()
    return correlation, found


def read_fetched(data, version):
    """(correlation, top-level error, [Fetched])."""
    flexible = version >= 12
    r = Reader(data)
    correlation = r.get("i")
    r.tags(flexible)
    assert r.get("i") == 0
    error, _ = r.get("hi") if version >= 7 else (0, 0)
    found = []
    for _ in range(r.count(flexible)):
        topic = r.take(16) if version >= 13 else r.text(flexible)
        for _ in range(r.count(flexible)):
            index, part_error, high, stable = r.get("ihqq")
            start = r.get("q") if version >= 5 else None
            number = r.count(flexible)
            aborted = None if number < 0 else [r.get("qq") for _ in range(number)]
            if version >= 11:
                assert r.get("i") == -1
            records = r.take(r.count(flexible))
            tags = r.tags(flexible)
            found.append(
                Fetched(topic, index, part_error, high, stable, start, aborted, records, tags)
            )
        r.tags(flexible)
    r.tags(flexible)
    r.end()
    return correlation, error, found


def read_session(data, version):
    """The session's id in a Fetch answer."""
    return struct.unpack_from(">i", data, 4 + (version >= 12) + 6)[0]


def offsets_of(records):
    """Base offsets of the whole batches in a records field."""
    found = []
    while len(records) >= 12:
        base, size = struct.unpack_from(">qi", records)
        if len(records) < 12 + size:
            break
        found.append(base)
        records = records[12 + size :]
    return found


class Client:
    """A blocking connection that speaks frames."""

    def __init__(self, address, timeout=20, receive_buffer=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(struct.pack(">i", len(f)) + f for f in frames))

    def exactly(self, size):
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise ConnectionError("closed by the broker")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def produce(self, topics, *, version=7, **settings):
        self.send(produce(topics, version=version, **settings))
        return read_produced(self.receive(), version)[1]

    def fetch(self, topics, *, version=11, **settings):
        self.send(fetch(topics, version=version, **settings))
        return read_fetched(self.receive(), version)[2]

    def expect_close(self):
        with pytest.raises((ConnectionError, BrokenPipeError)):
            self.receive()
