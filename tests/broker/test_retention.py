"""What was deleted stays deleted, whatever becomes of the broker."""

from collections.abc import Callable

from tests.broker.clients import NONE, OUT_OF_RANGE, STORAGE_ERROR, Client
from tests.clients.batches import Batch, Record
from tests.peers.fastlog import FastlogBroker

KIB = Batch([Record(b"x" * 1000)]).encode()


def test_deleted_records_stay_so_after_a_kill(start_fastlog: Callable[..., FastlogBroker]):
    broker = start_fastlog({"log.segment.bytes": 2200, "log.segment.delete.delay.ms": 100_000})
    with Client(broker) as client:
        assert client.create("t") == NONE
        for _ in range(9):
            assert client.produce("t", KIB)[0] == NONE
        assert client.delete_records("t", 5) == (NONE, 5)
    broker.kill()
    folder = broker.partition_folder("t", 0)
    assert len([*folder.glob("*.log.deleted")]) == 2  # of offsets 0 to 3
    broker.start()
    with Client(broker) as client:
        assert client.end_offset("t", timestamp=-2) == (NONE, 5)
        assert client.fetch("t", offset=4).error_code == OUT_OF_RANGE
        assert client.fetch("t", offset=5).error_code == NONE
        assert client.delete_records("t", 10)[0] == OUT_OF_RANGE
        assert client.produce("t", KIB) == (NONE, 9)
    assert not [*folder.glob("*.deleted")]
    broker.stop()


def test_a_checkpoint_that_cannot_be_written_is_told(start_fastlog: Callable[..., FastlogBroker]):
    """In its place stands a folder, which no file replaces."""
    broker = start_fastlog()
    (broker.log_folder / "log-start-offset-checkpoint").mkdir()
    (broker.log_folder / "log-start-offset-checkpoint" / "x").touch()
    with Client(broker) as client:
        assert client.create("t") == NONE
        client.produce("t", KIB)
        assert client.delete_records("t", 1) == (STORAGE_ERROR, -1)
