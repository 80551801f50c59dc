"""ListOffsets."""

import os

import pytest

from fastlog.protocol import messages
from tests.api.broker import Broker, Log, Partition, ask

LIST_OFFSETS = 2
EVERY_VERSION = range(1, 11)
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


@pytest.fixture
def broker():
    broker = Broker()
    broker.topics.add("a", partitions=3)
    records = [(100, 2), (300, 2), (200, 4), (400, 4), (500, 4)]
    epochs = [(2, 7), (4, 12)]
    broker.logs["a", 0] = Log(records, 10, 4, epochs, hidden=1, undecided=1)
    broker.logs["a", 1] = Log()
    return broker


def look_up(broker, version, *timestamps, topic="a", partition=0, epoch=-1, **fields):
    request = messages.request_class(LIST_OFFSETS)
    partitions = [
        request.ListOffsetsPartition(
            partition_index=partition, timestamp=timestamp, current_leader_epoch=epoch
        )
        for timestamp in timestamps
    ]
    topics = [request.ListOffsetsTopic(name=topic, partitions=partitions)]
    response = ask(broker, LIST_OFFSETS, version, topics=topics, **{"replica_id": -1, **fields})
    assert [one.name for one in response.topics] == [topic]
    return [
        (one.error_code, one.offset, one.timestamp, one.leader_epoch)
        for one in response.topics[0].partitions
    ]


def expected(version, offset, timestamp, epoch):
    return [(0, offset, timestamp, epoch if version >= 4 else -1)]


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_ends(broker, version):
    assert look_up(broker, version, LATEST) == expected(version, 14, -1, 4)
    assert look_up(broker, version, EARLIEST) == expected(version, 10, -1, 2)
    assert look_up(broker, version, LATEST, partition=1) == expected(version, 0, -1, 0)
    assert look_up(broker, version, EARLIEST, partition=1) == expected(version, 0, -1, 0)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_times(broker, version):
    assert look_up(broker, version, 0) == expected(version, 10, 100, 2)
    assert look_up(broker, version, 150) == expected(version, 11, 300, 2)
    assert look_up(broker, version, 301) == expected(version, 13, 400, 4)
    assert look_up(broker, version, 401) == expected(version, -1, -1, -1)  # not yet replicated
    assert look_up(broker, version, 501) == expected(version, -1, -1, -1)
    assert look_up(broker, version, 0, partition=1) == expected(version, -1, -1, -1)


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize(
    "special, since, answer",
    [
        (MAX_TIMESTAMP, 7, (0, 14, 500, 4)),
        (EARLIEST_LOCAL, 8, (0, 10, -1, 2)),
        (LATEST_TIERED, 9, (0, -1, -1, -1)),
        (-6, 11, None),
        (-7, 11, None),
    ],
)
def test_special_times_and_the_versions_that_know_them(broker, version, special, since, answer):
    broker.logs["a", 0].hidden = 0
    known = version >= since
    assert look_up(broker, version, special) == [answer if known else (35, -1, -1, -1)]


def test_the_greatest_timestamp_above_the_high_watermark(broker):
    assert look_up(broker, 7, MAX_TIMESTAMP) == [(0, -1, -1, -1)]


@pytest.mark.parametrize("version", range(2, 11))
def test_isolation(broker, version):
    assert look_up(broker, version, LATEST, isolation_level=1) == expected(version, 13, -1, 4)
    assert look_up(broker, version, 400, isolation_level=1) == expected(version, -1, -1, -1)
    assert look_up(broker, version, LATEST, isolation_level=9) == [(-1, -1, -1, -1)]


def test_a_follower_sees_the_end(broker):
    assert look_up(broker, 4, LATEST, replica_id=5) == [(0, 15, -1, 4)]


@pytest.mark.parametrize("epoch, error", [(3, 74), (5, 75), (4, 0)])
def test_leader_epochs(broker, epoch, error):
    assert look_up(broker, 4, LATEST, epoch=epoch)[0][0] == error


def test_partitions_that_are_not_here(broker):
    broker.topics.get("a").partitions[3] = Partition(leader=2)
    broker.logs["a", 3] = Log()
    assert look_up(broker, 4, LATEST, topic="b") == [(3, -1, -1, -1)]
    assert look_up(broker, 4, LATEST, partition=9) == [(3, -1, -1, -1)]
    assert look_up(broker, 4, LATEST, partition=2) == [(6, -1, -1, -1)]  # no log
    assert look_up(broker, 4, LATEST, partition=3) == [(6, -1, -1, -1)]  # led elsewhere
    assert look_up(broker, 4, LATEST, partition=3, replica_id=-2) == [(0, 0, -1, 0)]


def test_a_partition_twice_in_one_request(broker):
    assert look_up(broker, 4, LATEST, EARLIEST) == [(42, -1, -1, -1)] * 2


def test_a_log_that_cannot_be_read(broker):
    broker.logs["a", 0].broken = True
    assert look_up(broker, 4, 100) == [(56, -1, -1, -1)]


def old_look_up(broker, timestamp, count=10, partition=0, replica_id=-1):
    request = messages.request_class(LIST_OFFSETS)
    wanted = request.ListOffsetsPartition(
        partition_index=partition, timestamp=timestamp, max_num_offsets=count
    )
    topics = [request.ListOffsetsTopic(name="a", partitions=[wanted])]
    response = ask(broker, LIST_OFFSETS, 0, topics=topics, replica_id=replica_id)
    (answer,) = response.topics[0].partitions
    return answer.error_code, answer.old_style_offsets


def test_version_0_lists_segments(broker, tmp_path):
    log = broker.logs["a", 0]
    for base_offset, seconds in ((9, 1000), (12, 2000)):
        path = tmp_path / f"{base_offset}.log"
        path.touch()
        os.utime(path, (seconds, seconds))
        log.files.append({"base_offset": base_offset, "size_bytes": 50, "path": str(path)})
    assert old_look_up(broker, LATEST) == (0, [14, 12, 10])
    assert old_look_up(broker, LATEST, replica_id=5) == (0, [15, 12, 10])
    assert old_look_up(broker, LATEST, count=1) == (0, [14])
    assert old_look_up(broker, EARLIEST) == (0, [10])
    assert old_look_up(broker, 2_000_000) == (0, [12, 10])
    assert old_look_up(broker, 1_999_999) == (0, [10])
    assert old_look_up(broker, 0) == (0, [])
    assert old_look_up(broker, MAX_TIMESTAMP) == (35, [])
    assert old_look_up(broker, LATEST, partition=9) == (3, [])
    log.files[1]["size_bytes"] = 0
    assert old_look_up(broker, LATEST) == (0, [12, 10])
    (tmp_path / "9.log").unlink()
    assert old_look_up(broker, LATEST) == (0, [12])
