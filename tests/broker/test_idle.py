"""What a broker costs that nobody asks anything: counters with wide margins, not times."""

import os
import re
import time

from tests.broker.clients import Client

WATCHED_S = 2.0
WAKE_UPS_MAX = 40  # in that time; 6 in November 2026
RSS_MAX_MB = 60  # 30
CONNECTIONS = 500
GROWTH_MAX_MB = 6  # less than 1
PARTITIONS = 300
THREADS_MAX = 24  # 14


def status(path: str, name: str) -> int:
    """A number of a process's or a thread's status."""
    with open(f"{path}/status", encoding="ascii") as file:
        found = re.search(rf"^{name}:\s+(\d+)", file.read(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def tasks(broker) -> list[str]:
    folder = f"/proc/{broker.process.pid}/task"
    return [f"{folder}/{task}" for task in os.listdir(folder)]


def wake_ups(broker) -> int:
    return sum(status(task, "voluntary_ctxt_switches") for task in tasks(broker))


def resident_mb(broker) -> float:
    return status(f"/proc/{broker.process.pid}", "VmRSS") / 1024


def test_an_idle_broker_sleeps_and_is_small(fastlog_broker):
    before = wake_ups(fastlog_broker)
    time.sleep(WATCHED_S)
    assert wake_ups(fastlog_broker) - before <= WAKE_UPS_MAX
    assert resident_mb(fastlog_broker) <= RSS_MAX_MB


def test_idle_connections_hold_no_buffers(fastlog_broker):
    def connected() -> Client:
        client = Client(fastlog_broker)
        client.topics()
        return client

    with connected():
        before = resident_mb(fastlog_broker)
        clients = [connected() for _ in range(CONNECTIONS)]
        assert resident_mb(fastlog_broker) - before <= GROWTH_MAX_MB
        for client in clients:
            client.close()


def test_partitions_are_small_after_a_start(fastlog_broker):
    """The coordination, the control plane and the engine together."""
    with Client(fastlog_broker) as client:
        assert client.create("many", PARTITIONS) == 0
    fastlog_broker.restart()
    with Client(fastlog_broker) as client:
        assert client.topics()["many"][1] == PARTITIONS
    assert resident_mb(fastlog_broker) <= RSS_MAX_MB
    assert len(tasks(fastlog_broker)) <= THREADS_MAX
