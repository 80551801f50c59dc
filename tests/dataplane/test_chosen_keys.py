"""Keys that a client chooses so that a table which hashes them in a known way becomes a list.

With such a table each of these requests keeps its reactor busy for minutes, in which nobody else is
served; the client's patience ends before.
"""

import struct

import pytest

from fastlog_ext.crc32c import checksum

from .wire import fetch, produce, read_fetched

pytestmark = pytest.mark.native
FNV_BASIS, FNV_PRIME = 2166136261, 16777619
GOLDEN = 0x9E3779B97F4A7C15
ZEROS = 19  # bits of a hash that are the same for all


def partitions_with_one_hash(topic, count):
    """Numbers whose 32-bit FNV-1a with the topic's name, folded by 15 bits, ends in zeros."""
    inverse = pow(FNV_PRIME, -1, 1 << 32)
    for number in range(count):
        wanted = number << ZEROS
        value = wanted ^ wanted >> 15 ^ wanted >> 30
        for byte in reversed(topic.encode()):
            value = value * inverse & 0xFFFFFFFF ^ byte
        yield struct.unpack(">i", struct.pack(">I", value ^ FNV_BASIS))[0]


def producers_with_one_hash(count):
    """Ids whose product with the golden ratio is small: its upper half is zero."""
    inverse = pow(GOLDEN, -1, 1 << 64)
    ids = (number * inverse % (1 << 64) for number in range(1, 4 * count))
    return [one for one in ids if one < 1 << 63][:count]


def short_batch(producer_id):
    """One record; a header and a checksum by the fast function, since there are many."""
    record = bytes([12, 0, 0, 0, 1, 0, 0])
    checked = struct.pack(">hiqqqhii", 0, 0, 1, 1, producer_id, 0, 0, 1) + record
    tail = struct.pack(">ibI", -1, 2, checksum(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def test_partitions_of_a_fetch_session(make_broker):
    broker = make_broker(reactors=1)
    broker.topic("t")
    names = [f"{number:02}" for number in range(12)]
    topics = {name: [(i, 0) for i in partitions_with_one_hash(name, 8000)] for name in names}
    with broker.client() as client, broker.client() as other:
        client.send(fetch(topics, version=11, session=(0, 0)))
        assert len(read_fetched(client.receive(), 11)[2]) == 96000
        assert other.fetch({"t": [(0, 0)]})[0].error == 0


def test_producers_of_a_partition(make_broker):
    broker = make_broker(reactors=1)
    log = broker.topic("t")[0]
    producers = producers_with_one_hash(100_000)
    frames = [produce({"t": [(0, short_batch(one))]}, acks=0) for one in producers]
    with broker.client() as client:
        client.send(*frames)
        assert client.fetch({"t": [(0, 0)]})[0].error == 0, "answered after all of them"
    assert log.end_offset == len(producers)
