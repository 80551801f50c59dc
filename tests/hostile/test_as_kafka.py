"""Each kind of hostile request, once on Kafka 3.9 and once here: the same end."""

import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from tests.broker.clients import Client
from tests.dataplane.wire import batch
from tests.hostile.attacks import ANSWERED, BIG_TOPIC, HALF, LAST, RESET, RESET_AMID, TOPIC, Attack
from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import Broker

SEED = 20261123
CLOSED = "closed"


def prepared(broker: Broker) -> Broker:
    """With the topics that the attacks name."""
    with Client(broker) as client:
        for topic in (TOPIC, BIG_TOPIC):
            assert client.create(topic) in (0, 36)
        deadline = time.monotonic() + 20
        while client.produce(BIG_TOPIC, batch(b"x" * 900_000))[0]:
            assert time.monotonic() < deadline
    return broker


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A fastlog that reads every record, as Kafka always does."""
    broker = FastlogBroker(tmp_path_factory.mktemp("hostile"), {"fastlog.profile": "hardened"})
    try:
        broker.start()
        yield prepared(broker)
        broker.stop()
    finally:
        broker.kill()


@pytest.fixture(scope="module")
def kafka(kafka_broker: Broker) -> Broker:
    return prepared(kafka_broker)


def outcome(broker: Broker, attack: Attack) -> int | str:
    """The error code of the answer, or that there was none."""
    with socket.create_connection((broker.host, broker.port), 30) as peer:
        try:
            peer.sendall(attack.make(random.Random(SEED)))
            if attack.end == HALF:
                with contextlib.suppress(OSError):  # it has been closed already
                    peer.shutdown(socket.SHUT_WR)
            size = peer.recv(4, socket.MSG_WAITALL)
            if len(size) < 4:
                return CLOSED
            body = peer.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL)
        except ConnectionError:
            return CLOSED
    return answered(attack, body)


def answered(attack: Attack, body: bytes) -> int:
    """The code at its place; -1 stands for the last topic of a Metadata answer, of one topic."""
    at = attack.at if attack.at >= 0 else body.rindex(b"\0\0\0\1") + 4
    return int(struct.unpack_from(">h", body, at)[0])


READABLE = [attack for attack in (*ANSWERED, *LAST) if attack.end not in (RESET, RESET_AMID)]


@pytest.mark.parametrize("attack", READABLE, ids=lambda attack: attack.name)
def test_the_end_is_what_the_list_says(careful: Broker, attack: Attack) -> None:
    expected = CLOSED if attack.error is None else attack.error
    assert outcome(careful, attack) == expected


@pytest.mark.parametrize(
    "attack", [a for a in READABLE if not a.ours], ids=lambda attack: attack.name
)
def test_kafka_does_the_same(kafka: Broker, attack: Attack) -> None:
    expected = CLOSED if attack.error is None else attack.error
    assert outcome(kafka, attack) == expected
