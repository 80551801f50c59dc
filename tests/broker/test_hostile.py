"""Peers that do everything wrong: the broker goes on, small, and gives back what they held."""

import os
import random
import resource
import socket
import struct
import time
from pathlib import Path

from fastlog.protocol import encode_request, headers, messages
from tests.broker.clients import NONE, Client
from tests.clients.batches import Batch, Record
from tests.clients.raw_client import build
from tests.peers.fastlog import FastlogBroker

RANDOM_SEED = 20261123


def frame(key: int, version: int, **fields) -> bytes:
    header = headers.RequestHeader(key, version, 1, "hostile")
    body = encode_request(header, build(messages.request_class(key), fields))
    return struct.pack(">i", len(body)) + body


def dial(broker: FastlogBroker) -> socket.socket:
    return socket.create_connection((broker.host, broker.port), 10)


def descriptors(broker: FastlogBroker) -> int:
    return len(os.listdir(f"/proc/{broker.process.pid}/fd"))


def rss_mib(broker: FastlogBroker) -> int:
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def settle(broker: FastlogBroker, wanted: int) -> None:
    """Waits until the broker has closed what its peers left."""
    broker.process.wait_until(lambda: descriptors(broker) <= wanted, 20, "rid of connections")


def test_garbage_and_lies(fastlog_broker: FastlogBroker):
    broker, chance = fastlog_broker, random.Random(RANDOM_SEED)
    with Client(broker) as good:
        assert good.create("t") == NONE
        before = descriptors(broker)
        for _ in range(300):
            with dial(broker) as peer:
                peer.sendall(chance.randbytes(chance.randrange(1, 300)))
        for key in (*range(-2, 100), 32767):
            for version in (-1, 0, 4, 12, 32767):
                body = struct.pack(">hhih", key, version, 5, -1) + chance.randbytes(20)
                with dial(broker) as peer:
                    peer.sendall(struct.pack(">i", len(body)) + body)
        produce = frame(
            0,
            8,
            acks=-1,
            timeout_ms=1000,
            topic_data=[{"name": "t", "partition_data": [{"index": 0, "records": b"x" * 500_000}]}],
        )
        for _ in range(100):
            with dial(broker) as peer:
                peer.sendall(produce[: chance.randrange(5, len(produce))])
        claims = [dial(broker) for _ in range(100)]
        for peer in claims:
            peer.sendall(struct.pack(">i", 100_000_000) + b"\0\0\0\x09" + b"x" * 1000)
        assert good.produce("t", Batch([Record(b"x")]).encode()) == (NONE, 0)
        assert rss_mib(broker) < 150, "memory is taken for what has come, not for what is claimed"
        for peer in claims:
            peer.close()
        settle(broker, before + 8)
        assert good.produce("t", Batch([Record(b"x")]).encode()) == (NONE, 1)
    broker.stop()
    assert "Traceback" not in broker.process.text()


def test_pipelines_that_nobody_reads(fastlog_broker: FastlogBroker):
    broker = fastlog_broker
    with Client(broker) as good:
        before = descriptors(broker)
        requests = frame(3, 4, topics=None) * 1000
        peers = [dial(broker) for _ in range(5)]
        for peer in peers:
            peer.setblocking(False)
            try:
                while True:
                    peer.send(requests)
            except BlockingIOError:
                pass
        assert good.topics() == {}
        assert rss_mib(broker) < 150
        for peer in peers:
            peer.close()
        settle(broker, before + 2)
        with dial(broker) as half:
            half.sendall(frame(3, 4, topics=None) * 200)
            half.shutdown(socket.SHUT_WR)
            answers = 0
            while head := half.recv(4, socket.MSG_WAITALL):
                half.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL)
                answers += 1
            assert answers == 200, "a half-closed connection has its answers"
    broker.stop()


def test_waiting_fetches_end_with_their_topic(fastlog_broker: FastlogBroker):
    broker = fastlog_broker
    with Client(broker) as good:
        assert good.create("quiet") == NONE
        topics = [{"topic": "quiet", "partitions": [{"fetch_offset": 0}]}]
        fetch = frame(1, 11, replica_id=-1, max_wait_ms=600_000, min_bytes=1, topics=topics)
        peers = [dial(broker) for _ in range(50)]
        for peer in peers:
            peer.sendall(fetch)
        broker.process.wait_until(lambda: descriptors(broker) > 60, 10, "connected")
        assert good.delete("quiet") == NONE
        for peer in peers:
            assert peer.recv(4, socket.MSG_WAITALL), "the answer does not wait ten minutes"
            peer.close()
    broker.stop()


def test_no_descriptors_left(fastlog_broker: FastlogBroker):
    """No busy loop, no flood of log lines, a topic's files still open; it recovers by itself."""
    broker = fastlog_broker
    with Client(broker) as good:
        assert good.create("t") == NONE
        assert set(good.topics()) == {"t"}
        limit = descriptors(broker) + 60
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        peers = [dial(broker) for _ in range(60)]
        broker.process.wait_until(
            lambda: "no descriptors" in broker.process.text(), 10, "aware of it"
        )
        before, started = cpu_seconds(broker), time.monotonic()
        for number in range(200):
            assert good.produce("t", Batch([Record(b"x")]).encode()) == (NONE, number)
        while time.monotonic() - started < 1:
            assert set(good.topics()) == {"t"}
            time.sleep(0.05)
        assert cpu_seconds(broker) - before < 0.7
        assert broker.process.text().count("no descriptors") < 4
        assert good.create("meanwhile", 2) == NONE
        for peer in peers:
            peer.close()
        with Client(broker) as later:
            assert later.create("later", 2) == NONE
    broker.stop()


def cpu_seconds(broker: FastlogBroker) -> float:
    fields = Path(f"/proc/{broker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_topic_of_many_partitions(fastlog_broker: FastlogBroker):
    broker = fastlog_broker
    with Client(broker, 60) as good:
        assert good.create("many", 500) == NONE
        assert good.produce("many", Batch([Record(b"x")]).encode(), 499) == (NONE, 0)
        assert good.create("absurd", 1_000_000_000) != NONE
        assert good.delete("many") == NONE
    broker.stop()
