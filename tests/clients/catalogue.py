"""The clients by name."""

from collections.abc import Callable

from tests.clients.confluent_driver import ConfluentDriver
from tests.clients.drivers import Driver
from tests.clients.java_driver import JavaDriver
from tests.clients.kcat_driver import KcatDriver

CLIENTS: dict[str, Callable[[str], Driver]] = {
    "confluent": ConfluentDriver,
    "java39": lambda address: JavaDriver(address, "3.9"),
    "java4": lambda address: JavaDriver(address, "4"),
    "kcat": KcatDriver,
}
