"""What a storm of hostile requests does to a broker and to its other clients."""

import math
import threading
import time
from pathlib import Path

from tests.broker.clients import Client
from tests.dataplane.wire import batch
from tests.peers.fastlog import FastlogBroker

EVERY_S = 0.01
TOPIC = "light"


def resident_mib(broker: FastlogBroker) -> float:
    assert broker.process is not None
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_seconds(broker: FastlogBroker) -> float:
    assert broker.process is not None
    stat = Path(f"/proc/{broker.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


class LightClient:
    """Asks for little, again and again, as `with` begins until it ends: the other clients.

    `latencies_ms`: of Produce and Fetch requests, and of Metadata requests, which another half of
    the broker answers. `failure`: what it did not get.
    """

    def __init__(self, broker: FastlogBroker) -> None:
        self.broker = broker
        self.latencies_ms: dict[str, list[float]] = {"records": [], "metadata": []}
        self.most_mib = 0.0
        self.failure: Exception | None = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "LightClient":
        self.thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.ending.set()
        self.thread.join()

    def run(self) -> None:
        record = batch(b"light")
        try:
            with Client(self.broker) as client:
                while not self.ending.wait(EVERY_S):
                    self.timed("records", lambda: self.produce(client, record))
                    self.timed("metadata", lambda: client.ask(3, 4, topics=[{"name": TOPIC}]))
                    self.timed("records", lambda: self.fetch(client))
                    self.most_mib = max(self.most_mib, resident_mib(self.broker))
        except Exception as error:  # told by the test
            self.failure = error

    def timed(self, kind: str, ask) -> None:
        started = time.perf_counter()
        ask()
        self.latencies_ms[kind].append(1000 * (time.perf_counter() - started))

    def produce(self, client: Client, record: bytes) -> None:
        error, self.offset = client.produce(TOPIC, record)
        assert error == 0

    def fetch(self, client: Client) -> None:
        topics = [{"topic": TOPIC, "partitions": [{"fetch_offset": self.offset}]}]
        answer = client.ask(1, 4, replica_id=-1, min_bytes=1, max_wait_ms=0, topics=topics)
        assert answer.responses[0].partitions[0].error_code == 0

    def shown(self) -> str:
        """Median and 99th percentile by kind."""
        return ", ".join(
            f"{kind} p50 {percentile(found, 0.5):.2f} p99 {percentile(found, 0.99):.2f} ms"
            for kind, found in self.latencies_ms.items()
        )


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(len(values) * share) - 1] if values else math.nan
