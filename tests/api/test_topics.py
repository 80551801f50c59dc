"""Metadata, CreateTopics and DeleteTopics."""

import asyncio

import pytest

from fastlog.api.context import BrokerAddress
from fastlog.protocol import ZERO_UUID, ErrorCode, KafkaError, messages
from tests.api.broker import Broker, answer_to, ask

METADATA, CREATE, DELETE = 3, 19, 20
TOPIC_OPERATIONS, CLUSTER_OPERATIONS, NOT_ASKED = 3576, 8096, -(1 << 31)  # as Kafka 3.9 answers


def named(*names, topic_id=ZERO_UUID):
    topic = messages.request_class(METADATA).MetadataRequestTopic
    return [topic(name=name, topic_id=topic_id) for name in names]


def errors_of(response):
    return {topic.name: topic.error_code for topic in response.topics}


@pytest.fixture
def broker():
    broker = Broker()
    broker.topics.add("a", partitions=2)
    broker.topics.add("__consumer_offsets")
    return broker


@pytest.mark.parametrize("version", range(14))
def test_metadata_of_all_topics(broker, version):
    response = ask(broker, METADATA, version, topics=[] if version == 0 else None)
    assert errors_of(response) == {"a": 0, "__consumer_offsets": 0}
    address = response.brokers[0]
    assert (address.node_id, address.host, address.port) == (1, "127.0.0.1", 9092)
    assert address.rack == ("rack-of-PLAINTEXT" if version >= 1 else None)
    assert response.controller_id == (1 if version >= 1 else -1)
    assert response.cluster_id == ("a-cluster" if version >= 2 else None)
    first, internal = response.topics
    assert [p.partition_index for p in first.partitions] == [0, 1]
    partition = first.partitions[0]
    assert (partition.leader_id, partition.replica_nodes, partition.isr_nodes) == (1, [1], [1])
    assert partition.leader_epoch == (0 if version >= 7 else -1)
    assert first.topic_id == (broker.topics.get("a").topic_id if version >= 10 else ZERO_UUID)
    assert (first.is_internal, internal.is_internal) == (False, version >= 1)


@pytest.mark.parametrize("version", range(1, 14))
def test_metadata_of_no_topic(broker, version):
    assert ask(broker, METADATA, version, topics=[]).topics == []


@pytest.mark.parametrize("version", range(14))
def test_metadata_of_named_topics(broker, version):
    response = ask(broker, METADATA, version, topics=named("a", "b", "a b", "", "..", "a"))
    created = ErrorCode.LEADER_NOT_AVAILABLE
    assert errors_of(response) == {"a": 0, "b": created, "a b": 17, "": 17, "..": 17}
    assert len(response.topics) == 5
    assert [call[:3] for call in broker.calls] == [("b", -1, -1)]
    assert errors_of(ask(broker, METADATA, version, topics=named("b"))) == {"b": 0}


def test_metadata_creates_nothing_where_that_is_off(broker):
    response = ask(broker, METADATA, 4, topics=named("b", "b c"), allow_auto_topic_creation=False)
    assert errors_of(response) == {"b": 3, "b c": 17}
    off = Broker(auto_create_topics_enable=False)
    assert errors_of(ask(off, METADATA, 1, topics=named("b"))) == {"b": 3}
    assert errors_of(ask(off, METADATA, 1, topics=named("__transaction_state"))) == {
        "__transaction_state": 3
    }
    assert broker.calls == off.calls == []


def test_metadata_says_why_a_topic_was_not_created(broker):
    broker.refusals["b"] = KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR)
    broker.refusals["c"] = KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS)  # another client was first
    response = ask(broker, METADATA, 12, topics=named("b", "c"))
    assert errors_of(response) == {"b": 38, "c": 5}


def test_metadata_by_id(broker):
    topic_id = broker.topics.get("a").topic_id
    wanted = [*named(None, topic_id=topic_id), *named(None, topic_id=b"?" * 16), *named("a")]
    response = ask(broker, METADATA, 12, topics=wanted)
    assert [(t.error_code, t.name, t.topic_id) for t in response.topics] == [
        (0, "a", topic_id),
        (100, None, b"?" * 16),
    ]


@pytest.mark.parametrize(
    "version, name, topic_id, error",
    [(10, "a", b"1" * 16, 42), (11, None, ZERO_UUID, 42), (12, None, ZERO_UUID, -1)],
)
def test_metadata_requests_that_make_no_sense(broker, version, name, topic_id, error):
    response = ask(broker, METADATA, version, topics=named(name, topic_id=topic_id))
    assert errors_of(response) == {name or "": error}
    assert (response.brokers, response.cluster_id) == ([], None)


def test_metadata_authorized_operations(broker):
    asked = {
        "include_cluster_authorized_operations": True,
        "include_topic_authorized_operations": True,
    }
    response = ask(broker, METADATA, 8, topics=named("a"), **asked)
    assert response.cluster_authorized_operations == CLUSTER_OPERATIONS
    assert response.topics[0].topic_authorized_operations == TOPIC_OPERATIONS
    response = ask(broker, METADATA, 8, topics=named("a"))
    assert response.cluster_authorized_operations == NOT_ASKED
    assert response.topics[0].topic_authorized_operations == NOT_ASKED


def test_metadata_of_partitions_whose_leader_is_gone(broker):
    broker.topics.add("gone", leader=9, replicas=(9, 1), isr=(9,))
    broker.topics.add("weak", leader=1, replicas=(1, 9), isr=(1, 9))
    broker.topics.add("orphan", leader=-1, replicas=(1,), isr=(1,))
    gone, weak, orphan = ask(broker, METADATA, 12, topics=named("gone", "weak", "orphan")).topics
    assert (gone.error_code, gone.partitions[0].error_code) == (0, 5)
    assert (gone.partitions[0].leader_id, gone.partitions[0].offline_replicas) == (-1, [9])
    assert (weak.partitions[0].error_code, weak.partitions[0].replica_nodes) == (0, [1, 9])
    assert orphan.partitions[0].error_code == 5
    (weak,) = ask(broker, METADATA, 0, topics=named("weak")).topics
    partition = weak.partitions[0]
    assert (partition.error_code, partition.replica_nodes, partition.isr_nodes) == (9, [1], [1])


def test_metadata_lists_every_broker(broker):
    broker.others = [BrokerAddress(2, "other.example", 9093)]
    assert [b.node_id for b in ask(broker, METADATA, 12, topics=[]).brokers] == [1, 2]


def creatable(name, partitions=1, replication=1, assignments=(), configs=()):
    request = messages.request_class(CREATE)
    return request.CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication,
        assignments=[
            request.CreatableReplicaAssignment(partition_index=number, broker_ids=list(ids))
            for number, ids in assignments
        ],
        configs=[request.CreatableTopicConfig(name=key, value=value) for key, value in configs],
    )


@pytest.mark.parametrize("version", range(8))
def test_create_topics(broker, version):
    topics = [creatable("b", 3, configs=[("segment.bytes", "2000000")]), creatable("a")]
    response = ask(broker, CREATE, version, topics=topics, timeout_ms=1000)
    made, existing = response.topics
    assert (made.name, made.error_code) == ("b", 0)
    assert made.topic_id == (broker.topics.get("b").topic_id if version >= 7 else ZERO_UUID)
    assert (made.num_partitions, made.replication_factor) == ((3, 1) if version >= 5 else (-1, -1))
    values = {config.name: (config.value, config.config_source) for config in made.configs}
    if version >= 5:
        assert values["segment.bytes"] == ("2000000", 1)
        assert values["segment.ms"] == ("604800000", 5)
    else:
        assert values == {}
    assert (existing.error_code, existing.configs, existing.num_partitions) == (36, [], -1)
    if version >= 1:
        assert existing.error_message == "Topic 'a' already exists."
        assert made.error_message is None


def test_create_topics_hands_on_what_was_asked(broker):
    topics = [creatable("b", -1, -1, [(0, [1]), (1, [1])], [("segment.bytes", "99999")])]
    ask(broker, CREATE, 7, topics=topics, timeout_ms=1000)
    assert broker.calls == [("b", -1, -1, {0: [1], 1: [1]}, {"segment.bytes": "99999"})]


def test_create_topics_with_a_setting_of_the_broker():
    broker = Broker(log_segment_bytes=3000000)
    (made,) = ask(broker, CREATE, 5, topics=[creatable("b")], timeout_ms=1000).topics
    values = {config.name: (config.value, config.config_source) for config in made.configs}
    assert values["segment.bytes"] == ("3000000", 4)


def test_create_topics_refuses_names_that_occur_twice(broker):
    topics = [creatable("b"), creatable("b"), creatable("c"), creatable("__cluster_metadata")]
    response = ask(broker, CREATE, 7, topics=topics, timeout_ms=1000)
    assert [topic.error_code for topic in response.topics] == [42, 42, 0, 42]
    assert response.topics[0].error_message == "Found multiple entries for this topic."
    assert broker.topics.get("b") is None


def test_create_topics_only_validating(broker):
    topics = [creatable("b", 2), creatable("a")]
    response = ask(broker, CREATE, 7, topics=topics, timeout_ms=0, validate_only=True)
    assert [topic.error_code for topic in response.topics] == [0, 36]
    assert (response.topics[0].num_partitions, response.topics[0].topic_id) == (2, ZERO_UUID)
    assert broker.topics.get("b") is None


def test_create_topics_without_time_creates_and_says_timed_out(broker):
    response = ask(broker, CREATE, 7, topics=[creatable("b"), creatable("a")], timeout_ms=0)
    assert [topic.error_code for topic in response.topics] == [7, 36]
    made = response.topics[0]
    assert (made.num_partitions, made.configs, made.error_message) == (-1, [], None)
    assert made.topic_id == broker.topics.get("b").topic_id


def test_create_topics_goes_on_after_its_time(broker):
    async def scenario():
        broker.gate = asyncio.Event()
        response = await answer_to(broker, CREATE, 7, topics=[creatable("b")], timeout_ms=20)
        assert [topic.error_code for topic in response.topics] == [7]
        assert broker.topics.get("b") is None
        broker.gate.set()
        while broker.topics.get("b") is None:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scenario(), 10))


@pytest.mark.parametrize("version", range(6))
def test_delete_topics_by_name(broker, version):
    names = ["a", "zz", "a", "a b"]
    response = ask(broker, DELETE, version, topic_names=names, timeout_ms=1000)
    answers = [(topic.name, topic.error_code) for topic in response.responses]
    assert answers == [("a", 0), ("zz", 3), ("a", 0), ("a b", 3)]
    assert broker.calls == [("a",)]
    assert broker.topics.get("a") is None


def deletable(name=None, topic_id=ZERO_UUID):
    return messages.request_class(DELETE).DeleteTopicState(name=name, topic_id=topic_id)


def test_delete_topics_by_id(broker):
    topic_id = broker.topics.get("a").topic_id
    topics = [deletable("a"), deletable(topic_id=topic_id), deletable(topic_id=b"?" * 16)]
    response = ask(broker, DELETE, 6, topics=[*topics, deletable()], timeout_ms=1000)
    assert [(t.name, t.topic_id, t.error_code) for t in response.responses] == [
        ("a", ZERO_UUID, 0),
        ("a", topic_id, 0),
        (None, b"?" * 16, 100),
        (None, ZERO_UUID, 29),
    ]
    assert broker.calls == [("a",)]


def test_delete_topics_by_name_and_id_at_once(broker):
    both = deletable("a", broker.topics.get("a").topic_id)
    response = ask(broker, DELETE, 6, topics=[both, deletable("a")], timeout_ms=1000)
    assert [topic.error_code for topic in response.responses] == [42, 42]
    assert broker.calls == []


def test_delete_topics_where_that_is_off():
    broker = Broker(delete_topic_enable=False)
    broker.topics.add("a")
    for version, error in ((2, 42), (3, 73)):
        response = ask(broker, DELETE, version, topic_names=["a"], timeout_ms=1000)
        assert [topic.error_code for topic in response.responses] == [error]


def test_delete_topics_without_time(broker):
    broker.topics.add("b")
    broker.refusals["b"] = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
    response = ask(broker, DELETE, 5, topic_names=["a", "b"], timeout_ms=0)
    assert [topic.error_code for topic in response.responses] == [7, 56]
    assert broker.topics.get("a") is None
