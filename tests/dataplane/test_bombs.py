"""Small requests that would cost much: records that expand to gigabytes, counts without content."""

import gzip
import struct
import zlib

import pytest

from fastlog_ext import batch as batches
from fastlog_ext import codecs
from fastlog_ext.partition_log import LongLookup

from .waiting import wait_until
from .wire import PRODUCE, batch, crc32c, fetch, uvarint, zigzag

MESSAGE_TOO_LARGE = 10
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
MIB = 1 << 20


def compressed_batch(codec, body, count=1):
    """A sound header over whatever the compressed bytes are."""
    checked = struct.pack(">hiqqqhii", codec, count - 1, 0, 0, -1, -1, -1, count) + body
    tail = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def zeros(codec, size):
    """One record whose value is `size` zero bytes, compressed."""
    inside = b"\0\0\0" + zigzag(-1) + zigzag(size)
    head = zigzag(len(inside) + size + 1) + inside
    if codec == GZIP:
        packer = zlib.compressobj(9, wbits=31)
        parts = [packer.compress(head), *(packer.compress(bytes(MIB)) for _ in range(size // MIB))]
        return b"".join([*parts, packer.compress(b"\0"), packer.flush()])
    return codecs.compress(codec, head + bytes(size + 1))


@pytest.mark.parametrize("codec", (GZIP, LZ4, ZSTD))
def test_bombs_end_at_the_limit_of_the_request(make_broker, codec):
    """The limit is for all batches of a request, or many would multiply it."""
    broker = make_broker(walk_records=True, max_decoded_bytes=4 * MIB)
    logs = broker.topic("t", 6)
    bomb = compressed_batch(codec, zeros(codec, 64 * MIB))
    assert len(bomb) < MIB
    good = compressed_batch(codec, codecs.compress(codec, batch(b"x" * 100)[61:]))
    with broker.client() as client:
        parts = client.produce({"t": [(0, good), (1, bomb), (2, bomb), (3, good)]}, version=8)
        assert [p.error for p in parts] == [0] + [MESSAGE_TOO_LARGE] * 3, "nothing is left for 3"
        assert "expand" in parts[1].message
        assert client.produce({"t": [(4, good)]})[0].error == 0, "the next request has its own"
    assert [log.end_offset for log in logs.values()] == [1, 0, 0, 0, 1, 0]


def test_a_block_of_snappy_that_claims_more_than_it_can_hold(make_broker):
    broker = make_broker(walk_records=True)
    broker.topic("t")
    claims = compressed_batch(SNAPPY, uvarint((1 << 32) - 1) + bytes(1000))
    with broker.client() as client:
        assert client.produce({"t": [(0, claims)]})[0].error in (-1, MESSAGE_TOO_LARGE)


def test_unlooked_at_a_bomb_is_only_bytes(broker):
    """Without a look at the records nothing is decompressed, as the reader does that."""
    broker.topic("t")
    bomb = compressed_batch(GZIP, gzip.compress(bytes(MIB)))
    with broker.client() as client:
        assert client.produce({"t": [(0, bomb)]})[0].error == 0
        assert client.fetch({"t": [(0, 0)]})[0].records[61:] == bomb[61:]


def test_finding_a_time_expands_a_bomb_to_its_limit_only():
    bomb = compressed_batch(ZSTD, zeros(ZSTD, 300 * MIB))
    with pytest.raises(batches.CorruptBatch):
        batches.find_timestamp(bomb, 5)


def topics_without_content(kind, many):
    if kind == PRODUCE:
        head = struct.pack(">hhi", PRODUCE, 3, 1) + struct.pack(">h", -1) * 2
        return head + struct.pack(">hi", 1, 5000) + struct.pack(">i", many) + bytes(6 * many)
    return fetch({}, version=4)[:-4] + struct.pack(">i", many) + bytes(6 * many)


def tags_without_content(kind, count):
    """A flexible header with so many tagged fields, of no bytes each, then an empty request."""
    head = struct.pack(">hhih", kind, 12, 1, -1)
    fields = b"".join(uvarint(number) + b"\0" for number in range(count))
    empty = (
        b"\0" + struct.pack(">hi", 1, 5000) + b"\1\0"
        if kind == PRODUCE
        else struct.pack(">iiiibii", -1, 0, 0, 1000, 0, 0, -1) + b"\1\1\1\0"
    )
    return head + uvarint(count) + fields + empty


@pytest.mark.parametrize("kind", (0, 1))
def test_counts_of_topics_and_tags_are_bounded(broker, kind):
    for frame in (topics_without_content(kind, 300_000), tags_without_content(kind, 65)):
        with broker.client() as client:
            client.send(frame)
            client.expect_close()
        assert [event for event, _ in broker.plane.take_events()] == ["malformed"]
    with broker.client() as client:
        for frame in (topics_without_content(kind, 3000), tags_without_content(kind, 64)):
            client.send(frame)
            assert client.receive(), "that many are answered"
    wait_until(lambda: broker.plane.stats()["request_memory"] == 0)


def test_what_a_lookup_by_time_walks_is_bounded(make_broker):
    """In all of its batches together: their headers may claim times that no record has."""
    (log,) = make_broker().topic("t").values()
    claims = codecs.compress("zstd", zeros(0, 2 * MIB))
    for offset in range(100):
        lies = bytearray(compressed_batch(ZSTD, claims))
        lies[35:43] = (50 + offset).to_bytes(8, "big")  # the greatest timestamp
        lies[17:21] = struct.pack(">I", crc32c(bytes(lies[21:])))
        log.append(bytes(lies))
    assert log.offset_for_timestamp(0, walk_max=3 * MIB, quick=True)[:2] == (0, 0)
    assert log.offset_for_timestamp(200, walk_max=MIB, quick=True) is None, "nothing to walk"
    with pytest.raises(LongLookup):
        log.offset_for_timestamp(50, walk_max=9 * MIB, quick=True)
    assert log.offset_for_timestamp(50, walk_max=9 * MIB)[:2] == (4, 54)
    (uncompressed,) = make_broker().topic("u").values()
    uncompressed.append(batch(bytes(MIB // 2), timestamp=9))
    with pytest.raises(LongLookup):
        uncompressed.offset_for_timestamp(5, walk_max=MIB // 2, quick=True)
    assert uncompressed.offset_for_timestamp(5, walk_max=MIB, quick=True)[:2] == (0, 9)


def test_a_time_is_looked_up_in_a_bomb_once(make_broker):
    """It was decompressed up to the limit 64 times; its header says what can be said."""
    logs = make_broker().topic("t", 2)
    nonsense = b"this is no gzip at all"
    for log, body in zip(logs.values(), (nonsense, zeros(GZIP, 300 * MIB)), strict=True):
        log.append(batch(b"before", timestamp=-1))
        log.append(compressed_batch(GZIP, body))
        log.append(batch(b"behind", timestamp=9))
        assert [log.offset_for_timestamp(time)[:2] for time in (0, 1)] == [(1, 0), (2, 9)]
