"""Topics deleted, made again and rolled while clients produce and consume at full speed.

CRASH_TEST_SECONDS sets for how long.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.confluent_driver import ConfluentDriver
from tests.crash.loading import Load, verify_files
from tests.peers.fastlog import FastlogBroker

KEPT, DELETED = "kept", ("first", "second")
SETTINGS = {"log.segment.bytes": 16384, "log.index.interval.bytes": 256}


@pytest.mark.timeout(3600)
def test_topics_deleted_and_rolled_under_load(
    start_fastlog: Callable[..., FastlogBroker], tmp_path: Path
) -> None:
    """No crash, and no wrong byte: consumers check CRCs and a digest in every value."""
    broker = start_fastlog(SETTINGS)
    driver = ConfluentDriver(broker.address)
    for name in (KEPT, *DELETED):
        assert driver.perform({"op": "create", "topic": name}) == {"created": True}
    with Load(broker, tmp_path, [KEPT, *DELETED]) as load:
        load.start(producers=2, consumers=3)
        until = time.monotonic() + float(os.environ.get("CRASH_TEST_SECONDS", "15"))
        rounds = 0
        while time.monotonic() < until:
            load.wait_for_more(50)
            name = DELETED[rounds % 2]
            # the producers' Metadata requests make the topics again, sooner or later than we do
            answer = driver.perform({"op": "delete", "topic": name})
            assert answer in ({"deleted": True}, {"error": "UNKNOWN_TOPIC_OR_PART"}), answer
            answer = driver.perform({"op": "create", "topic": name})
            assert answer in ({"created": True}, {"error": "TOPIC_ALREADY_EXISTS"}), answer
            rounds += 1
            load.check_running()
        assert rounds >= 5, "the load hardly ran"
        rolled = len(list(broker.partition_folder(KEPT, 0).glob("*.log")))
        assert rolled > 3, "no segment was rolled"
        load.end()
        acknowledged = load.acknowledged_count_of(KEPT)
    broker.check_alive()
    assert driver.perform({"op": "watermarks", "topic": KEPT})["end"] >= acknowledged
    broker.stop()
    verify_files(broker)
