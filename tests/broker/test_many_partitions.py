"""Many partitions: made, written, read after a stop and after a kill, within the descriptors.

MANY_PARTITIONS (default 600) is how many; 10000 takes a minute.
"""

import os
import subprocess

import pytest

from tests.broker.clients import METADATA, NONE, Client
from tests.clients.batches import Batch, Record
from tests.peers.fastlog import ROOT, FastlogBroker

COUNT = int(os.environ.get("MANY_PARTITIONS", "600"))
TOPICS = 3
POLICY_VIOLATION, INVALID_PARTITIONS, INVALID_REQUEST = 44, 37, 42
LIMIT = 256  # open files
ROOM = LIMIT - LIMIT // 4
DEADLINE_S = 60


class FewDescriptors(FastlogBroker):
    """A broker whose limit on open files is low."""

    limit = LIMIT

    def command(self) -> list[str]:
        limited = 'ulimit -n "$0" && exec "$@"'
        return ["/bin/sh", "-c", limited, str(self.limit), *super().command()]


@pytest.fixture
def few(tmp_path):
    broker = FewDescriptors(tmp_path / "few")
    try:
        yield broker
    finally:
        broker.kill()


def value(topic: str, number: int) -> bytes:
    return f"{topic} {number}".encode()


def write(client: Client, topic: str, count: int) -> None:
    """One record to each partition."""
    for number in range(count):
        batch = Batch([Record(value(topic, number))]).encode()
        assert client.produce(topic, batch, number)[0] == NONE


def check(client: Client, topic: str, count: int, *, ends: int = 1) -> None:
    """Each partition has a leader, ends at `ends` and begins with the record of its own."""
    leaders = client.leaders(topic)
    assert len(leaders) == count
    assert all(code == NONE and leader == 0 for code, leader, _, _ in leaders.values())
    for number in range(count):
        found = client.fetch(topic, number, 0)
        assert (found.error_code, found.high_watermark) == (NONE, ends)
        assert value(topic, number) in bytes(found.records)


def descriptors(broker: FastlogBroker) -> int:
    return len(os.listdir(f"/proc/{broker.process.pid}/fd"))


def refused(client: Client, name: str, partitions: int) -> tuple[int, str]:
    """The error of a creation, which must leave nothing."""
    before = client.topics()
    wanted = {"name": name, "num_partitions": partitions, "replication_factor": 1}
    answer = client.ask(19, 7, topics=[wanted], timeout_ms=60_000)
    assert client.topics() == before
    return answer.topics[0].error_code, answer.topics[0].error_message


def test_many_partitions_through_a_stop_and_a_kill(fastlog_broker):
    each = COUNT // TOPICS
    names = [f"many-{number}" for number in range(TOPICS)]
    with Client(fastlog_broker, DEADLINE_S) as client:
        before = descriptors(fastlog_broker)
        for name in names:
            assert client.create(name, each) == NONE
        assert descriptors(fastlog_broker) - before <= each * TOPICS + 4
        for name in names:
            write(client, name, each)
    fastlog_broker.stop(DEADLINE_S)
    fastlog_broker.start()
    with Client(fastlog_broker, DEADLINE_S) as client:
        for name in names:
            check(client, name, each)
            write(client, name, each)
    fastlog_broker.kill()
    fastlog_broker.start()
    with Client(fastlog_broker, DEADLINE_S) as client:
        for name in names:
            check(client, name, each, ends=2)
        assert descriptors(fastlog_broker) - before <= each * TOPICS + 4


def test_no_more_topics_than_descriptors(few):
    few.start()
    with Client(few) as client:
        assert client.create("first", ROOM - 50) == NONE
        code, message = refused(client, "second", 51)
        assert code == POLICY_VIOLATION
        assert "51 more partitions do not fit" in message and "ulimit -n" in message
        assert client.create("second", 50) == NONE
        assert refused(client, "third", 1)[0] == POLICY_VIOLATION
        automatic = [{"name": "fourth", "topic_id": bytes(16)}]
        answer = client.ask(METADATA, 12, topics=automatic, allow_auto_topic_creation=True)
        assert answer.topics[0].error_code == POLICY_VIOLATION
        write(client, "first", ROOM - 50)
        write(client, "second", 50)
        assert client.delete("first") == NONE
        assert client.create("third", ROOM - 50) == NONE
        few.restart()
    with Client(few) as client:
        check(client, "second", 50)
        assert client.topics().keys() == {"second", "third"}


def test_a_topic_larger_than_any_limit_is_refused(shared_fastlog):
    """By what coordination can hold; no name is left behind, and no folder."""
    with Client(shared_fastlog) as client:
        assert refused(client, "huge", 130_000)[0] == INVALID_PARTITIONS
        assert refused(client, "large", 60_000)[0] == INVALID_REQUEST


def test_a_start_that_lacks_descriptors_says_so_and_changes_nothing(few):
    few.start()
    with Client(few) as client:
        assert client.create("many", ROOM) == NONE
        write(client, "many", ROOM)
    few.stop()
    marker = few.log_folder / ".kafka_cleanshutdown"
    assert marker.exists()
    few.limit = ROOM
    done = subprocess.run(few.command(), cwd=ROOT, capture_output=True, text=True, timeout=30)
    said = done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    assert f"{ROOM} logs need as many open files, and the limit is {ROOM}" in said
    assert marker.exists()
    few.limit = LIMIT
    few.start()
    with Client(few) as client:
        check(client, "many", ROOM)
