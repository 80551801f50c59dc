"""What outlives a broker's process, in order or not."""

import shutil
import uuid

import pytest

from tests.broker.clients import NONE, UNKNOWN_TOPIC, Client
from tests.clients.batches import Batch, Record
from tests.console.command import fastlog, output
from tests.peers.fastlog import FastlogBroker

DESCRIBE_RETENTION = 30001


def batch(text: str) -> bytes:
    return Batch([Record(text.encode())]).encode()


@pytest.mark.parametrize("clean", [True, False], ids=["TERM", "KILL"])
def test_topics_data_and_ids_stay(fastlog_broker: FastlogBroker, clean):
    broker = fastlog_broker
    with Client(broker) as client:
        assert client.create("one", 1) == NONE
        assert client.create("three", 3, segment_bytes="14000") == NONE
        for number in range(3):
            assert client.produce("three", batch(f"value {number}"), number) == (NONE, 0)
        before = client.topics()
        cluster = client.ask(3, 12, topics=[])
    if clean:
        broker.stop()
        assert broker.has_clean_marker()
    else:
        broker.kill()
        assert not broker.has_clean_marker()
    broker.start()
    assert not broker.has_clean_marker(), "it is taken away while the broker runs"
    with Client(broker) as client:
        assert client.topics() == before
        again = client.ask(3, 12, topics=[])
        assert again.cluster_id == cluster.cluster_id
        assert again.brokers[0].node_id == cluster.brokers[0].node_id
        assert client.produce("three", batch("more"), 2) == (NONE, 1)
    printed = output("consume", "three", "-e", "-f", r"%p %o %s\n", "-b", broker.address)
    assert sorted(printed.splitlines()) == [
        b"0 0 value 0",
        b"1 0 value 1",
        b"2 0 value 2",
        b"2 1 more",
    ]


@pytest.mark.parametrize("clean", [True, False], ids=["TERM", "KILL"])
def test_a_deletion_is_complete(fastlog_broker: FastlogBroker, clean):
    broker = fastlog_broker
    with Client(broker) as client:
        assert client.create("gone", 2, file_delete_delay_ms="60000") == NONE
        assert client.create("stays", 1) == NONE
        client.produce("gone", batch("x"))
        old = client.topics()["gone"]
        assert client.delete("gone") == NONE
        assert client.delete("gone") == UNKNOWN_TOPIC
        assert client.produce("gone", batch("x"))[0] == UNKNOWN_TOPIC
    if clean:
        broker.stop()
    else:
        broker.kill()
    broker.start()
    with Client(broker) as client:
        assert set(client.topics()) == {"stays"}
        assert client.create("gone", 1) == NONE
        new = client.topics()["gone"]
        assert new[0] != old[0], "the name has a new id"
        assert client.produce("gone", batch("new")) == (NONE, 0)
    assert output("consume", "gone", "-e", "-b", broker.address) == b"new\n"


def test_folders_that_no_topic_claims_become_topics(start_fastlog):
    """A folder as Kafka left it knows of no coordination store: its logs are taken in."""
    first: FastlogBroker = start_fastlog(name="first")
    with Client(first) as client:
        assert client.create("moved", 3) == NONE
        for number in (0, 1, 1, 2):
            client.produce("moved", batch(f"at {number}"), number)
        ids = client.topics()
    first.stop()
    second = FastlogBroker(first.folder.parent / "second")
    second.log_folder.mkdir(parents=True)
    for number in (0, 1, 2):
        shutil.copytree(
            first.partition_folder("moved", number), second.partition_folder("moved", number)
        )
    try:
        second.start()
        assert "is adopted" in second.process.text()
        with Client(second) as client:
            assert client.topics() == ids, "partition.metadata tells the id"
            assert client.produce("moved", batch("more"), 1) == (NONE, 2)
        second.restart()
        printed = output("consume", "moved", "-e", "-f", r"%p %o %s\n", "-b", second.address)
        assert sorted(printed.splitlines()) == [
            b"0 0 at 0",
            b"1 0 at 1",
            b"1 1 at 1",
            b"1 2 more",
            b"2 0 at 2",
        ]
        second.stop()
    finally:
        second.kill()


def test_the_topics_of_kafkas_own_state_lose_nothing_by_age(start_fastlog):
    """Kafka compacts them: a group's offset is as good after a year as on the first day."""
    first: FastlogBroker = start_fastlog(name="first")
    with Client(first) as client:
        assert client.create("copied", 1) == NONE
    first.stop()
    limits = {"log.retention.ms": 1000, "log.retention.bytes": 1000}
    second = FastlogBroker(first.folder.parent / "second", limits)
    second.log_folder.mkdir(parents=True)
    copy = second.partition_folder("__consumer_offsets", 0)
    shutil.copytree(first.partition_folder("copied", 0), copy)
    try:
        second.start()
        for _ in range(2):  # when it is adopted, and when it is known
            with Client(second) as client:
                client.create("t", 1)
                for name, limit in (("__consumer_offsets", -1), ("t", 1000)):
                    told = client.ask(DESCRIBE_RETENTION, 0, topic=name)
                    assert (told.retention_ms, told.retention_bytes) == (limit, limit)
            second.restart()
        second.stop()
    finally:
        second.kill()


def test_what_is_adopted_loses_nothing_by_age(start_fastlog):
    """How long its records were to be kept is not written in a folder."""
    first: FastlogBroker = start_fastlog(name="first")
    with Client(first) as client:
        assert client.create("moved", 1) == NONE
    first.stop()
    second = FastlogBroker(first.folder.parent / "second", {"log.retention.ms": 1000})
    second.log_folder.mkdir(parents=True)
    shutil.copytree(first.partition_folder("moved", 0), second.partition_folder("moved", 0))
    try:
        second.start()
        assert (
            "keeps all that it has (retention.ms=-1, retention.bytes=-1)" in second.process.text()
        )
        for _ in range(2):  # when it is adopted, and when it is known
            with Client(second) as client:
                told = client.ask(DESCRIBE_RETENTION, 0, topic="moved")
                assert (told.retention_ms, told.retention_bytes) == (-1, -1)
            second.restart()
        second.stop()
    finally:
        second.kill()


def test_folders_without_topic_ids(start_fastlog):
    """Kafka before 2.8 wrote no partition.metadata; the numbers may have a gap."""
    broker: FastlogBroker = start_fastlog()
    with Client(broker) as client:
        assert client.create("old", 3) == NONE
        client.produce("old", batch("x"), 2)
    broker.stop()
    for name in ("fastlog-coordination.db", "meta.properties"):
        (broker.log_folder / name).unlink()
    shutil.rmtree(broker.partition_folder("old", 1))
    (broker.partition_folder("old", 2) / "partition.metadata").unlink()
    broker.start()
    with Client(broker) as client:
        first = client.topics()["old"]
        assert first[1] == 3
    (broker.partition_folder("old", 0) / "partition.metadata").unlink()
    broker.restart()
    with Client(broker) as client:
        assert client.topics()["old"] == first
        assert client.produce("old", batch("y"), 2) == (NONE, 1)
        assert client.produce("old", batch("y"), 1) == (NONE, 0)
    broker.stop()
    for number in range(3):
        (broker.partition_folder("old", number) / "partition.metadata").unlink()
    (broker.log_folder / "fastlog-coordination.db").unlink()
    broker.start()
    broker.stop()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("fastlog-coordination.db", b"garbage " * 100),
        ("meta.properties", b"version=1\ncluster.id=x\nnode.id=1\n"),
        ("meta.properties", b"version=0\nbroker.id=x\n"),
        ("t-0/partition.metadata", b"version: 0\ntopic_id: !!!\n"),
        ("t-0", b"a file"),
    ],
)
def test_broken_folders(tmp_path, file, content):
    """Refused in one line that names the file, or else left alone; never a traceback."""
    path = tmp_path / "data" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    if file == "t-0":
        broker = FastlogBroker(tmp_path)
        try:
            broker.start()
            broker.stop()
        finally:
            broker.kill()
        return
    done = fastlog("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"fastlog: {tmp_path / 'data'}")


def test_a_topic_made_anew_many_times(shared_fastlog: FastlogBroker):
    """Each incarnation is empty, has its own id, and takes records at once."""
    name, seen = f"again-{uuid.uuid4().hex[:8]}", set()
    with Client(shared_fastlog) as client:
        for number in range(40):
            assert client.create(name, 2) == NONE
            seen.add(client.topics()[name][0])
            assert client.produce(name, batch(str(number)), number % 2) == (NONE, 0)
            assert client.delete(name) == NONE
    assert len(seen) == 40
    shared_fastlog.check_alive()
