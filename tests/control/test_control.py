"""The control of topics over the local store: what is written, found again, and fenced."""

import asyncio
import functools
import re

import pytest

from fastlog.config import Settings
from fastlog.config.listeners import Listener
from fastlog.control import cluster
from fastlog.control.producer_ids import ProducerIds, next_block
from fastlog.control.state import NO_TOPIC_ID
from fastlog.control.topics import Control
from fastlog.coordination import znodes
from fastlog.coordination.interface import Unknown
from fastlog.coordination.local import LocalStore
from fastlog.coordination.znodes import LeaderAndIsr, ProducerIdBlock, TopicAssignment
from fastlog.protocol.errors import KafkaError

ADVERTISED = [Listener("PLAINTEXT", "127.0.0.1", 9092)]


class Broker:
    """A session, registered, with a control and what its callbacks heard."""

    def __init__(self, store: LocalStore, broker_id: int = 7) -> None:
        self.id = broker_id
        self.coordination = store.session()
        self.control = Control(self.coordination, Settings.of(), broker_id)
        self.heard = []
        self.control.on_created.append(self._hearing("created"))
        self.control.on_deleted.append(self._hearing("deleted"))

    def _hearing(self, what):
        async def hear(topic):
            self.heard.append((what, topic.name, topic.name in self.control.topics))

        return hear

    async def start(self, clean=True):
        await self.coordination.connect()
        await cluster.prepare(self.coordination)
        info = cluster.registration(ADVERTISED, None)
        self.epoch = await cluster.register(self.coordination, self.id, info)
        await self.control.start(clean=clean)
        return self

    async def stop(self):
        await self.coordination.close()

    async def data(self, path) -> bytes:
        return (await self.coordination.get(path))[0]


def scenario(test):
    @functools.wraps(test)
    def run(tmp_path):
        asyncio.run(asyncio.wait_for(test(LocalStore(tmp_path)), 60))

    del run.__wrapped__
    return run


@scenario
async def test_what_a_creation_writes(store):
    broker = await Broker(store).start()
    configs = {"segment.bytes": " 2000000 "}
    topic = await broker.control.create_topic("t", partitions=2, configs=configs)
    assert broker.control.topics["t"] is topic
    assert broker.control.by_id(topic.topic_id) is topic
    assert (topic.partition_count, topic.replication_factor) == (2, 1)
    assert topic.configs == configs
    assert topic.partitions[1].leader == 7
    assert topic.partitions[1].leader_epoch == 0
    assert broker.heard == [("created", "t", False)]  # logs are open before clients see it

    text = znodes.uuid_text(topic.topic_id).encode()
    assert await broker.data("/brokers/topics/t") == (
        b'{"partitions":{"0":[7],"1":[7]},"topic_id":"%b","adding_replicas":{},'
        b'"removing_replicas":{},"version":3}' % text
    )
    assert await broker.data("/brokers/topics/t/partitions/1/state") == (
        b'{"controller_epoch":1,"leader":7,"version":1,"leader_epoch":0,"isr":[7]}'
    )
    assert await broker.data("/config/topics/t") == (
        b'{"version":1,"config":{"segment.bytes":" 2000000 "}}'
    )
    assert await broker.data("/controller_epoch") == b"1"
    assert re.fullmatch(
        rb'{"version":2,"brokerid":7,"timestamp":"\d+","kraftControllerEpoch":-1}',
        await broker.data("/controller"),
    )
    assert broker.epoch == (await broker.coordination.exists("/brokers/ids/7")).czxid
    await broker.stop()


@scenario
async def test_refusals_leave_nothing(store):
    broker = await Broker(store).start()
    await broker.control.create_topic("t")
    stat = await broker.coordination.exists("/brokers/topics")
    for code, name, request in [
        (36, "t", {}),
        (17, "a b", {}),
        (37, "u", {"partitions": 0}),
        (38, "u", {"replication_factor": 2}),
        (39, "u", {"assignments": {0: [8]}}),
        (40, "u", {"configs": {"flush.ms": "1"}}),
        (42, "u", {"assignments": {0: [7]}, "partitions": 1}),
    ]:
        with pytest.raises(KafkaError) as caught:
            await broker.control.create_topic(name, **request)
        assert caught.value.code == code
    assert await broker.coordination.exists("/brokers/topics") == stat
    assert await broker.coordination.children("/config/topics") == ["t"]
    await broker.stop()


@scenario
async def test_validate_only(store):
    broker = await Broker(store).start()
    topic = await broker.control.create_topic("t", partitions=3, validate_only=True)
    assert (topic.topic_id, topic.partition_count) == (NO_TOPIC_ID, 3)
    assert list(broker.control.topics) == []
    assert await broker.coordination.children("/brokers/topics") == []
    await broker.stop()


@scenario
async def test_deletion(store):
    broker = await Broker(store).start()
    await broker.control.create_topic("keep")
    first = await broker.control.create_topic("t", partitions=500)
    await broker.control.delete_topic("t")
    assert broker.heard[-1] == ("deleted", "t", False)
    assert broker.control.by_id(first.topic_id) is None
    for path, left in [
        ("/brokers/topics", ["keep"]),
        ("/config/topics", ["keep"]),
        ("/admin/delete_topics", []),
    ]:
        assert await broker.coordination.children(path) == left
    with pytest.raises(KafkaError) as caught:
        await broker.control.delete_topic("t")
    assert caught.value.code == 3
    again = await broker.control.create_topic("t")
    assert again.topic_id != first.topic_id
    await broker.stop()


@scenario
async def test_a_restart_finds_everything(store):
    broker = await Broker(store).start()
    await broker.control.create_topic("big", partitions=1000, configs={"segment.ms": "5"})
    await broker.control.create_topic("small")
    topics = dict(broker.control.topics)
    identity = await cluster.cluster_id(broker.coordination)
    await broker.stop()

    again = await Broker(store).start()
    assert dict(again.control.topics) == topics  # leader epochs included, as in Kafka
    assert again.control.controller_epoch == 2
    assert again.epoch > broker.epoch
    assert again.heard == []
    assert await cluster.cluster_id(again.coordination) == identity
    await again.stop()


@scenario
async def test_an_unclean_stop_moves_the_leader_epochs(store):
    broker = await Broker(store).start()
    await broker.control.create_topic("t", partitions=300)
    await broker.stop()
    again = await Broker(store).start(clean=False)
    states = again.control.topics["t"].partitions.values()
    assert {(s.leader, s.leader_epoch, s.isr, s.partition_epoch) for s in states} == {
        (7, 1, (7,), 1)
    }
    assert await again.data("/brokers/topics/t/partitions/299/state") == (
        b'{"controller_epoch":2,"leader":7,"version":1,"leader_epoch":1,"isr":[7]}'
    )
    await again.stop()


@scenario
async def test_what_was_cut_short_is_completed(store):
    """A controller that died in a creation, or in a deletion, between any two writes."""
    for writes in range(4):
        broker = await Broker(store).start()
        count = 0
        real = broker.coordination.multi

        async def multi(operations, limit=writes, real=real):
            nonlocal count
            count += 1
            if count > limit:
                raise Unknown(message="cut")
            return await real(operations)

        name = f"t{writes}"
        broker.coordination.multi = multi
        with pytest.raises(KafkaError) as caught:
            await broker.control.create_topic(name, partitions=400)
        assert caught.value.code == 7
        broker.coordination.multi = real
        await broker.coordination.close()

        broker = await Broker(store).start()
        if writes == 0:
            assert name not in broker.control.topics
            await broker.control.create_topic(name, partitions=400)
        topic = broker.control.topics[name]
        assert {state.leader for state in topic.partitions.values()} == {7}
        path = znodes.partition_state(name, 399)
        assert LeaderAndIsr.decode(await broker.data(path)).leader == 7

        count, real = 0, broker.coordination.multi
        broker.coordination.multi = functools.partial(multi, real=real)
        with pytest.raises(KafkaError):
            await broker.control.delete_topic(name)
        broker.coordination.multi = real
        await broker.coordination.close()

        broker = await Broker(store).start()
        if writes == 0:
            await broker.control.delete_topic(name)
        assert ("deleted", name, False) in broker.heard
        assert await broker.coordination.children("/brokers/topics") == []
        assert await broker.coordination.children("/admin/delete_topics") == []
        assert await broker.coordination.children("/config/topics") == []
        await broker.stop()


@scenario
async def test_an_unknown_outcome_is_looked_up(store):
    """The write was done, its answer lost: the next change finds the topic."""
    broker = await Broker(store).start()
    real = broker.coordination.multi

    async def multi(operations):
        await real(operations)
        raise Unknown(message="lost")

    broker.coordination.multi = multi
    with pytest.raises(KafkaError) as caught:
        await broker.control.create_topic("t")
    assert caught.value.code == 7
    broker.coordination.multi = real
    with pytest.raises(KafkaError) as caught:
        await broker.control.create_topic("t")
    assert caught.value.code == 36
    assert broker.heard == [("created", "t", True)]
    await broker.stop()


@scenario
async def test_a_deposed_controller_changes_nothing(store):
    broker = await Broker(store).start()
    await broker.control.create_topic("t")
    other = store.session()
    await other.connect()
    assert await cluster.elect(other, 8) is None
    await other.delete("/controller", None)
    won = await cluster.elect(other, 8)
    assert won is not None
    assert await cluster.controller_id(other) == 8
    for change in (broker.control.create_topic("u"), broker.control.delete_topic("t")):
        with pytest.raises(KafkaError) as caught:
            await change
        assert caught.value.code == 41
    assert await other.children("/brokers/topics") == ["t"]
    assert await other.children("/admin/delete_topics") == []
    await other.close()
    await broker.stop()


@scenario
async def test_a_lost_session_is_no_controller(store):
    broker = await Broker(store).start()
    await broker.coordination.expire()
    with pytest.raises(KafkaError) as caught:
        await broker.control.create_topic("t")
    assert caught.value.code == 41
    await broker.stop()


@scenario
async def test_a_disk_that_fails_under_a_creation(store):
    broker = await Broker(store).start()

    async def fail(topic):
        raise OSError(28, "No space left on device", "/data/t-0")

    broker.control.on_created.insert(0, fail)
    with pytest.raises(KafkaError) as caught:
        await broker.control.create_topic("t")
    assert caught.value.code == 56
    broker.control.on_created.remove(fail)
    await broker.control.delete_topic("t")
    assert broker.heard == [("created", "t", True), ("deleted", "t", False)]
    await broker.stop()


@scenario
async def test_creations_at_the_same_time(store):
    broker = await Broker(store).start()
    results = await asyncio.gather(
        *(broker.control.create_topic("t") for _ in range(5)), return_exceptions=True
    )
    codes = sorted(int(one.code) if isinstance(one, KafkaError) else 0 for one in results)
    assert codes == [0, 36, 36, 36, 36]
    await broker.stop()


@scenario
async def test_adopting_a_topic_of_a_folder(store):
    broker = await Broker(store).start()
    topic_id = znodes.random_uuid()
    topic = await broker.control.adopt_topic("t", topic_id, {0: 4, 1: -1}, {})
    assert [state.leader_epoch for state in topic.partitions.values()] == [5, 0]
    assert broker.control.by_id(topic_id) is topic
    await broker.stop()


@scenario
async def test_a_topic_of_an_old_kafka(store):
    broker = await Broker(store).start()
    old = TopicAssignment(None, {0: (7,)}).encode().replace(b'"version":3', b'"version":1')
    await broker.coordination.create("/brokers/topics/old", old)
    await broker.stop()
    again = await Broker(store).start()
    topic = again.control.topics["old"]
    assert topic.topic_id != NO_TOPIC_ID
    assert TopicAssignment.decode(await again.data("/brokers/topics/old")).topic_id == (
        topic.topic_id
    )
    assert topic.partitions[0].leader == 7
    await again.stop()


@scenario
async def test_topics_that_kafka_lets_through(store):
    """An assignment to a broker that is not there, one to nobody, and no partition at all."""
    broker = await Broker(store).start()
    for name, partitions in [("absent", {0: (7,), 1: (8,)}), ("nobody", {0: ()}), ("none", {})]:
        data = TopicAssignment(znodes.random_uuid(), partitions).encode()
        await broker.coordination.create(znodes.topic(name), data)
    await broker.stop()
    again = await Broker(store).start()
    states = {n: list(t.partitions.values()) for n, t in again.control.topics.items()}
    assert [(s.leader, s.isr) for s in states["absent"]] == [(7, (7,)), (-1, ())]
    assert [(s.leader, s.isr) for s in states["nobody"]] == [(-1, ())]
    assert states["none"] == []
    assert [t.replication_factor for t in again.control.topics.values()] == [1, 0, 0]
    # no state is written for a partition that nobody can lead: Kafka's controller stops at one
    assert await again.coordination.exists(znodes.partition_state("absent", 1)) is None
    assert await again.coordination.exists(znodes.partition_state("nobody", 0)) is None
    for name in states:
        await again.control.delete_topic(name)
    assert await again.coordination.children("/brokers/topics") == []
    await again.stop()


@scenario
async def test_registration(store):
    broker = await Broker(store).start()
    other = store.session()
    await other.connect()
    info = cluster.registration(
        [Listener("A", "h", 1, "SSL"), Listener("PLAINTEXT", "::1", 2)], "r1"
    )
    assert (info.host, info.port) == ("::1", 2)
    assert info.endpoints == ("A://h:1", "PLAINTEXT://[::1]:2")
    with pytest.raises(cluster.ClusterError, match="id 7 is taken"):
        await cluster.register(other, 7, info)
    assert await cluster.register(broker.coordination, 7, info) == broker.epoch
    await cluster.register(other, 9, info)
    assert await cluster.live_brokers(other) == [7, 9]
    assert await cluster.generate_broker_id(other, 1000) == 1001
    assert await cluster.generate_broker_id(other, 1000) == 1002
    await other.close()
    await broker.stop()


@scenario
async def test_the_clusters_id(store):
    session = store.session()
    await session.connect()
    assert await cluster.cluster_id(session, "proposed-id") == "proposed-id"
    assert await cluster.cluster_id(session, "another") == "proposed-id"
    await session.set("/cluster/id", znodes.encode_cluster_id("x"), 0)
    assert await cluster.cluster_id(session) == "x"
    await session.close()


@scenario
async def test_a_tree_of_a_later_fastlog(store):
    session = store.session()
    await session.connect()
    await session.ensure("/ext")
    await session.create("/ext/format", b'{"v":2}')
    with pytest.raises(cluster.ClusterError, match="format 2"):
        await cluster.prepare(session)
    await session.close()


@scenario
async def test_producer_ids(store):
    broker, other = store.session(), store.session()
    await broker.connect()
    await other.connect()
    first, second = ProducerIds(broker, 7), ProducerIds(other, 8)
    ids = await asyncio.gather(*(first.next() for _ in range(1500)))
    ids += await asyncio.gather(*(second.next() for _ in range(10)))
    assert len(set(ids)) == len(ids)
    assert ids[:1000] == list(range(1000))
    data, stat = await broker.get("/latest_producer_id_block")
    assert data == b'{"version":1,"broker":8,"block_start":"2000","block_end":"2999"}'
    assert stat.version == 3
    await other.close()
    with pytest.raises(KafkaError) as caught:
        for _ in range(1001):
            await second.next()
    assert caught.value.code == 14
    await broker.close()


def test_producer_ids_do_not_wrap():
    assert next_block(1, b"") == ProducerIdBlock(1, 0, 999)
    last = ProducerIdBlock(1, 0, (1 << 63) - 1 - 1000).encode()
    assert next_block(2, last).end == (1 << 63) - 1
    with pytest.raises(OverflowError):
        next_block(2, next_block(2, last).encode())


@scenario
async def test_the_tree_is_prepared_in_one_write(store):
    session = store.session()
    await session.connect()
    await cluster.prepare(session)
    stats = [await session.exists(path) for path in znodes.PERSISTENT_PATHS]
    assert len({stat.czxid for stat in stats}) == 1
    await cluster.prepare(session)
    assert [await session.exists(path) for path in znodes.PERSISTENT_PATHS] == stats
    await session.close()


@scenario
async def test_two_brokers_prepare_the_tree(store):
    sessions = [store.session(), store.session()]
    for session in sessions:
        await session.connect()
    await asyncio.gather(*map(cluster.prepare, sessions))
    assert None not in [await sessions[0].exists(path) for path in znodes.PERSISTENT_PATHS]
    for session in sessions:
        await session.close()
