"""The partition table keeps its logs alive for as long as somebody may look at them."""

import pytest

from fastlog_ext.partition_log import live_counts
from fastlog_ext.topics import Topics
from tests.engine.logs import open_log


def test_publish_replace_remove(tmp_path):
    before = live_counts()["logs"]
    topics = Topics()
    logs = {number: open_log(tmp_path / f"t-{number}") for number in range(3)}
    topics.publish("t", bytes(16), {0: logs[0]}, 2)
    for number in range(40):
        topics.publish(f"other{number}", number.to_bytes(16, "big"), {}, 1)
    topics.publish("t", bytes(16), logs, 3)
    assert sorted(topics.get("t")) == [0, 1, 2]
    assert len(topics.names()) == 41
    with pytest.raises(ValueError):
        topics.publish("t", bytes(16), {3: logs[0]}, 3)
    assert sorted(topics.get("t")) == [0, 1, 2]
    assert topics.remove("t") and not topics.remove("t")
    assert topics.get("t") is None
    for log in logs.values():
        log.close()
    del log
    logs.clear()
    assert live_counts()["logs"] == before


def test_the_table_outlives_the_handles(tmp_path):
    before = live_counts()["logs"]
    topics = Topics()
    topics.publish("t", bytes(16), {0: open_log(tmp_path / "t-0")}, 1)
    topics.get("t")[0].close()
    del topics
    assert live_counts()["logs"] == before


def test_a_damaged_epoch_checkpoint_is_made_anew(tmp_path):
    (tmp_path / "t-0").mkdir()
    (tmp_path / "t-0" / "leader-epoch-checkpoint").write_text("7\nnonsense\n")
    log = open_log(tmp_path / "t-0", leader_epoch=3)
    assert log.end_offset_for_epoch(3) == (3, 0)
    log.close()
