"""What the suites work on: batches, logs in a temporary folder, a data plane with a client."""

import os
import shutil
import socket
import struct
import tempfile
from pathlib import Path

from fastlog_ext.batch import build
from fastlog_ext.partition_log import Log
from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics

START_MS = 1_700_000_000_000
BATCH_HEAD = 61


def batch(size: int, record: int = 100, number: int = 0) -> bytes:
    """A batch of about `size` bytes: records of `record` bytes with a key, `number` ms later."""
    count = max(1, (size - BATCH_HEAD) // (record + 18))
    value = bytes(index * 31 % 251 for index in range(record))
    time = START_MS + number
    return build([(time, b"key-%06d" % index, value) for index in range(count)])


class Scratch:
    """A folder that goes with `remove`."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fastlog-bench-"))
        self.logs: list[Log] = []

    def log(self, name: str = "topic", *, clean: bool = True, **settings: int) -> Log:
        """A log that takes appends."""
        log = Log.open(
            str(self.path / f"{name}-0"),
            topic=name,
            partition=0,
            topic_id=bytes(16),
            settings={"file_delete_delay_ms": 0, **settings},
            clean=clean,
        )
        log.become_leader(0)
        self.logs.append(log)
        return log

    def remove(self) -> None:
        """Closes what is open and removes the files."""
        for log in self.logs:
            if not log.closed:
                log.close()
        shutil.rmtree(self.path)


def _frame(key: int, version: int, body: bytes) -> bytes:
    content = struct.pack(">hhih5s", key, version, 1, 5, b"bench") + body
    return struct.pack(">i", len(content)) + content


def produce_frame(topic: str, records: bytes) -> bytes:
    """Produce v7, acks=1, one partition."""
    name = topic.encode()
    body = struct.pack(">hhiih", -1, 1, 30_000, 1, len(name)) + name
    return _frame(0, 7, body + struct.pack(">iii", 1, 0, len(records)) + records)


def fetch_frame(topic: str, offset: int, size: int) -> bytes:
    """Fetch v11 without a session, one partition, no waiting."""
    name = topic.encode()
    body = struct.pack(">iiiibii", -1, 0, 1, 1 << 26, 0, 0, -1)
    body += struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">iiiqqi", 1, 0, -1, offset, -1, size)
    return _frame(1, 11, body + struct.pack(">ih", 0, 0))


class Plane:
    """A data plane of one reactor with one topic, and a connection to it."""

    TOPIC = "bench"

    def __init__(self) -> None:
        self.scratch = Scratch()
        self.log = self.scratch.log(self.TOPIC)
        self.topics = Topics()
        self.topics.publish(self.TOPIC, os.urandom(16), {0: self.log}, 1)
        self.plane = DataPlane(self.topics, reactors=1, node_id=1)
        address = self.plane.listen("127.0.0.1", 0, "PLAINTEXT")
        self.plane.start()
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = bytearray(1 << 22)

    def call(self, frames: bytes, answers: int = 1) -> None:
        """Sends requests in one write and takes their answers."""
        self.socket.sendall(frames)
        have, view = 0, memoryview(self.input)
        while answers:
            have += self.socket.recv_into(view[have:])
            while answers and have >= 4:
                size = 4 + struct.unpack_from(">i", self.input)[0]
                if have < size:
                    break
                self.input[: have - size] = self.input[size:have]
                have -= size
                answers -= 1

    def close(self) -> None:
        """Joins the reactor, removes the files."""
        self.socket.close()
        self.plane.stop(0)
        self.topics.remove(self.TOPIC)
        self.scratch.remove()
