"""Apache Kafka takes the partition folders that fastlog writes: its dump tool, and its broker."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.folders import PARTITIONS, files, fill, make_empty, move_records, read
from tests.peers.fastlog import FastlogBroker
from tests.peers.java import dump_log_segments
from tests.peers.kafka import running_kafka

COMPLAINTS = re.compile(
    r"isvalid: false|mismatch|[Nn]on-consecutive|invalid|corrupt|[Ee]xception|out of order", re.I
)
TOPIC = "moved"


@pytest.fixture
def filled(fastlog_broker: FastlogBroker) -> tuple[FastlogBroker, int]:
    now = int(time.time() * 1000) - 3_600_000
    fill(fastlog_broker, TOPIC, now)
    return fastlog_broker, now


def check_with_dump_tool(folder: Path) -> None:
    logs = files(folder, ".log")
    assert logs, f"no segments in {folder}"
    printed = dump_log_segments(logs, "--deep-iteration", "--print-data-log")
    complaints = [line for line in printed.splitlines() if _complains(line)]
    assert not complaints, "\n".join(complaints[:20])
    offsets = [int(found) for found in re.findall(r"^\| offset: ([0-9]+)", printed, re.M)]
    assert offsets == list(range(len(offsets)))
    assert printed.count("Starting offset:") == len(logs)
    indexes = files(folder, ".index", ".timeindex")
    sane = dump_log_segments(indexes, "--index-sanity-check")
    assert sane.count("passed sanity check") == len(indexes), sane
    for index in indexes:
        _check_index(index)
    snapshots = files(folder, ".snapshot")
    if snapshots:
        assert "producerId" in dump_log_segments(snapshots)


def _check_index(index: Path) -> None:
    """Every entry against the log. The tool says nothing more than the name when all agree."""
    printed = dump_log_segments([index], "--verify-index-only")
    rest = [line for line in printed.splitlines() if line and not line.startswith("Dumping ")]
    assert not rest, f"{index}: {rest[:10]}"


def _complains(line: str) -> bool:
    head = line.split(" payload: ")[0]
    return bool(COMPLAINTS.search(head.replace("isvalid: true", "")))


def test_dump_tool_accepts_every_file(filled: tuple[FastlogBroker, int]) -> None:
    broker, _ = filled
    broker.stop()
    for partition in range(PARTITIONS):
        check_with_dump_tool(broker.partition_folder(TOPIC, partition))


def test_dump_tool_accepts_what_a_kill_left(filled: tuple[FastlogBroker, int]) -> None:
    """Killed, recovered, stopped: the rebuilt indexes hold too."""
    broker, _ = filled
    broker.kill()
    broker.start()
    broker.stop()
    check_with_dump_tool(broker.partition_folder(TOPIC, 0))


@pytest.mark.parametrize("stopped", ["cleanly", "killed"])
def test_kafka_serves_our_records(
    filled: tuple[FastlogBroker, int],
    zookeeper: str,
    tmp_path: Path,
    stopped: str,
) -> None:
    broker, now = filled
    expected = read(broker, TOPIC, now)
    chroot = f"{zookeeper}/{tmp_path.name}"
    with running_kafka(tmp_path / "kafka", chroot) as kafka:
        make_empty(kafka, TOPIC)
        if stopped == "cleanly":
            broker.stop()
            kafka.stop()
        else:  # Kafka has no clean marker then: it recovers, and rebuilds what it distrusts
            broker.kill()
            kafka.kill()
        move_records(broker, kafka, TOPIC)
        kafka.start()
        assert read(kafka, TOPIC, now) == expected


def test_both_directions_and_back(
    start_fastlog: Callable[..., FastlogBroker], zookeeper: str, tmp_path: Path
) -> None:
    """Kafka writes, fastlog serves and adds, and Kafka serves all of it."""
    now = int(time.time() * 1000) - 3_600_000
    with running_kafka(tmp_path / "kafka", f"{zookeeper}/{tmp_path.name}") as kafka:
        fill(kafka, TOPIC, now)
        written = read(kafka, TOPIC, now)
        kafka.stop()
        broker = start_fastlog()
        make_empty(broker, TOPIC)
        broker.stop()
        move_records(kafka, broker, TOPIC)
        broker.start()
        assert read(broker, TOPIC, now) == written
        _add(broker)
        grown = read(broker, TOPIC, now)
        assert len(grown["0 records"]) == len(written["0 records"]) + 50
        broker.stop()
        move_records(broker, kafka, TOPIC)
        kafka.start()
        assert read(kafka, TOPIC, now) == grown
    check_with_dump_tool(broker.partition_folder(TOPIC, 0))


def _add(broker: FastlogBroker) -> None:
    from tests.clients.confluent_driver import ConfluentDriver
    from tests.clients.scenarios import record

    now = int(time.time() * 1000)
    records = [record(b"added %d" % number, at=now + number) for number in range(50)]
    step = {"op": "produce", "topic": TOPIC, "idempotent": True, "records": records}
    for delivery in ConfluentDriver(broker.address).perform(step):
        assert "error" not in delivery, delivery
