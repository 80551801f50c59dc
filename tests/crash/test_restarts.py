"""Killed and restarted under load: what was acknowledged is there, in order, and whole.

CRASH_TEST_CYCLES sets how often; 50 and more is the full run.
"""

import random
from pathlib import Path

import pytest

from tests.clients.confluent_driver import ConfluentDriver
from tests.crash.loading import Load, cycles, read_partition, verify_files
from tests.peers.fastlog import FastlogBroker

TOPICS = {"large": {}, "rolling": {"segment.bytes": 65536, "index.interval.bytes": 512}}
PARTITIONS = 2
PER_CYCLE = 300


def create_topics(broker: FastlogBroker) -> None:
    driver = ConfluentDriver(broker.address)
    for name, configs in TOPICS.items():
        step = {"op": "create", "topic": name, "partitions": PARTITIONS, "configs": configs}
        assert driver.perform(step) == {"created": True}


class Checker:
    """Reads on from where it was: each record is compared once, the last pass reads all."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.seen: dict[tuple[str, int], dict[int, str]] = {
            (topic, partition): {} for topic in TOPICS for partition in range(PARTITIONS)
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


@pytest.mark.timeout(3600)
def test_killed_and_restarted_under_load(fastlog_broker: FastlogBroker, tmp_path: Path) -> None:
    create_topics(fastlog_broker)
    chance = random.Random(1)
    with Load(fastlog_broker, tmp_path, list(TOPICS)) as load:
        load.start(producers=3, consumers=1)
        checker = Checker(load)
        for cycle in range(cycles(12)):
            load.wait_for_more(PER_CYCLE + chance.randrange(100))
            if cycle % 5 == 4:
                fastlog_broker.stop()
                assert fastlog_broker.has_clean_marker()
                verify_files(fastlog_broker)
            else:
                fastlog_broker.kill()
                assert not fastlog_broker.has_clean_marker()
            fastlog_broker.start()
            checker.check()
            load.check_running()
        load.wait_for_more(PER_CYCLE)
        load.check_running()
        load.end()
        fastlog_broker.kill()
        fastlog_broker.start()
        checker.check_all()
        fastlog_broker.stop()
        verify_files(fastlog_broker)


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
