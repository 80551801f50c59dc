"""Kafka's own command-line programs, of both releases, against fastlog."""

import json
import re
import uuid

import pytest

from tests.clients.confluent_driver import ConfluentDriver
from tests.peers.fastlog import FastlogBroker
from tests.peers.java import run_kafka_tool

RECORDS = 40_000
pytestmark = pytest.mark.parametrize("release", ["3.9", "4"])


@pytest.fixture
def topic(shared_fastlog: FastlogBroker) -> str:
    name = f"tools-{uuid.uuid4().hex[:8]}"
    created = ConfluentDriver(shared_fastlog.address).perform({"op": "create", "topic": name})
    assert created == {"created": True}
    return name


def end_offset(address: str, topic: str, release: str) -> int:
    """As Kafka's GetOffsetShell finds it."""
    tool = "org.apache.kafka.tools.GetOffsetShell"
    printed = run_kafka_tool(release, tool, "--bootstrap-server", address, "--topic", topic)
    name, partition, offset = printed.strip().splitlines()[-1].split(":")
    assert (name, partition) == (topic, "0")
    return int(offset)


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_producer_performance(
    shared_fastlog: FastlogBroker, topic: str, release: str, codec: str
) -> None:
    address = shared_fastlog.address
    arguments = ["--topic", topic, "--num-records", RECORDS, "--record-size", 300]
    arguments += ["--throughput", -1, "--producer-props", f"bootstrap.servers={address}"]
    arguments += ["acks=all", f"compression.type={codec}"]
    printed = run_kafka_tool(release, "org.apache.kafka.tools.ProducerPerformance", *arguments)
    assert re.search(rf"^{RECORDS} records sent", printed, re.M), printed
    assert end_offset(address, topic, release) == RECORDS


def test_verifiable_producer(shared_fastlog: FastlogBroker, topic: str, release: str) -> None:
    address = shared_fastlog.address
    arguments = ["--topic", topic, "--bootstrap-server", address, "--max-messages", 3000]
    arguments += ["--acks", -1]
    printed = run_kafka_tool(release, "org.apache.kafka.tools.VerifiableProducer", *arguments)
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    sent = [event for event in events if event["name"] == "producer_send_success"]
    assert not [event for event in events if event["name"] == "producer_send_error"]
    assert sorted(event["offset"] for event in sent) == list(range(3000))
    assert end_offset(address, topic, release) == 3000
