"""Start load against a broker, and check what it left against what was acknowledged."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.crash.load import digest_of, is_whole
from tests.peers.fastlog import ROOT, FastlogBroker, environment
from tests.peers.processes import OwnedProcess

READ_DEADLINE_S = 60


def cycles(default: int) -> int:
    """How often a test repeats: CRASH_TEST_CYCLES for the long runs."""
    return int(os.environ.get("CRASH_TEST_CYCLES", default))


class Load:
    """Producers and consumers against one broker, through all its restarts."""

    def __init__(self, broker: FastlogBroker, folder: Path, topics: list[str]) -> None:
        self.broker, self.folder, self.topics = broker, folder, topics
        self.processes: list[OwnedProcess] = []
        self.acknowledgements: list[Path] = []

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *unused: object) -> None:
        self.end()

    def start(self, *, producers: int, consumers: int) -> None:
        names = ",".join(self.topics)
        for seed in range(producers):
            acknowledged = self.folder / f"acknowledged-{seed}"
            acknowledged.touch()
            self.acknowledgements.append(acknowledged)
            self._run("produce", self.broker.address, names, str(acknowledged), str(seed))
        for _ in range(consumers):
            self._run("consume", self.broker.address, names)

    def _run(self, *arguments: str) -> None:
        output = self.folder / f"{arguments[0]}-{len(self.processes)}.log"
        command = [sys.executable, "-m", "tests.crash.load", *arguments]
        self.processes.append(OwnedProcess(f"load {arguments[0]}", command, output, cwd=ROOT))

    def check_running(self) -> None:
        """A process of the load ends only when it saw something wrong."""
        for process in self.processes:
            if not process.running():
                raise process.failure("found something wrong")

    def end(self) -> None:
        for process in self.processes:
            process.kill()

    def acknowledged(self) -> dict[tuple[str, int], dict[int, str]]:
        """Digest by offset, for each partition."""
        found: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
        for path in self.acknowledgements:
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    topic, partition, offset, digest = line.split()
                    known = found[topic, int(partition)].setdefault(int(offset), digest)
                    assert known == digest, f"offset {offset} of {topic} acknowledged twice"
        return found

    def acknowledged_count_of(self, topic: str) -> int:
        """How many records of a topic that is never deleted were acknowledged."""
        text = "".join(path.read_text() for path in self.acknowledgements)
        return sum(line.startswith(f"{topic} ") for line in text.splitlines())

    def acknowledged_count(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.acknowledgements)

    def wait_for_more(self, count: int, deadline_s: float = 30) -> None:
        """Until `count` more records are acknowledged: the load is really on."""
        wanted = self.acknowledged_count() + count
        end = time.monotonic() + deadline_s
        while self.acknowledged_count() < wanted:
            self.check_running()
            self.broker.check_alive()
            assert time.monotonic() < end, f"no {count} acknowledgements within {deadline_s} s"
            time.sleep(0.02)


def read_partition(address: str, topic: str, partition: int, start: int) -> dict[int, str]:
    """Digest by offset from `start` to where the partition ends now; fails on gaps, repetitions and
    wrong bytes. While records come, a reader that waits for the end of all may never see it."""
    from confluent_kafka import Consumer, TopicPartition

    place = TopicPartition(topic, partition, start)
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 20,
        }
    )
    found: dict[int, str] = {}
    try:
        _, end = consumer.get_watermark_offsets(place, timeout=READ_DEADLINE_S)
        assert end >= start, f"{topic}-{partition} ends at {end}, where it went on to {start}"
        consumer.assign([place])
        deadline = time.monotonic() + READ_DEADLINE_S
        while start + len(found) < end:
            at = f"{topic}-{partition} offset {start + len(found)}"
            assert time.monotonic() < deadline, f"at {at} of {end} after {READ_DEADLINE_S} s"
            for message in consumer.consume(5000, 0.2):
                expected = start + len(found)
                at = f"{topic}-{partition} offset {message.offset()}"
                assert message.error() is None, f"{at}: {message.error().str()}"
                assert message.offset() == expected, f"{at} where {expected} is due"
                assert is_whole(message.value()), f"wrong bytes at {at}"
                found[message.offset()] = digest_of(message.value())
    finally:
        consumer.close()
    return found


def verify_files(broker: FastlogBroker) -> None:
    """`fastlog log verify` over all of a stopped broker's data."""
    command = [sys.executable, "-m", "fastlog", "log", "verify", str(broker.log_folder)]
    done = subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, timeout=120, env=environment()
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
