"""Fill a topic, read all of it back, and move partition folders between brokers."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.clients import scenarios
from tests.clients.batches import Batch
from tests.clients.confluent_driver import ConfluentDriver
from tests.clients.drivers import Step
from tests.clients.raw_client import RawClient
from tests.peers.kafka import Broker

PARTITIONS = 2
IDENTITY = "partition.metadata"  # the topic's id: it belongs to the broker, not to the records
CONFIGS = {"segment.bytes": 16384, "index.interval.bytes": 512, "segment.index.bytes": 1024}


def fill(broker: Broker, topic: str, now: int) -> None:
    """Every codec, with and without idempotence, many segments, times that go back."""
    driver = ConfluentDriver(broker.address)
    create = {"op": "create", "topic": topic, "partitions": PARTITIONS, "configs": CONFIGS}
    assert driver.perform(create) == {"created": True}
    for step in _produce_steps(topic, now):
        for delivery in driver.perform(step):
            assert "error" not in delivery, delivery


def _produce_steps(topic: str, now: int) -> Iterator[Step]:
    for place, codec in enumerate(scenarios.CODECS):
        for idempotent in (False, True):
            records = scenarios.varied(now - 5000 * place, 60)
            sent = {"op": "produce", "topic": topic, "codec": codec, "batch_size": 1500}
            yield {**sent, "records": records, "idempotent": idempotent}
    stored = next(step for step in scenarios.segments(topic, now) if step["op"] == "produce")
    yield stored


def read(broker: Broker, topic: str, now: int) -> dict[str, Any]:
    """All that a client can see of the topic."""
    driver = ConfluentDriver(broker.address)
    seen: dict[str, Any] = {}
    for partition in range(PARTITIONS):
        of = {"topic": topic, "partition": partition}
        _await_leader(driver, of)
        seen[f"{partition} ends"] = driver.perform({"op": "watermarks", **of})
        records = driver.perform({"op": "consume", **of, "start": "beginning"})
        assert records and "error" not in records[-1], records[-1:]
        seen[f"{partition} records"] = records
        times = [now + ahead for ahead in range(-25_000, 6000, 1777)]
        seen[f"{partition} times"] = driver.perform({"op": "times", **of, "times": times})
    return seen


def _await_leader(driver: ConfluentDriver, of: Step) -> None:
    """A broker that has just started answers before it leads all its partitions."""
    deadline = time.monotonic() + 20
    while "error" in (answer := driver.perform({"op": "watermarks", **of})):
        assert time.monotonic() < deadline, f"{of}: {answer}"


def send_as_producer(broker: Broker, topic: str, sequence: int) -> tuple[int, int]:
    """One record of an idempotent producer to partition 0: error code and offset."""
    # of today: brokers forget producers by the time of their last record
    today = int(time.time()) // 86_400 * 86_400_000
    producer = {"producer_id": 900_001, "producer_epoch": 0, "base_sequence": sequence}
    batch = Batch(timestamp=today, **producer).encode()
    data = [{"name": topic, "partition_data": [{"index": 0, "records": batch}]}]
    with RawClient((broker.host, broker.port)) as client:
        fields = {"acks": -1, "timeout_ms": 10_000, "topic_data": data}
        answer = client.exchange(0, 7, fields).responses[0].partition_responses[0]
    return answer.error_code, answer.base_offset


def make_empty(broker: Broker, topic: str) -> None:
    """The topic with nothing in it, on the broker that is to take the records over."""
    driver = ConfluentDriver(broker.address)
    create = {"op": "create", "topic": topic, "partitions": PARTITIONS, "configs": CONFIGS}
    assert driver.perform(create) == {"created": True}
    deadline = time.monotonic() + 10
    folders = [broker.partition_folder(topic, place) for place in range(PARTITIONS)]
    while not all((folder / IDENTITY).exists() for folder in folders):
        assert time.monotonic() < deadline, f"no {IDENTITY} in {folders}"
        time.sleep(0.02)


def move_records(source: Broker, target: Broker, topic: str) -> None:
    """Give `target` the partition folders of `source`; both are stopped."""
    for partition in range(PARTITIONS):
        theirs = source.partition_folder(topic, partition)
        ours = target.partition_folder(topic, partition)
        for file in ours.iterdir():
            if file.name != IDENTITY:
                file.unlink()
        for file in theirs.iterdir():
            if file.name != IDENTITY:
                shutil.copy2(file, ours / file.name)


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The files of a partition folder with one of the endings, in order."""
    return sorted(file for file in folder.iterdir() if file.suffix in suffixes)
