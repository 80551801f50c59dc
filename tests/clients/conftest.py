"""The clients, each connected to Kafka 3.9 and to fastlog for the length of the session."""

from collections.abc import Callable, Iterator

import pytest

from tests.clients.drivers import Driver
from tests.peers.kafka import Broker


@pytest.fixture(scope="session")
def drivers(
    kafka_broker: Broker, shared_fastlog: Broker
) -> Iterator[Callable[[str], tuple[Driver, Driver]]]:
    """drivers("java39"): that client on Kafka, and on fastlog; started on first use."""
    # here, so that tests of the native modules alone are collected without confluent-kafka
    from tests.clients.catalogue import CLIENTS

    started: dict[str, tuple[Driver, Driver]] = {}

    def both(client: str) -> tuple[Driver, Driver]:
        if client not in started:
            make = CLIENTS[client]
            started[client] = (make(kafka_broker.address), make(shared_fastlog.address))
        return started[client]

    yield both
    for pair in started.values():
        for driver in pair:
            driver.close()
