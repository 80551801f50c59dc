"""Topics deleted, made again and rolled while clients produce and consume at full speed."""

import os
import time
from pathlib import Path

import pytest

from tests.clients.confluent_driver import ConfluentDriver
from tests.clients.drivers import Step
from tests.clients.transcript import create_again
from tests.crash.loading import Load
from tests.peers.fastlog import FastlogBroker

TOPICS = ("kept", "first", "second")
CONFIGS = {"segment.bytes": 16384, "index.interval.bytes": 256}


def wanted_topic(name: str) -> Step:
    return {"op": "create_again", "topic": name, "configs": CONFIGS}


@pytest.mark.timeout(3600)
def test_topics_deleted_and_rolled_under_load(
    fastlog_broker: FastlogBroker, tmp_path: Path
) -> None:
    """No crash, and no wrong byte: consumers check CRCs and a digest in every value."""
    driver = ConfluentDriver(fastlog_broker.address)
    for name in TOPICS:
        assert driver.perform({**wanted_topic(name), "op": "create"}) == {"created": True}
    with Load(fastlog_broker, tmp_path, list(TOPICS)) as load:
        load.start(producers=2, consumers=3)
        until = time.monotonic() + float(os.environ.get("CRASH_TEST_SECONDS", "15"))
        deleted = 0
        while time.monotonic() < until:
            load.wait_for_more(100)
            name = TOPICS[1 + deleted % 2]
            answer = driver.perform({"op": "delete", "topic": name})
            # the producers' Metadata requests make topics as well: both are fine here
            assert answer in ({"deleted": True}, {"error": "UNKNOWN_TOPIC_OR_PART"}), answer
            create_again(driver, wanted_topic(name))
            deleted += 1
            load.check_running()
        assert deleted >= 5, "the load hardly ran"
        rolled = len(list(fastlog_broker.partition_folder("kept", 0).glob("*.log")))
        assert rolled > 3, "no segment was rolled"
        load.end()
        acknowledged = load.acknowledged_kept("kept")
    fastlog_broker.check_alive()
    seen = driver.perform({"op": "watermarks", "topic": "kept"})
    assert seen["end"] >= acknowledged
    fastlog_broker.stop()
