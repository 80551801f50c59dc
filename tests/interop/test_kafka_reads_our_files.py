"""Apache Kafka takes the partition folders that fastlog writes: its dump tool, and its broker."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.folders import (
    PARTITIONS,
    files,
    fill,
    make_empty,
    move_records,
    read,
    send_as_producer,
)
from tests.peers.fastlog import CLEAN_MARKER, FastlogBroker
from tests.peers.java import dump_log_segments
from tests.peers.kafka import running_kafka

COMPLAINTS = re.compile(
    r"isvalid: false|mismatch|[Nn]on-consecutive|invalid|corrupt|[Ee]xception|out of order", re.I
)
TOPIC = "moved"
OUT_OF_ORDER_SEQUENCE = 45


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
    assert printed.lower().count("starting offset:") == len(logs)
    indexes = files(folder, ".index", ".timeindex")
    sane = dump_log_segments(indexes, "--index-sanity-check")
    assert sane.count("passed sanity check") == len(indexes), sane
    _check_entries(indexes)
    snapshots = files(folder, ".snapshot")
    if snapshots:
        assert "producerId" in dump_log_segments(snapshots)


def _check_entries(indexes: list[Path]) -> None:
    """Every entry against the log. The tool says nothing more than the name when all agree."""
    printed = dump_log_segments(indexes, "--verify-index-only")
    rest = [line for line in printed.splitlines() if line and not line.startswith("Dumping ")]
    assert not rest, rest[:10]


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
        kafka.stop()
        if stopped == "cleanly":
            broker.stop()
        else:  # without a clean marker Kafka recovers, and rebuilds what it distrusts
            broker.kill()
            (kafka.log_folder / CLEAN_MARKER).unlink()
        move_records(broker, kafka, TOPIC)
        kafka.start()
        assert read(kafka, TOPIC, now) == expected


def test_both_directions_and_back(
    start_fastlog: Callable[..., FastlogBroker], zookeeper: str, tmp_path: Path
) -> None:
    """Kafka writes, fastlog serves and adds, and Kafka serves all of it; both know the producer."""
    now = int(time.time() * 1000) - 3_600_000
    with running_kafka(tmp_path / "kafka", f"{zookeeper}/{tmp_path.name}") as kafka:
        fill(kafka, TOPIC, now)
        first = send_as_producer(kafka, TOPIC, 0)
        written = read(kafka, TOPIC, now)
        kafka.stop()
        broker = start_fastlog()
        make_empty(broker, TOPIC)
        broker.stop()
        move_records(kafka, broker, TOPIC)
        broker.start()
        assert read(broker, TOPIC, now) == written
        assert send_as_producer(broker, TOPIC, 0) == first, "a repetition was stored again"
        assert send_as_producer(broker, TOPIC, 5)[0] == OUT_OF_ORDER_SEQUENCE
        second = send_as_producer(broker, TOPIC, 1)
        assert second == (0, first[1] + 1)
        grown = read(broker, TOPIC, now)
        assert len(grown["0 records"]) == len(written["0 records"]) + 1
        broker.stop()
        move_records(broker, kafka, TOPIC)
        kafka.start()
        assert read(kafka, TOPIC, now) == grown
        assert send_as_producer(kafka, TOPIC, 1) == second, "a repetition was stored again"
        assert send_as_producer(kafka, TOPIC, 7)[0] == OUT_OF_ORDER_SEQUENCE
        assert send_as_producer(kafka, TOPIC, 2) == (0, second[1] + 1)
    check_with_dump_tool(broker.partition_folder(TOPIC, 0))
