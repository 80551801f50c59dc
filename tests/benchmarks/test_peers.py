"""Every row of the comparison runs small, on fastlog and on both Kafkas, and tells its figures."""

import pytest

from benchmarks.peers import loads, rest
from benchmarks.peers.brokers import COLUMNS, Fastlog, new_broker

QUICK = [load for load in loads.LOADS if getattr(load, "rate", 1000) == 1000]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The tools for loads of 2 MB and of one second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "WARM_MB", 1)
        yield loads.Machine(tmp_path_factory.mktemp("machine"), 2, 1)


@pytest.fixture(scope="module")
def fastlog(tmp_path_factory):
    broker = Fastlog(tmp_path_factory.mktemp("broker") / "folder")
    try:
        broker.start()
        yield broker
        broker.stop()
    finally:
        broker.kill()


def rows(steps):
    """{row: figures}; each of them was measured."""
    found = dict(steps)
    assert found
    for measured in found.values():
        assert measured and all(value >= 0 for value in measured.values())
    return found


@pytest.mark.parametrize("load", QUICK, ids=str)
def test_a_load_on_fastlog(machine, fastlog, load):
    for row, measured in rows(load.on_broker(machine, fastlog)).items():
        assert set(measured) & {"cpu_s_per_gb", "cpu_s_per_million"}, row


@pytest.mark.parametrize("chunk", [1 << 20, 16 << 10])
def test_the_limit(machine, chunk):
    found = rows(loads.Bytes("x", chunk, fetched="y").on_machine(machine))
    assert set(found) == {"produce x", "consume y"}


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.startswith("Kafka")])
def test_loads_on_kafka(machine, tmp_path, zookeeper, column):
    broker = new_broker(column, tmp_path / column.replace(" ", "-"), zookeeper)
    try:
        assert broker.start() > 0
        load = loads.Bytes("small", 16 << 10, "small", {"partitions": 2, "per_request": 2})
        assert set(rows(load.on_broker(machine, broker))) == {"produce small", "consume small"}
        before = broker.cpu_seconds()
        assert set(rows(loads.Records(500).on_broker(machine, broker))) == {
            "produce 100 B",
            "consume 100 B",
        }
        assert broker.cpu_seconds() > before > 0
        assert broker.resident_mb() > 50
    finally:
        broker.kill()


def test_a_load_that_fails_is_no_figure(machine, fastlog):
    with pytest.raises(RuntimeError, match="error code 3"):
        machine.measure("kload", "produce", port=fastlog.address[1], topic="nowhere", megabytes=1)


def test_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "SETTLE_S", 0)
    monkeypatch.setattr(rest, "IDLE_S", 0.2)
    monkeypatch.setattr(rest, "CONNECTIONS", 30)
    monkeypatch.setattr(rest, "PARTITIONS", 20)
    found = rows(rest.at_rest(Fastlog.column, tmp_path / "rest", "no zookeeper"))
    assert set(found) == {"start", "idle", "30 connections"}
    broker = Fastlog(tmp_path / "many")
    for _ in range(2):  # the second time they are there
        assert set(rows(rest.many_partitions(broker))) == {"20 partitions"}


@pytest.mark.parametrize("count", [1, 2])
def test_reactors(machine, tmp_path, count):
    (row,) = rows(rest.reactors(machine, tmp_path / "reactors", count))
    assert row.startswith(str(count))
