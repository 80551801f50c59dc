"""Metadata: the brokers, and the topics with their partitions' leaders.

Up to version 0 an empty list of topics asks for all of them, later null does. A topic that does
not exist is created where the broker and the client (version 4) allow it, and answered with
LEADER_NOT_AVAILABLE, so that the client asks again (as Kafka does). From version 12 on topics can
be named by id; ids and names are not mixed: if there is an id, names are left aside.
"""

from __future__ import annotations

from fastlog.api.authorization import CLUSTER_OPERATIONS, NOT_ASKED_FOR, TOPIC_OPERATIONS
from fastlog.api.context import NO_LEADER, Context, PartitionState, TopicState
from fastlog.api.registry import FEW
from fastlog.api.turns import in_turns
from fastlog.control.names import problem_with_name
from fastlog.protocol import ZERO_UUID, ErrorCode, KafkaError, RequestHeader
from fastlog.protocol.internal_topics import INTERNAL_TOPICS
from fastlog.protocol.messages import Message, response_class

KEY = 3
MIN_VERSION = 0
MAX_VERSION = 13

_FIRST_VERSION_WITH_IDS = 12
_CREATED_AT_ONCE = 1000  # by one request; for the others the client asks again


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    version = header.api_version
    problem = _problem_with(request, version)
    if problem is not None:
        return _refusal(request, version, problem)
    connection = header.connection
    response = response_class(KEY)(
        cluster_id=context.cluster_id, controller_id=context.controller_id()
    )
    response.topics = await _topics(context, version, request)
    if 8 <= version <= 10 and request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    # After the topics were made, so that every leader named has its broker listed.
    brokers = context.brokers(connection.listener, connection.local)
    response.brokers = [
        response.MetadataResponseBroker(node_id=id, host=host, port=port, rack=rack)
        for id, host, port, rack in brokers
    ]
    _hide_what_is_gone(response, version, {broker.id for broker in brokers})
    return response


def weight(context: Context, request: Message) -> int:
    """Topics and partitions of the answer; topics alone, where they are many."""
    if request.topics:
        named = {topic.name or topic.topic_id for topic in request.topics}
    else:
        named = set(context.topics.names())
    if len(named) > FEW:
        return len(named)
    get, by_id = context.topics.get, context.topics.by_id
    found = (get(one) if isinstance(one, str) else by_id(one) for one in named)
    return len(named) + sum(len(topic.partitions) for topic in found if topic)


def _problem_with(request: Message, version: int) -> ErrorCode | None:
    for topic in request.topics or ():
        if version < _FIRST_VERSION_WITH_IDS:
            if topic.name is None or topic.topic_id != ZERO_UUID:
                return ErrorCode.INVALID_REQUEST
        elif topic.name is None and topic.topic_id == ZERO_UUID:
            return ErrorCode.UNKNOWN_SERVER_ERROR  # Kafka's answer
    return None


def _refusal(request: Message, version: int, error: ErrorCode) -> Message:
    """The whole request is wrong: every topic carries the error."""
    response = response_class(KEY)()
    response.topics = [
        response.MetadataResponseTopic(
            error_code=error, name=topic.name or "", topic_id=topic.topic_id
        )
        for topic in request.topics
    ]
    if version >= 13:
        response.error_code = error
    return response


async def _topics(context: Context, version: int, request: Message) -> list[Message]:
    with_operations = version >= 8 and request.include_topic_authorized_operations
    if request.topics is None or (version == 0 and not request.topics):
        known = [context.topics.get(name) for name in context.topics.names()]
        return [_known(topic, with_operations) async for topic in in_turns(known) if topic]
    ids = dict.fromkeys(t.topic_id for t in request.topics if t.topic_id != ZERO_UUID)
    if ids:
        return [_by_id(context, topic_id, with_operations) async for topic_id in in_turns(ids)]
    create = request.allow_auto_topic_creation and context.settings["auto.create.topics.enable"]
    found = []
    created = 0
    async for name in in_turns(dict.fromkeys(topic.name for topic in request.topics)):
        topic = context.topics.get(name)
        if topic is not None:
            found.append(_known(topic, with_operations))
        else:
            error = await _missing(context, name, create, created < _CREATED_AT_ONCE)
            created += error == ErrorCode.LEADER_NOT_AVAILABLE
            found.append(_topic(error, name, ZERO_UUID, with_operations))
    return found


def _by_id(context: Context, topic_id: bytes, with_operations: bool) -> Message:
    topic = context.topics.by_id(topic_id)
    if topic is None:
        return _topic(ErrorCode.UNKNOWN_TOPIC_ID, None, topic_id, False)
    return _known(topic, with_operations)


async def _missing(context: Context, name: str, create: bool, now: bool) -> ErrorCode:
    """The error for a topic that is not there, after creating it if that is wanted."""
    if problem_with_name(name) is not None:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    if not create or name in INTERNAL_TOPICS:  # an internal topic is made by its coordinator
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if not now:
        return ErrorCode.LEADER_NOT_AVAILABLE
    try:
        await context.create_topic(name, -1, -1, None, {}, validate_only=False)
    except KafkaError as error:
        if error.code != ErrorCode.TOPIC_ALREADY_EXISTS:
            return error.code
    return ErrorCode.LEADER_NOT_AVAILABLE


def _topic(error: ErrorCode, name: str | None, topic_id: bytes, with_operations: bool) -> Message:
    topic: Message = response_class(KEY).MetadataResponseTopic(
        error_code=error,
        name=name,
        topic_id=topic_id,
        is_internal=name in INTERNAL_TOPICS,
        topic_authorized_operations=TOPIC_OPERATIONS if with_operations else NOT_ASKED_FOR,
    )
    return topic


def _known(state: TopicState, with_operations: bool) -> Message:
    topic = _topic(ErrorCode.NONE, state.name, state.topic_id, with_operations)
    topic.partitions = [
        _partition(number, state.partitions[number]) for number in sorted(state.partitions)
    ]
    return topic


def _partition(number: int, state: PartitionState) -> Message:
    partition: Message = response_class(KEY).MetadataResponsePartition(
        partition_index=number,
        leader_id=state.leader,
        leader_epoch=state.leader_epoch,
        replica_nodes=list(state.replicas),
        isr_nodes=list(state.isr),
        offline_replicas=list(state.offline),
    )
    return partition


def _hide_what_is_gone(response: Message, version: int, alive: set[int]) -> None:
    """Marks partitions whose leader is not alive. Version 0 names live replicas only."""
    for topic in response.topics:
        for partition in topic.partitions:
            replicas = partition.replica_nodes
            failed = partition.offline_replicas
            partition.offline_replicas = [id for id in replicas if id not in alive or id in failed]
            lost = version == 0 and not alive.issuperset(replicas)
            if version == 0:
                partition.replica_nodes = [id for id in replicas if id in alive]
                partition.isr_nodes = [id for id in partition.isr_nodes if id in alive]
            if partition.leader_id not in alive:
                partition.error_code = ErrorCode.LEADER_NOT_AVAILABLE
                partition.leader_id = NO_LEADER
            elif lost:
                partition.error_code = ErrorCode.REPLICA_NOT_AVAILABLE
