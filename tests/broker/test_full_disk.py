"""A full disk: an error to each client, and a broker that lives on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.clients import NONE, STORAGE_ERROR, Client
from tests.clients.batches import Batch, Record
from tests.console.command import failure, fastlog, output
from tests.peers.fastlog import FastlogBroker
from tests.peers.small_disk import fill_up, small_disk


@pytest.fixture(name="small_disk")
def disk_of_8_mib(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "8m") as folder:
        yield folder


@pytest.fixture
def broker(small_disk: Path) -> Iterator[FastlogBroker]:
    """A broker whose data lies there; its output does not."""
    broker = FastlogBroker(small_disk.parent / "broker", {"fastlog.disk.free.min.bytes": 0})
    broker.log_folder = small_disk / "data"
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def fill(client: Client, topic: str) -> int:
    """Produces until it is refused; how many records were acknowledged."""
    large = Batch([Record(b"x" * 900_000)]).encode()
    for count in range(20):
        code, offset = client.produce(topic, large)
        if code != NONE:
            assert code == STORAGE_ERROR
            return count
        assert offset == count
    raise AssertionError("8 MiB do not hold 18 MB")


def test_a_full_disk(broker: FastlogBroker, small_disk: Path):
    with Client(broker) as client:
        assert client.create("full") == NONE
        acknowledged = fill(client, "full")
        assert acknowledged >= 5
        assert client.produce("full", Batch([Record(b"x" * 900_000)]).encode())[0] == STORAGE_ERROR
        assert set(client.topics()) == {"full"}
    broker.check_alive()
    fill_up(small_disk)
    said = failure(
        "produce", "full", "-X", "message.timeout.ms=2000", "-b", broker.address, stdin=b"x\n" * 9
    )
    assert "9 records were not acknowledged" in said
    assert output("topic", "list", "-b", broker.address) == b"full\n"
    assert "Traceback" not in broker.process.text()

    (small_disk / "ballast").unlink()
    with Client(broker) as client:  # what did not fit left nothing behind
        assert client.produce("full", Batch([Record(b"less")]).encode()) == (NONE, acknowledged)
    acknowledged += 1
    fill_up(small_disk)
    broker.process.terminate()  # in order or not, but without a traceback
    assert "Traceback" not in broker.process.text()
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    broker.start()
    sizes = output("consume", "full", "-e", "-f", r"%o %S\n", "-b", broker.address).splitlines()
    large = [b"%d 900000" % n for n in range(acknowledged - 1)]
    assert sizes == [*large, b"%d 4" % (acknowledged - 1)]
    with Client(broker) as client:
        assert client.produce("full", Batch([Record(b"more")]).encode())[0] == NONE
    broker.stop()
    assert fastlog("log", "verify", broker.log_folder).returncode == 0


def test_topics_on_a_full_disk(broker: FastlogBroker, small_disk: Path):
    with Client(broker) as client:
        assert client.create("before") == NONE
        fill_up(small_disk)
        codes = [client.create(f"t{n}", 50) for n in range(3)]
        assert set(codes) <= {NONE, STORAGE_ERROR} and STORAGE_ERROR in codes
        assert "before" in client.topics()
        (small_disk / "ballast").unlink()
        assert client.produce("before", Batch([Record(b"x")]).encode()) == (NONE, 0)
        assert client.create("after", 2) == NONE, "the same broker goes on"
        assert client.produce("after", Batch([Record(b"x")]).encode()) == (NONE, 0)
        assert client.delete("after") == NONE
        seen = client.topics()
    broker.check_alive()
    assert "Traceback" not in broker.process.text()
    broker.stop()
    broker.start()
    with Client(broker) as client:
        assert client.topics() == seen
    broker.stop()


def test_no_start_on_a_full_disk(small_disk: Path):
    fill_up(small_disk)
    said = failure("serve", "--data", small_disk / "data", "--listen", "127.0.0.1:0")
    assert "No space left on device" in said
