"""A cluster's state passes from fastlog's control to Kafka 3.9 and back, in a real ZooKeeper."""

import asyncio
import time

from confluent_kafka.admin import AdminClient, NewTopic

from fastlog.config import Settings
from fastlog.config.listeners import Listener
from fastlog.control import cluster
from fastlog.control.topics import Control
from fastlog.coordination import znodes
from tests.coordination.test_zookeeper import KazooSession
from tests.peers.kafka import BROKER_ID, running_kafka

ROOT = "/takeover"


async def controlled(zookeeper: str, act):
    """Runs `act(control, session)` as the only broker and controller of the cluster."""
    session = KazooSession(zookeeper + ROOT)
    await session.connect()
    try:
        await cluster.prepare(session)
        info = cluster.registration([Listener("PLAINTEXT", "127.0.0.1", 9)], None)
        await cluster.register(session, BROKER_ID, info)
        control = Control(session, Settings.of(), BROKER_ID)
        await control.start()
        return await act(control, session)
    finally:
        await session.close()


async def make_root(zookeeper: str) -> None:
    session = KazooSession(zookeeper)
    await session.connect()
    await session.ensure(ROOT)
    await session.close()


def settled(admin: AdminClient):
    """Metadata with leaders; a Kafka that has just started knows of no topic for a moment."""
    deadline = time.monotonic() + 60
    while True:
        found = admin.list_topics(timeout=30)
        leaders = [p.leader for topic in found.topics.values() for p in topic.partitions.values()]
        if leaders and -1 not in leaders or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_to_kafka_and_back(zookeeper, tmp_path):
    asyncio.run(make_root(zookeeper))

    async def create(control, session):
        configs = {"segment.bytes": "2000000"}
        topic = await control.create_topic("ours", partitions=3, configs=configs)
        await control.create_topic("gone", partitions=2)
        await control.delete_topic("gone")
        return topic.topic_id, await cluster.cluster_id(session)

    topic_id, identity = asyncio.run(controlled(zookeeper, create))
    with running_kafka(tmp_path / "kafka", zookeeper + ROOT) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.address})
        found = settled(admin)
        assert found.cluster_id == identity
        assert {name: len(topic.partitions) for name, topic in found.topics.items()} == {"ours": 3}
        assert [one.leader for one in found.topics["ours"].partitions.values()] == [BROKER_ID] * 3
        admin.create_topics([NewTopic("theirs", 2, 1)])["theirs"].result(30)
        metadata = (kafka.partition_folder("ours", 1) / "partition.metadata").read_text()
        assert metadata == f"version: 0\ntopic_id: {znodes.uuid_text(topic_id)}"
        kafka.stop()

    async def look(control, session):
        assert control.controller_epoch == 3
        ours, theirs = control.topics["ours"], control.topics["theirs"]
        assert ours.topic_id == topic_id
        assert ours.configs == {"segment.bytes": "2000000"}
        assert [state.leader for state in theirs.partitions.values()] == [BROKER_ID] * 2
        assert control.by_id(theirs.topic_id) is theirs
        await control.delete_topic("theirs")
        assert await cluster.cluster_id(session) == identity

    asyncio.run(controlled(zookeeper, look))
