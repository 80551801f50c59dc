"""The rows that need a broker of their own: a start, rest, many partitions, one reactor or two."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import requests
from benchmarks.peers.brokers import Broker, Fastlog, new_broker
from benchmarks.peers.loads import KIB, Bytes, Machine, Measured

SETTLE_S = 2  # what a start leaves behind (compilers, timers) is not idle time
IDLE_S = 5
CONNECTIONS = 10_000
PARTITIONS = 2000


def at_rest(column: str, folder: Path, zookeeper: str) -> Iterator[tuple[str, Measured]]:
    """A start with an empty data folder, then nothing, then connections that do nothing."""
    broker = new_broker(column, folder, zookeeper)
    try:
        seconds = broker.start()
        yield "start", {"seconds": seconds, "cpu_s": broker.cpu_seconds()}
        time.sleep(SETTLE_S)
        yield "idle", {"cpu_percent": idle_cpu_percent(broker), "rss_mb": broker.resident_mb()}
        opened = requests.open_connections(broker.address, CONNECTIONS)
        yield f"{CONNECTIONS:,} connections", {"rss_mb": broker.resident_mb()}
        for connection in opened:
            connection.close()
    finally:
        broker.kill()


def idle_cpu_percent(broker: Broker) -> float:
    """Of one core, without clients."""
    before = broker.cpu_seconds()
    time.sleep(IDLE_S)
    return (broker.cpu_seconds() - before) / IDLE_S * 100


def many_partitions(broker: Broker) -> Iterator[tuple[str, Measured]]:
    """A start with many partitions. The first call makes them, which takes Kafka half a minute."""
    try:
        if not broker.folder.exists():
            broker.start()
            requests.create_topic(broker.address, "many", PARTITIONS)
            broker.stop()
        began = time.monotonic()
        broker.start()
        requests.wait_until_led(broker.address, "many", PARTITIONS)
        seconds = time.monotonic() - began
        yield f"{PARTITIONS:,} partitions", {"seconds": seconds, "rss_mb": broker.resident_mb()}
        broker.stop()
    finally:
        broker.kill()


def reactors(machine: Machine, folder: Path, count: int) -> Iterator[tuple[str, Measured]]:
    """fastlog with so many reactors under four connections, each request to one of 4 partitions."""
    broker = Fastlog(folder, {"fastlog.reactors": count})
    try:
        broker.start()
        load = Bytes("", 64 * KIB, options={"connections": 4, "partitions": 4})
        for _, measured in load.on_broker(machine, broker):
            yield f"{count} reactor{'s' * (count > 1)}", measured
    finally:
        broker.kill()
