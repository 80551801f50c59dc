"""The few requests that a comparison needs, in versions that every broker of it knows."""

import socket
import struct
import time

from tests.peers.wire import Connection

API_VERSIONS, LIST_OFFSETS, CREATE_TOPICS, DELETE_TOPICS = 18, 2, 19, 20
LED_DEADLINE_S = 120


class Refused(RuntimeError):
    """A broker answered with an error code, or closed the connection."""


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _call(address: tuple[str, int], key: int, version: int, body: bytes) -> bytes:
    with Connection(address, timeout_s=60) as connection:
        answer = connection.call(key, version, body)
    if answer is None:
        raise Refused(f"the broker at {address} closed the connection")
    return answer


def create_topic(address: tuple[str, int], name: str, partitions: int) -> None:
    """CreateTopics v2, then waits until the broker leads all of it."""
    body = struct.pack(">i", 1) + _text(name) + struct.pack(">ih", partitions, 1)
    body += struct.pack(">iiib", 0, 0, 60_000, 0)
    answer = _call(address, CREATE_TOPICS, 2, body)
    _check(struct.unpack_from(">h", answer, 4 + 4 + 2 + len(name))[0], f"create {name}")
    wait_until_led(address, name, partitions)


def delete_topic(address: tuple[str, int], name: str) -> None:
    """DeleteTopics v1; the files go after log.segment.delete.delay.ms."""
    body = struct.pack(">i", 1) + _text(name) + struct.pack(">i", 60_000)
    answer = _call(address, DELETE_TOPICS, 1, body)
    _check(struct.unpack_from(">h", answer, 4 + 4 + 2 + len(name))[0], f"delete {name}")


def _check(error: int, what: str) -> None:
    if error:
        raise Refused(f"{what}: error code {error}")


def wait_until_led(address: tuple[str, int], name: str, partitions: int) -> None:
    """Returns when `leads` does; the broker may still be starting."""
    end = time.monotonic() + LED_DEADLINE_S
    while not leads(address, name, partitions):
        if time.monotonic() > end:
            raise Refused(f"{name} has no leader after {LED_DEADLINE_S} s")
        time.sleep(0.005)


def leads(address: tuple[str, int], name: str, partitions: int) -> bool:
    """Whether every partition's log is open: ListOffsets v1 has an end offset for each."""
    body = struct.pack(">ii", -1, 1) + _text(name) + struct.pack(">i", partitions)
    body += b"".join(struct.pack(">iq", index, -1) for index in range(partitions))
    try:
        answer = _call(address, LIST_OFFSETS, 1, body)
    except (OSError, Refused):
        return False
    place = 4 + 2 + len(name) + 4
    entries = [struct.unpack_from(">ihqq", answer, place + 22 * i) for i in range(partitions)]
    return all(error == 0 for _, error, _, _ in entries)


def open_connections(address: tuple[str, int], count: int) -> list[socket.socket]:
    """Connections that have each had their ApiVersions v0 answered, and now do nothing."""
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, -1)
    opened = []
    for _ in range(count):  # one after the other: Kafka accepts 50 at a time, and SYNs are lost
        opened.append(socket.create_connection(address, 60))
        opened[-1].sendall(struct.pack(">i", len(request)) + request)
        if not opened[-1].recv(1 << 16):
            raise Refused(f"the broker closed one of {count} connections")
    return opened
