"""What one request may ask for is bounded, and a long answer leaves others their turn."""

import asyncio
import logging
import struct
import time

from fastlog.api import metadata, registry, waiting
from fastlog.aside import Aside
from fastlog.noticed import Noticed
from fastlog.protocol import RequestHeader, decode_response, encode_request, messages
from tests.api.broker import Broker, Connection, answer_to, ask

LIST_OFFSETS, METADATA, CREATE_TOPICS, DELETE_TOPICS = 2, 3, 19, 20
MANY = 20_000


def frame_of(api_key: int, version: int, **fields) -> bytes:
    return encode_request(
        RequestHeader(api_key, version, 77, "test"), messages.request_class(api_key)(**fields)
    )


def names(count: int) -> list:
    topic = messages.request_class(METADATA).MetadataRequestTopic
    return [topic(name=f"topic-{number}") for number in range(count)]


def test_more_elements_than_allowed_close_the_connection(monkeypatch, caplog):
    monkeypatch.setattr(registry, "noticed", Noticed(logging.getLogger("fastlog.api")))
    monkeypatch.setattr(logging.getLogger("fastlog"), "propagate", True)
    broker = Broker(fastlog_request_elements_max=1000, auto_create_topics_enable=False)
    answer = asyncio.run(
        registry.dispatch(broker, Connection(frame_of(METADATA, 4, topics=names(1001))))
    )
    assert answer is None
    assert len(ask(broker, METADATA, 4, topics=names(1000)).topics) == 1000
    for _ in range(50):
        asyncio.run(registry.dispatch(broker, Connection(struct.pack(">hhih", 3, 4, 1, -9))))
    (line,) = caplog.messages  # the kind is told once in a while
    assert line.startswith("malformed: 127.0.0.1:40000: more elements")


def test_others_have_their_turn_during_a_long_answer():
    async def scenario(api_key: int, version: int, **fields) -> int:
        broker = Broker(auto_create_topics_enable=False)
        answering = asyncio.create_task(answer_to(broker, api_key, version, **fields))
        turns = 0
        while not answering.done():
            await asyncio.sleep(0)
            turns += 1
        await answering
        return turns

    offsets = messages.request_class(LIST_OFFSETS)
    partitions = [offsets.ListOffsetsPartition(partition_index=number) for number in range(MANY)]
    listed = [offsets.ListOffsetsTopic(name="t", partitions=partitions)]
    for asked in (
        (METADATA, 4, {"topics": names(MANY)}),
        (LIST_OFFSETS, 7, {"topics": listed, "replica_id": -1}),
        (DELETE_TOPICS, 4, {"topic_names": [str(number) for number in range(MANY)]}),
    ):
        assert asyncio.run(scenario(*asked[:2], **asked[2])) >= MANY // 500, asked[0]


def test_one_metadata_request_creates_so_many_topics_and_no_more(monkeypatch):
    monkeypatch.setattr(metadata, "_CREATED_AT_ONCE", 3)
    broker = Broker()
    response = ask(broker, METADATA, 4, topics=names(5), allow_auto_topic_creation=True)
    assert [topic.error_code for topic in response.topics] == [5] * 5
    assert len(broker.calls) == 3
    ask(broker, METADATA, 4, topics=names(5), allow_auto_topic_creation=True)
    assert len(broker.calls) == 5


def test_clients_in_a_hurry_do_not_pile_up_work():
    """Beyond a few unfinished creations a client waits for its own, whatever timeout it gave."""

    async def scenario() -> None:
        broker = Broker()
        broker.gate = asyncio.Event()
        topic = messages.request_class(CREATE_TOPICS).CreatableTopic
        asked = [
            asyncio.create_task(
                answer_to(
                    broker,
                    CREATE_TOPICS,
                    4,
                    topics=[topic(name=f"t{number}", num_partitions=1, replication_factor=1)],
                    timeout_ms=1,
                )
            )
            for number in range(waiting.UNFINISHED_MOST + 3)
        ]
        _, patient = await asyncio.wait(asked, timeout=0.3)
        assert len(patient) >= 3
        broker.gate.set()
        await asyncio.gather(*asked)
        while waiting._unfinished:
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_large_answer_is_the_same_as_a_small_one():
    broker = Broker(auto_create_topics_enable=False)
    frame = frame_of(METADATA, 4, topics=names(MANY))
    _, response = decode_response(
        METADATA, 4, asyncio.run(registry.dispatch(broker, Connection(frame)))
    )
    assert [t.name for t in response.topics] == [t.name for t in names(MANY)]
    assert broker.asides == [len(frame)]


def test_a_short_request_for_much_is_a_long_one():
    broker = Broker()
    broker.topics.add("large", registry.FEW + 1)
    for number in range(registry.FEW):
        broker.topics.add(f"small-{number}")
    ask(broker, METADATA, 4, topics=[names(1)[0]], allow_auto_topic_creation=False)
    assert broker.asides == []
    large = messages.request_class(METADATA).MetadataRequestTopic(name="large")
    assert len(ask(broker, METADATA, 4, topics=[large]).topics[0].partitions) == registry.FEW + 1
    assert len(ask(broker, METADATA, 4, topics=None).topics) == registry.FEW + 1
    assert len(broker.asides) == 2


def test_others_go_on_while_a_handler_does_not_let_go(monkeypatch):
    """A long request's handler that never waits: the event loop has its turns all the same."""
    turns = 0

    async def stubborn(context, header, request):
        end = time.monotonic() + 60
        begun = turns
        while turns < begun + 20:
            assert time.monotonic() < end, "the event loop stood still"
        return messages.response_class(METADATA)()

    async def scenario() -> None:
        nonlocal turns
        aside = Aside()
        broker = Broker()
        broker.aside = aside.run
        monkeypatch.setitem(registry._handlers, METADATA, stubborn)
        frame = frame_of(METADATA, 4, topics=names(1000))
        answering = asyncio.create_task(registry.dispatch(broker, Connection(frame)))
        while not answering.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert await answering is not None
        await aside.close()

    asyncio.run(scenario())


def test_a_message_is_freed_piece_by_piece_but_for_what_others_hold():
    topic = messages.request_class(CREATE_TOPICS).CreatableTopic
    assignment = messages.request_class(CREATE_TOPICS).CreatableReplicaAssignment
    request = messages.request_class(CREATE_TOPICS)(
        topics=[topic(name=n, assignments=[assignment(broker_ids=[1, 2])]) for n in "ab"]
    )
    held = request.topics[0]
    messages.dismantle(request)
    assert request.topics == []
    assert [one.broker_ids for one in held.assignments] == [[1, 2]]
