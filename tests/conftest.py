"""Fixtures that start real brokers. Nothing here is started unless a test asks for it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import KafkaBroker, running_kafka, running_zookeeper
from tests.tools.native_marks import pytest_collection_modifyitems  # noqa: F401


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of the one ZooKeeper of this test session."""
    with running_zookeeper(tmp_path_factory.mktemp("zookeeper")) as address:
        yield address


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory, zookeeper: str) -> Iterator[KafkaBroker]:
    """The one Kafka 3.9 of this test session: the reference that fastlog is compared with."""
    folder = tmp_path_factory.mktemp("kafka")
    with running_kafka(folder, f"{zookeeper}/reference") as broker:
        yield broker


@pytest.fixture(scope="session")
def shared_fastlog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastlogBroker]:
    """One fastlog for tests that keep to topics of their own names and do not stop it."""
    broker = FastlogBroker(tmp_path_factory.mktemp("fastlog"))
    try:
        broker.start()
        yield broker
        broker.stop()
    finally:
        broker.kill()


@pytest.fixture
def start_fastlog(tmp_path: Path) -> Iterator[Callable[..., FastlogBroker]]:
    """Starts brokers of the test's own: start_fastlog({"num.partitions": 3}, name="second")."""
    with contextlib.ExitStack() as started:

        def start(
            settings: dict[str, object] | None = None,
            *,
            name: str = "broker",
            own_session: bool = True,
        ) -> FastlogBroker:
            broker = FastlogBroker(tmp_path / name, settings, own_session)
            started.callback(broker.kill)
            broker.start()
            return broker

        yield start


@pytest.fixture
def fastlog_broker(start_fastlog: Callable[..., FastlogBroker]) -> FastlogBroker:
    """A fastlog of the test's own with default settings: stop, kill and restart it at will."""
    return start_fastlog()
