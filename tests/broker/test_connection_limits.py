"""Bounds on connections at their edges: a broker does here what Kafka 3.9 does."""

import contextlib
import itertools
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import Broker, running_kafka

API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
NUMBERS = itertools.count()


@pytest.fixture(params=["Kafka", "fastlog"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def running(kind: str, folder: Path, zookeeper: str, name: str, value: int) -> Iterator[Broker]:
    """A broker of this kind with that setting."""
    if kind == "Kafka":
        path = f"{zookeeper}/limits{next(NUMBERS)}"
        with running_kafka(folder, path, **{name: value}) as kafka:
            yield kafka
        return
    broker = FastlogBroker(folder, {name: value})
    try:
        broker.start()
        yield broker
        broker.stop()
    finally:
        broker.kill()


def dial(broker: Broker) -> socket.socket:
    peer = socket.create_connection((broker.host, broker.port), 30)
    peer.sendall(API_VERSIONS)
    return peer


def is_answered(peer: socket.socket, seconds: float) -> bool:
    peer.settimeout(seconds)
    try:
        return bool(peer.recv(4))
    except TimeoutError:
        return False


def test_a_rate_of_none_still_lets_some_in(kind: str, tmp_path: Path, zookeeper: str) -> None:
    """A delay is at most as long as the window over which Kafka measures the rate: a second."""
    with running(kind, tmp_path, zookeeper, "max.connection.creation.rate", 0) as broker:
        for _ in range(3):
            with dial(broker) as peer:
                assert is_answered(peer, 20)


def test_on_one_listener_who_comes_beyond_the_limit_waits(
    kind: str, tmp_path: Path, zookeeper: str
) -> None:
    """Nobody is closed for it. Kafka has a connection of its own, from its controller."""
    limit = 4 if kind == "Kafka" else 3
    with (
        running(kind, tmp_path, zookeeper, "max.connections", limit) as broker,
        contextlib.ExitStack() as opened,
    ):
        peers = [opened.enter_context(dial(broker)) for _ in range(5)]
        assert all(is_answered(peer, 20) for peer in peers[:3])
        assert not any(is_answered(peer, 1) for peer in peers[3:])
        peers[0].close()
        assert is_answered(peers[3], 20)
        assert not is_answered(peers[4], 1)
