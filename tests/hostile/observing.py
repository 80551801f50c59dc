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

    `latencies_ms`: of Produce, Metadata and Fetch requests. `failure`: what it did not get.
    """

    def __init__(self, broker: FastlogBroker) -> None:
        self.broker = broker
        self.latencies_ms: list[float] = []
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
                    self.timed(lambda: self.produce(client, record))
                    self.timed(lambda: client.ask(3, 4, topics=[{"name": TOPIC}]))
                    self.timed(lambda: self.fetch(client))
                    self.most_mib = max(self.most_mib, resident_mib(self.broker))
        except Exception as error:  # told by the test
            self.failure = error

    def timed(self, ask) -> None:
        started = time.perf_counter()
        ask()
        self.latencies_ms.append(1000 * (time.perf_counter() - started))

    def produce(self, client: Client, record: bytes) -> None:
        error, self.offset = client.produce(TOPIC, record)
        assert error == 0

    def fetch(self, client: Client) -> None:
        topics = [{"topic": TOPIC, "partitions": [{"fetch_offset": self.offset}]}]
        answer = client.ask(1, 4, replica_id=-1, min_bytes=1, max_wait_ms=0, topics=topics)
        assert answer.responses[0].partitions[0].error_code == 0

    def p99_ms(self) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[math.ceil(len(ordered) * 0.99) - 1] if ordered else math.nan
