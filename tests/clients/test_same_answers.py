"""Every client sees the same from fastlog as from Apache Kafka 3.9."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.drivers import Driver
from tests.clients.scenarios import KCAT_READS, KCAT_SENDS, SCENARIOS, Scenario
from tests.clients.transcript import differences, run
from tests.peers.fastlog import FastlogBroker

Drivers = Callable[[str], tuple[Driver, Driver]]


def compare(pair: tuple[Driver, Driver], scenario: Scenario, *, drop_timestamps: bool) -> None:
    """Run on both at once: most of a scenario is waiting."""
    with ThreadPoolExecutor(2) as pool:
        reference, subject = pool.map(
            lambda driver: run(scenario, driver, drop_timestamps=drop_timestamps), pair
        )
    found = differences(reference, subject)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", ["confluent", "java39", "java4"])
def test_client_library(
    drivers: Drivers, shared_fastlog: FastlogBroker, client: str, scenario: str
) -> None:
    compare(drivers(client), SCENARIOS[scenario], drop_timestamps=False)
    shared_fastlog.check_alive()


@pytest.mark.parametrize("scenario", KCAT_SENDS)
def test_kcat_sends(drivers: Drivers, shared_fastlog: FastlogBroker, scenario: str) -> None:
    compare(drivers("kcat"), SCENARIOS[scenario], drop_timestamps=True)
    shared_fastlog.check_alive()


@pytest.mark.parametrize("scenario", KCAT_READS)
def test_kcat_reads(drivers: Drivers, shared_fastlog: FastlogBroker, scenario: str) -> None:
    compare(drivers("kcat"), SCENARIOS[scenario], drop_timestamps=False)
    shared_fastlog.check_alive()
