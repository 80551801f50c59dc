"""The same records of the same times: Apache Kafka and fastlog keep the same segments of them."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.broker.clients import NONE, Client
from tests.clients.batches import Batch
from tests.interop.folders import files
from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import Broker, running_kafka

HOUR = 3_600_000
SIZE = len(Batch().encode())
CHECK_OFTEN = {
    "log.initial.task.delay.ms": 0,
    "log.retention.check.interval.ms": 100,
    "log.segment.delete.delay.ms": 500,
}
WITHIN_S = 60


class Case(NamedTuple):
    """Records by their age in hours, None without a time, so many to a segment."""

    ages: list[float | None]
    start: int
    to_a_segment: int = 1
    retention_ms: int = HOUR
    retention_bytes: int = -1


CASES = {
    "oldest": Case([3, 2, 0.1, 2, 0], start=2),
    "future": Case([2, -2, 2, 0], start=1),
    "no-times": Case([2, None, 2, 0], start=1),
    "larger": Case([2] * 6 + [0] + [2] * 6 + [0], to_a_segment=4, start=4),
    "active-is-old": Case([0, 2, 2], start=0),
    "size": Case([2] * 9, retention_ms=-1, retention_bytes=4 * SIZE, start=5),
    "size-less-one": Case([2] * 9, retention_ms=-1, retention_bytes=4 * SIZE - 1, start=5),
    "size-and-one": Case([2] * 9, retention_ms=-1, retention_bytes=4 * SIZE + 1, start=4),
    "no-size": Case([0] * 4, retention_ms=-1, retention_bytes=0, start=4),
    "both": Case([2, 2, 0, 2, 0, 0, 0], retention_bytes=6 * SIZE, start=2),
    "size-first": Case([2, 0, 2, 2, 0, 0], retention_bytes=4 * SIZE, start=4),
    "unlimited": Case([9] * 4, retention_ms=-1, start=0),
    "empty": Case([], start=0),
    # Last: when it has got there, a round has begun after all records were written.
    "all": Case([3, 2, 2], start=3),
}


def fill(broker: Broker, now: int) -> None:
    with Client(broker) as client:
        for name, case in CASES.items():
            configs = {
                "retention.ms": str(case.retention_ms),
                "retention.bytes": str(case.retention_bytes),
                "segment.bytes": str(case.to_a_segment * SIZE),
            }
            assert client.create(name, **configs) == NONE
            for age in case.ages:
                timestamp = -1 if age is None else now - int(age * HOUR)
                assert client.produce(name, Batch(timestamp=timestamp).encode())[0] == NONE


def settle(broker: Broker, starts: dict[str, int]) -> None:
    """Waits until every log starts where it should, and nothing waits for its removal."""
    deadline = time.monotonic() + WITHIN_S
    with Client(broker) as client:
        while True:
            found = {name: client.end_offset(name, timestamp=-2)[1] for name in starts}
            left = [*broker.log_folder.glob("*/*.deleted")]
            if found == starts and not left:
                return
            assert time.monotonic() < deadline, (found, left)
            time.sleep(0.05)


def segments(folder: Path) -> list[str]:
    """Without the indexes, which Kafka makes of an empty segment when it needs them."""
    return [path.name for path in files(folder, ".log", ".snapshot")]


@pytest.fixture
def brokers(tmp_path: Path, zookeeper: str, start_fastlog: Callable[..., FastlogBroker]):
    with contextlib.ExitStack() as started:
        settings = {name.replace(".", "_"): value for name, value in CHECK_OFTEN.items()}
        kafka = running_kafka(tmp_path / "kafka", f"{zookeeper}/retention", **settings)
        yield started.enter_context(kafka), start_fastlog(CHECK_OFTEN)


def test_the_same_segments_are_kept(brokers: tuple[Broker, FastlogBroker]) -> None:
    now = int(time.time() * 1000)
    starts = {name: case.start for name, case in CASES.items()}
    kept = []
    for broker in brokers:
        fill(broker, now)
        settle(broker, starts)
        kept.append({name: segments(broker.partition_folder(name, 0)) for name in CASES})
    assert kept[0] == kept[1]
    fastlog = brokers[1]
    fastlog.kill()
    fastlog.start()
    settle(fastlog, starts)
    assert kept[0] == {name: segments(fastlog.partition_folder(name, 0)) for name in CASES}
