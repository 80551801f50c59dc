"""A start that finds a folder without its meta.properties, or without anything, says so."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.clients import NONE, Client
from tests.clients.batches import Batch, Record
from tests.peers.fastlog import FastlogBroker

ONE = Batch([Record(b"x")]).encode()
PARTITIONS = 4
STATE = "fastlog-coordination.db"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[FastlogBroker]:
    """A broker that stands still; topic t has half of its partitions in each of two folders."""
    broker = FastlogBroker(tmp_path / "broker")
    broker.log_folder = Path(f"{tmp_path / 'a'},{tmp_path / 'b'}")
    try:
        broker.start()
        with Client(broker) as client:
            assert client.create("t", PARTITIONS) == NONE
            for number in range(PARTITIONS):
                assert client.produce("t", ONE, number) == (NONE, 0)
        broker.stop()
        yield broker
    finally:
        broker.kill()


def warnings(broker: FastlogBroker) -> list[str]:
    """What is wrong, without time and level."""
    assert broker.process is not None
    found = re.findall(r"(?:WARNING|ERROR) +\S+?:? (.*)", broker.process.text())
    return [line for line in found if "was not left in order" not in line]


def ends(broker: FastlogBroker) -> list[tuple[int, int]]:
    with Client(broker) as client:
        return [client.end_offset("t", number) for number in range(PARTITIONS)]


def test_the_brokers_id_is_lost(broker: FastlogBroker, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name / "meta.properties").unlink()
    for _ in range(2):  # it stays so
        broker.start()
        (told,) = warnings(broker)
        assert told == (
            f"4 partitions in {tmp_path / 'a'}, {tmp_path / 'b'} belong to broker 1001, which is"
            " gone, and not to this one, 1002: nobody serves them. Was meta.properties lost? Stop"
            f" this broker, write broker.id=1001 into {tmp_path / 'a' / 'meta.properties'},"
            f" {tmp_path / 'b' / 'meta.properties'}, and start it again"
        )
        broker.stop()
    for name in ("a", "b"):  # as it says
        path = tmp_path / name / "meta.properties"
        path.write_text(path.read_text().replace("broker.id=1002", "broker.id=1001"))
    broker.start()
    assert warnings(broker) == []
    assert ends(broker) == [(NONE, 1)] * PARTITIONS
    broker.stop()


def test_one_folder_still_knows_the_id(broker: FastlogBroker, tmp_path: Path):
    """As in Kafka: an id is generated only where no folder has one."""
    path = tmp_path / "b" / "meta.properties"
    before = path.read_text()
    path.unlink()
    broker.start()
    assert warnings(broker) == []
    assert ends(broker) == [(NONE, 1)] * PARTITIONS
    broker.stop()
    assert re.findall("broker.id=.*", path.read_text()) == re.findall("broker.id=.*", before)


def test_a_disk_is_not_mounted(broker: FastlogBroker, tmp_path: Path):
    away, folder = tmp_path / "away", tmp_path / "b"
    folder.rename(away)
    broker.start()
    (told,) = warnings(broker)
    assert told == (
        f"{folder} was not used before, and 2 partitions are in no log folder: they begin anew,"
        " empty. Is a disk not mounted there?"
    )
    assert sorted(ends(broker)) == [(NONE, 0)] * 2 + [(NONE, 1)] * 2
    broker.stop()
    broker.start()
    assert warnings(broker) == []
    broker.stop()


def test_the_disk_with_the_clusters_state_is_not_mounted(broker: FastlogBroker, tmp_path: Path):
    folder = tmp_path / "a"
    assert (folder / STATE).exists()
    shutil.move(folder, tmp_path / "away")
    broker.start()
    assert f"{folder} was not used before, and no log folder has the cluster's state" in "".join(
        warnings(broker)
    )
    broker.stop()


def test_a_folder_more_is_no_loss(broker: FastlogBroker, tmp_path: Path):
    broker.log_folder = Path(f"{broker.log_folder},{tmp_path / 'c'}")
    broker.start()
    assert warnings(broker) == []
    broker.stop()
