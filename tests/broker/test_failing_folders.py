"""Several log folders: where partitions go, and what is left when one of them fails."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.broker.clients import NONE, STORAGE_ERROR, Client
from tests.clients.batches import Batch, Record
from tests.console.command import ROOT, fastlog
from tests.peers import page_cache
from tests.peers.fastlog import FastlogBroker
from tests.peers.faulty_disk import FaultyDisk
from tests.peers.kafka import KafkaBroker

TOPIC_EXISTS = 36
ONE = Batch([Record(b"x")]).encode()
LARGE = Batch([Record(b"x" * 100_000)]).encode()
# error, leader (0: the broker, -1: nobody), in-sync and offline replicas, as Client.leaders tells
LED = (0, 0, [0], [])
OFFLINE = (5, -1, [0], [0])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    with FaultyDisk(tmp_path / "bad") as disk:
        yield disk


@pytest.fixture
def broker(disk: FaultyDisk, tmp_path: Path) -> Iterator[FastlogBroker]:
    """A broker with a good folder and one on the disk; topic t has two partitions on each."""
    broker = FastlogBroker(tmp_path / "broker", {"log.segment.bytes": 250_000})
    broker.log_folder = Path(f"{tmp_path / 'good'},{disk.folder}")
    try:
        broker.start()
        with Client(broker) as client:
            assert client.create("t", 4) == NONE
            for number in range(4):
                assert client.produce("t", ONE, number) == (NONE, 0)
        yield broker
    finally:
        broker.kill()


def bad_ones(disk: FaultyDisk, topic: str = "t") -> list[int]:
    """The partitions on the disk."""
    names = os.listdir(disk.beneath)
    return sorted(int(n.rpartition("-")[2]) for n in names if n.startswith(f"{topic}-"))


def appends_until_it_fails(client: Client, partition: int) -> None:
    for _ in range(10):
        if client.produce("t", LARGE, partition)[0] == STORAGE_ERROR:
            return
    raise AssertionError("no append failed")


def check_offline_alone(broker, client: Client, bad: list[int]) -> None:
    """What the clients of either folder are told; the answers are Kafka 3.9's."""
    wait_for(lambda: client.leaders("t")[bad[0]] == OFFLINE)
    assert client.leaders("t") == {n: OFFLINE if n in bad else LED for n in range(4)}
    for number in range(4):
        expected = STORAGE_ERROR if number in bad else NONE
        for epoch in (-1, 0):
            assert client.fetch("t", number, epoch=epoch).error_code == expected
            assert client.end_offset("t", number, epoch=epoch)[0] == expected
        assert client.fetch("t", number, epoch=7).error_code == (expected or 75)
        assert client.produce("t", ONE, number)[0] == expected
    assert broker.process.running()


def refusal(folders: object) -> str:
    """Why a broker does not start: the last line it says."""
    done = fastlog("serve", "--data", folders, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    return done.stderr.decode().splitlines()[-1]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_partitions_are_spread_and_folders_are_closed(broker: FastlogBroker, disk: FaultyDisk):
    good = Path(str(broker.log_folder).partition(",")[0])
    assert len(bad_ones(disk)) == 2
    assert len(list(good.glob("t-*"))) == 2
    with Client(broker) as client:
        assert client.create("u", 1) == NONE
        assert client.create("v", 3) == NONE
    assert len([*good.glob("t-*"), *good.glob("u-*"), *good.glob("v-*")]) == 4
    broker.stop()
    for folder in (good, disk.beneath):
        names = {path.name for path in folder.iterdir() if path.is_file()}
        assert {".lock", "meta.properties", ".kafka_cleanshutdown"} <= names
        assert {"recovery-point-offset-checkpoint", "replication-offset-checkpoint"} <= names
        assert "cluster.id=" in (folder / "meta.properties").read_text()
    assert (good / "fastlog-coordination.db").exists()
    broker.start()
    with Client(broker) as client:
        assert client.leaders("t") == dict.fromkeys(range(4), LED)
        assert [client.end_offset("t", n) for n in range(4)] == [(NONE, 1)] * 4


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (errno.EIO, ["write"]),
        (errno.EROFS, ["write", "truncate", "change"]),
        (errno.EIO, ["change"]),
        (errno.EIO, ["sync"]),
    ],
    ids=["EIO", "read-only", "EIO on a roll", "EIO on a sync"],
)
def test_a_folder_goes_offline_alone(broker: FastlogBroker, disk: FaultyDisk, error, kinds):
    bad = bad_ones(disk)
    with Client(broker) as client:
        disk.fail(error, *kinds)
        appends_until_it_fails(client, bad[0])
        check_offline_alone(broker, client, bad)
        assert client.create("new", 2) == NONE
        assert client.leaders("new") == {0: LED, 1: LED}
        disk.mend()
        assert client.produce("t", ONE, bad[1])[0] == STORAGE_ERROR, "not without a look at it"
    assert os.strerror(error) in broker.process.text()
    broker.stop()
    broker.start()  # the look: recovery
    with Client(broker) as client:
        assert client.leaders("t") == dict.fromkeys(range(4), LED)
        for number in range(4):
            assert client.produce("t", ONE, number)[0] == NONE
    broker.stop()
    for folder in str(broker.log_folder).split(","):
        assert fastlog("log", "verify", folder).returncode == 0


def test_who_waits_is_told(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    with Client(broker) as client, Client(broker) as waiting, ThreadPoolExecutor() as pool:
        parked = pool.submit(waiting.fetch, "t", bad[1], 1, max_wait_ms=25_000)
        disk.fail(errno.EIO, "write")
        appends_until_it_fails(client, bad[0])
        assert parked.result(10).error_code == STORAGE_ERROR


def test_kafka_says_the_same(disk: FaultyDisk, tmp_path: Path, zookeeper: str):
    folders = f"{tmp_path / 'good'},{disk.folder}"
    settings = {"log.dirs": folders, "log.segment.bytes": 250_000}
    kafka = KafkaBroker(tmp_path / "kafka", f"{zookeeper}/{tmp_path.name}", settings)
    try:
        kafka.start()
        with Client(kafka) as client:
            assert client.create("t", 4) == NONE
            wait_for(lambda: client.produce("t", ONE, 3)[0] == NONE)
            bad = bad_ones(disk)
            assert len(bad) == 2
            disk.fail(errno.EIO, "write")
            appends_until_it_fails(client, bad[0])
            check_offline_alone(kafka, client, bad)
    finally:
        kafka.kill()


def test_nothing_hangs_on_a_log_that_cannot_be_read(fastlog_broker: FastlogBroker):
    """Whether librdkafka tells of it or tries again without a word, `consume -e` gives up."""
    broker = fastlog_broker
    with Client(broker) as client:
        assert client.create("t") == NONE
        assert client.produce("t", ONE) == (NONE, 0)
        assert client.produce("t", ONE) == (NONE, 1)
    damaged = broker.partition_folder("t", 0) / f"{0:020d}.log"
    with open(damaged, "r+b") as file:
        file.seek(8)
        file.write(bytes(4))  # the first batch's length
    script = (
        "import sys, fastlog.console.consume as consume; consume.STALL_SECONDS = 1\n"
        "from fastlog.console.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "consume", "t", "-e", "-b", broker.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert "INVALID_MSG" in done.stderr


def test_a_read_error(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    broker.stop()
    broker.start()  # nothing is cached
    with Client(broker) as client:
        for path in disk.folder.glob("t-*/*.log"):
            page_cache.forget(path)
        disk.fail(errno.EIO, "read")
        assert client.fetch("t", bad[0]).error_code == STORAGE_ERROR
        check_offline_alone(broker, client, bad)


def test_a_disk_is_unmounted(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    with Client(broker) as client:
        disk.unmount()
        check_offline_alone(broker, client, bad)
    assert "was it unmounted?" in broker.process.text()
    assert list(disk.folder.iterdir()) == [], "nothing is written to the disk beneath"


def test_a_full_folder_stays_online(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    with Client(broker) as client:
        disk.fail(errno.ENOSPC, "write", "change")
        for _ in range(6):  # appends, and rolls that are due
            client.produce("t", LARGE, bad[0])
        assert client.produce("t", LARGE, bad[0])[0] == STORAGE_ERROR
        assert client.leaders("t") == dict.fromkeys(range(4), LED)
        assert client.fetch("t", bad[0]).error_code == NONE
        assert client.create("elsewhere", 3) == NONE, "the other folder has room"
        disk.mend()
        before = client.end_offset("t", bad[0])
        assert before == (NONE, 1)
        for offset in range(1, 8):
            assert client.produce("t", LARGE, bad[0]) == (NONE, offset)
        wait_for(lambda: "has room again" in broker.process.text(), 30)
    lines = [line.partition(f"{disk.folder}: ")[2] for line in broker.process.text().splitlines()]
    assert [line for line in lines if line.startswith("the disk ")] == [
        "the disk is full: appends are refused until it has room",
        "the disk has room again, appends are taken; 7 batches were refused",
    ]
    assert bad_ones(disk, "elsewhere") == []
    broker.stop()
    assert fastlog("log", "verify", disk.folder).returncode == 0


def test_a_start_without_a_folder(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    broker.stop()
    disk.fail(errno.EIO, "look", "change", "write")
    broker.start()
    assert "goes on without this folder" in broker.process.text()
    with Client(broker) as client:
        check_offline_alone(broker, client, bad)
        assert client.create("new", 2) == NONE
    disk.mend()
    broker.restart()
    with Client(broker) as client:
        assert client.leaders("t") == dict.fromkeys(range(4), LED)
        assert [client.end_offset("t", n)[0] for n in bad] == [NONE, NONE]
        assert client.produce("t", ONE, bad[0]) == (NONE, 1)


def test_a_deletion_waits_for_the_folder(broker: FastlogBroker, disk: FaultyDisk):
    bad = bad_ones(disk)
    with Client(broker) as client:
        disk.fail(errno.EIO, "write")
        appends_until_it_fails(client, bad[0])
        wait_for(lambda: client.leaders("t")[bad[0]] == OFFLINE)
        assert client.delete("t") == NONE
        assert client.topics() == {}
        assert client.create("t") == TOPIC_EXISTS  # as Kafka, until its files are gone
        assert client.create("u") == NONE
    disk.mend()
    broker.restart()
    with Client(broker) as client:
        assert set(client.topics()) == {"u"}
        assert client.create("t", 2) == NONE
        assert client.end_offset("t", 0) == (NONE, 0)


def test_the_last_folder_ends_the_broker(broker: FastlogBroker, disk: FaultyDisk):
    good = Path(str(broker.log_folder).partition(",")[0])
    disk.unmount()
    wait_for(lambda: "is offline, with its 2 logs" in broker.process.text())
    good.rename(good.with_name("taken away"))
    assert broker.process.wait(30) == 1
    said = broker.process.text()
    assert said.splitlines()[-1] == f"fastlog: all log folders have failed: {good}, {disk.folder}"
    assert "Traceback" not in said


def test_a_partition_in_two_folders(broker: FastlogBroker, disk: FaultyDisk):
    good = Path(str(broker.log_folder).partition(",")[0])
    broker.stop()
    number = bad_ones(disk)[0]
    (good / f"t-{number}").mkdir()
    said = refusal(broker.log_folder)
    assert f"t-{number} is in two log folders, {good} and {disk.folder}" in said


def test_folders_of_two_brokers(tmp_path: Path, start_fastlog: Callable[..., FastlogBroker]):
    for name in ("one", "two"):
        start_fastlog(name=name).stop()
    both = f"{tmp_path / 'one' / 'data'},{tmp_path / 'two' / 'data'}"
    said = refusal(both)
    assert "each hold a cluster's state" in said


def test_the_clusters_state_is_out_of_reach(broker: FastlogBroker):
    good = Path(str(broker.log_folder).partition(",")[0])
    broker.stop()
    good.rename(good.with_name("elsewhere"))
    good.write_text("no folder")
    said = refusal(broker.log_folder)
    assert "the cluster's state lies out of reach" in said
