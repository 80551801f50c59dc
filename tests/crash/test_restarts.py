"""Killed and restarted under load: what was acknowledged is there, in order, and whole.

CRASH_TEST_CYCLES sets how often; 50 and more is the full run.
"""

import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from fastlog.logs.checkpoints import RECOVERY_POINTS, parse
from tests.clients.confluent_driver import ConfluentDriver
from tests.crash.load import PRODUCERS
from tests.crash.loading import Load, cycles, read_partition, verify_files
from tests.peers.fastlog import FastlogBroker

SMALL = {"segment.bytes": 65536, "index.interval.bytes": 512}
TOPICS = {
    "large": (1, {}),
    "rolling": (1, SMALL),
    "many": (5, {}),
    "many-rolling": (5, SMALL),
}
SETTINGS = {"log.flush.offset.checkpoint.interval.ms": 500}
CHECKED_EVERY = 10  # cycles; the records are compared then, and at the end
STOPPED_EVERY = 25
READ_AGAIN = re.compile(r"checked and opened \d+ logs in .*, (\d+) bytes read again")


def create_topics(broker: FastlogBroker) -> None:
    driver = ConfluentDriver(broker.address)
    for name, (partitions, configs) in TOPICS.items():
        step = {"op": "create", "topic": name, "partitions": partitions, "configs": configs}
        assert driver.perform(step) == {"created": True}


class Checker:
    """Reads on from where it was: each record is compared once, the last pass reads all."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.seen: dict[tuple[str, int], dict[int, str]] = {
            (topic, partition): {}
            for topic, (partitions, _) in TOPICS.items()
            for partition in range(partitions)
        }

    def check(self) -> None:
        acknowledged = self.load.acknowledged()  # first: the rest is acknowledged meanwhile
        for place, seen in self.seen.items():
            address = self.load.broker.address
            seen |= read_partition(address, *place, start=len(seen))
            for offset, digest in acknowledged[place].items():
                assert offset in seen, f"{place} offset {offset} was acknowledged and is missing"
                assert seen[offset] == digest, f"{place} offset {offset} is another record"

    def check_all(self) -> None:
        for place, seen in self.seen.items():
            again = read_partition(self.load.broker.address, *place, start=0)
            assert {offset: again[offset] for offset in seen} == seen, f"{place} changed"
        self.check()

    def check_no_duplicates(self) -> None:
        """What idempotent producers sent is there once, however often they sent it."""
        found = Counter(digest for seen in self.seen.values() for digest in seen.values())
        for number, path in enumerate(self.load.acknowledgements):
            if PRODUCERS[number % len(PRODUCERS)].get("enable.idempotence"):
                digests = [line.split()[3] for line in path.read_text().splitlines()]
                twice = [digest for digest in digests if found[digest] > 1]
                assert not twice, f"{len(twice)} records of an idempotent producer are there twice"


def tear(broker: FastlogBroker, chance: random.Random) -> None:
    """Leaves bytes behind the end of some logs, as a write that was cut short does."""
    for folder in sorted(broker.log_folder.glob("*-[0-9]")):
        if chance.random() < 0.3:
            active = max(folder.glob("*.log"))
            rest = chance.choice([bytes(700), chance.randbytes(700), b"", b"\0"])
            with active.open("ab") as file:
                file.write(rest + active.read_bytes()[: chance.randrange(60)])


def bytes_to_read(broker: FastlogBroker) -> int:
    """What is left to be read: the segments that reach beyond their log's recovery point."""
    checkpoint = broker.log_folder / RECOVERY_POINTS
    points = parse(checkpoint.read_text()) if checkpoint.exists() else {}
    total = 0
    for folder in broker.log_folder.glob("*-[0-9]"):
        topic, _, number = folder.name.rpartition("-")
        paths = sorted(folder.glob("*.log"))
        ends = [int(path.stem) for path in paths[1:]] + [2**62]
        point = points.get((topic, int(number)), 0)
        sizes = zip(paths, ends, strict=True)
        total += sum(path.stat().st_size for path, end in sizes if end > point)
    return total


def all_bytes(broker: FastlogBroker) -> int:
    return sum(path.stat().st_size for path in broker.log_folder.glob("*-[0-9]/*.log"))


def crash(broker: FastlogBroker, chance: random.Random) -> float:
    """Kills it, damages its tails, starts it; which part of all bytes was read again."""
    broker.kill()
    assert not broker.has_clean_marker()
    tear(broker, chance)
    least, total = bytes_to_read(broker), all_bytes(broker)
    broker.start()
    assert broker.process is not None
    found = READ_AGAIN.search(broker.process.text())
    assert found, "the start does not tell how much it has read"
    read = int(found[1])
    # once for checksums and indexes, and once for producers since the last snapshot
    assert read <= 2 * least, f"{read} bytes read, where {least} lie beyond the recovery points"
    return read / max(total, 1)


@pytest.mark.timeout(3600)
def test_killed_and_restarted_under_load(start_fastlog, tmp_path: Path) -> None:
    fastlog_broker: FastlogBroker = start_fastlog(SETTINGS)
    create_topics(fastlog_broker)
    chance = random.Random(os.environ.get("CRASH_TEST_SEED", "1"))
    with Load(fastlog_broker, tmp_path, list(TOPICS)) as load:
        load.start(producers=3, consumers=1)
        checker = Checker(load)
        parts = []
        for cycle in range(1, cycles(20) + 1):
            load.wait_for_more(chance.randrange(1, 60))
            time.sleep(chance.random() * 0.05)  # any moment will do
            if cycle % STOPPED_EVERY == 0:
                fastlog_broker.stop()
                assert fastlog_broker.has_clean_marker()
                verify_files(fastlog_broker)
                fastlog_broker.start()
            else:
                parts.append(crash(fastlog_broker, chance))
            if cycle % CHECKED_EVERY == 0:
                checker.check()
            load.check_running()
        load.wait_for_more(100)
        load.check_running()
        load.end()
        crash(fastlog_broker, chance)
        checker.check_all()
        checker.check_no_duplicates()
        fastlog_broker.stop()
        verify_files(fastlog_broker)
    print(f"{len(parts) + 1} kills, {load.acknowledged_count()} records;", end=" ")
    print(f"read again: {100 * sum(parts) / len(parts):.0f} % on average, the last {parts[-1]:.2f}")


@pytest.mark.timeout(3600)
def test_stopped_under_load(fastlog_broker: FastlogBroker, tmp_path: Path) -> None:
    """TERM under full load: exit status 0 and the clean marker, every time."""
    create_topics(fastlog_broker)
    with Load(fastlog_broker, tmp_path, list(TOPICS)) as load:
        load.start(producers=2, consumers=2)
        for _ in range(cycles(12)):
            load.wait_for_more(30)
            fastlog_broker.stop()  # a failure unless the exit status is 0
            assert fastlog_broker.has_clean_marker()
            fastlog_broker.start()
            assert not fastlog_broker.has_clean_marker()
            load.check_running()
        checker = Checker(load)
        checker.check()
        load.end()
    fastlog_broker.stop()
    verify_files(fastlog_broker)
