"""Small requests that would cost much: records that expand to gigabytes, counts without content.

What takes long to look at is looked at beside the reactor, and nothing else changes by that.
"""

import gzip
import struct
import zlib

import pytest

from fastlog_ext import batch as batches
from fastlog_ext import codecs
from fastlog_ext.partition_log import LongLookup

from .waiting import wait_until
from .wire import PRODUCE, batch, crc32c, fetch, produce, read_produced, uvarint, zigzag

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
        return b"".join([*parts, packer.compress(bytes(size % MIB + 1)), packer.flush()])
    return codecs.compress(codec, head + bytes(size + 1))


@pytest.mark.parametrize("codec", (GZIP, SNAPPY, LZ4, ZSTD))
def test_bombs_end_at_the_limit_of_the_request(make_broker, codec):
    """The limit is for all batches of a request, or many would multiply it."""
    broker = make_broker(walk_records=True, max_decoded_bytes=4 * MIB)
    logs = broker.topic("t", 6)
    bomb = compressed_batch(codec, zeros(codec, 16 * MIB))
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


def many_records(size):
    """An uncompressed batch of so many bytes, a few to a record."""
    return batch(*[b""] * (size // 8))


def beside(broker):
    return broker.plane.stats()["checks_beside"]


@pytest.mark.parametrize("codec", (GZIP, SNAPPY, LZ4, ZSTD))
def test_a_reactor_expands_little(make_broker, codec):
    broker = make_broker(walk_records=True)
    broker.topic("t")
    for size, looks in ((MIB // 8, 0), (MIB // 2, 1), (MIB // 8, 1)):
        with broker.client() as client:
            whole = compressed_batch(codec, zeros(codec, size))
            assert client.produce({"t": [(0, whole)]})[0].error == 0
        assert beside(broker) == looks
    assert broker.disk.threads == 1


def test_a_client_cannot_have_a_reactor_expand_much(broker):
    """By a claim that the broker gave the time, which makes it look whatever its settings."""
    broker.topic("t")
    claims = compressed_batch(ZSTD | 8, zeros(ZSTD, 200 * MIB))
    with broker.client() as client:
        assert client.produce({"t": [(0, claims)]})[0].error == 0
    assert beside(broker) == 1


def test_a_reactor_walks_some_open_records(make_broker):
    """A megabyte of the shortest ones, in all of a request, is some milliseconds."""
    broker = make_broker(walk_records=True)
    broker.topic("t", 8)
    part = many_records(MIB // 4)
    with broker.client() as client:
        for partitions, looks in ((2, 0), (8, 1)):
            request = {"t": [(number, part) for number in range(partitions)]}
            assert [p.error for p in client.produce(request)] == [0] * partitions
            assert beside(broker) == looks


def test_open_records_that_need_no_look_have_none(broker):
    broker.topic("t", 8)
    part = many_records(MIB // 2)
    with broker.client() as client:
        parts = client.produce({"t": [(number, part) for number in range(8)]})
    assert [p.error for p in parts] == [0] * 8
    assert beside(broker) == 0


def test_what_stands_behind_a_long_look_waits(make_broker):
    """Its appends come after, and a fetch sees them all."""
    broker = make_broker(walk_records=True, reactors=1)
    broker.topic("t")
    heavy = produce({"t": [(0, compressed_batch(GZIP, zeros(GZIP, 32 * MIB)))]})
    light = produce({"t": [(0, batch(b"light"))]})
    with broker.client() as client:
        client.send(heavy, light, heavy, light, fetch({"t": [(0, 4)]}))
        bases = [read_produced(client.receive(), 7)[1][0].base_offset for _ in range(4)]
        assert bases == [0, 1, 2, 3]
        assert client.receive(), "the fetch is answered too"
    assert beside(broker) == 2


def test_peers_that_leave_during_a_long_look(make_broker):
    broker = make_broker(walk_records=True)
    (log,) = broker.topic("t").values()
    heavy = produce({"t": [(0, compressed_batch(GZIP, zeros(GZIP, 64 * MIB)))]})
    for _ in range(30):
        with broker.client() as client:
            client.send(heavy)
    with broker.client() as client:
        client.send(heavy)
        assert client.receive()
    wait_until(lambda: broker.plane.stats()["connections"] == 0)
    wait_until(lambda: broker.plane.stats()["request_memory"] == 0)
    assert beside(broker) == 31
    assert log.end_offset >= 1


def test_a_stop_does_not_wait_for_looks_that_nobody_awaits(make_broker):
    """Each expands to hundreds of megabytes; all of them would take minutes."""
    broker = make_broker(walk_records=True)
    broker.topic("t")
    heavy = produce({"t": [(0, compressed_batch(GZIP, zeros(GZIP, 250 * MIB)))]})
    clients = [broker.client() for _ in range(100)]
    for client in clients:
        client.send(heavy)
    wait_until(lambda: beside(broker) == 100)
    assert broker.plane.stop(0)
    for client in clients:
        client.socket.close()


def test_without_a_thread_the_reactor_looks(make_broker):
    broker = make_broker(walk_records=True)
    broker.topic("t")
    broker.disk.close()
    with broker.client() as client:
        whole = compressed_batch(ZSTD, zeros(ZSTD, 8 * MIB))
        assert client.produce({"t": [(0, whole)]})[0].error == 0
    assert beside(broker) == 0
