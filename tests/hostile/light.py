"""Another client of a broker under attack: asks for little, again and again, until its input ends.

    python -m tests.hostile.light HOST PORT

Prints one line of JSON: milliseconds from a request's sending to its whole answer, of Produce and
Fetch requests ("records") and of Metadata requests, which another half of the broker answers. A
process of its own with requests made beforehand, so that what is timed is the broker and the system
and not this interpreter.
"""

import gc
import json
import select
import socket
import struct
import sys
import time

from tests.dataplane.wire import batch, fetch, produce

EVERY_S = 0.01
TOPIC = "light"


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


PRODUCE = framed(produce({TOPIC: [(0, batch(b"light"))]}, acks=-1))
METADATA = framed(struct.pack(">hhihih5sb", 3, 4, 1, -1, 1, len(TOPIC), TOPIC.encode(), 0))
# What follows the correlation id of the answers: one topic, its name, one partition, its number.
PRODUCED = struct.pack(">ih5siih", 1, len(TOPIC), TOPIC.encode(), 1, 0, 0)
FETCHED = struct.pack(">ihiih5siih", 0, 0, 0, 1, len(TOPIC), TOPIC.encode(), 1, 0, 0)
KNOWN = struct.pack(">ihh5s", 1, 0, len(TOPIC), TOPIC.encode())


class Light:
    """One connection, one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.found: dict[str, list[float]] = {"records": [], "metadata": []}

    def ask(self, kind: str, frame: bytes) -> bytes:
        """The answer behind its correlation id."""
        started = time.perf_counter()
        self.socket.sendall(frame)
        answer = bytearray()
        while len(answer) < 4 or len(answer) < 4 + struct.unpack_from(">i", answer)[0]:
            part = self.socket.recv(65536)
            if not part:
                raise SystemExit(f"closed instead of answering: {kind}")
            answer += part
        self.found[kind].append(1000 * (time.perf_counter() - started))
        return bytes(answer[8:])

    def round(self) -> None:
        """A record there and back, and where it is."""
        produced = self.ask("records", PRODUCE)
        assert produced.startswith(PRODUCED), produced
        assert KNOWN in self.ask("metadata", METADATA)
        offset = struct.unpack_from(">q", produced, len(PRODUCED))[0]
        fetched = self.ask("records", framed(fetch({TOPIC: [(0, offset)]})))
        assert fetched.startswith(FETCHED), fetched


def main(host: str, port: str) -> None:
    light = Light(host, int(port))
    gc.disable()
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        light.round()
    json.dump(light.found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
