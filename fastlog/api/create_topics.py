"""CreateTopics: creates topics one after the other, each with its own result.

Names that occur twice in one request are refused before anything is created. A `timeout_ms` of 0 or
less answers REQUEST_TIMED_OUT although the topic was created, as Kafka does. From version 5 on the
result tells the partition count, the replication factor and every setting of the topic, from
version 7 on its id.
"""

from __future__ import annotations

from collections import Counter

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.api.waiting import finish_within
from fastlog.config.setting import text_of
from fastlog.config.table import TOPIC
from fastlog.config.topic_settings import TopicSettings
from fastlog.protocol import ErrorCode, KafkaError, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 19
MIN_VERSION = 0
MAX_VERSION = 7

# Kafka's name for the log of its own controllers; nobody may have a topic of that name.
CLUSTER_METADATA_TOPIC = "__cluster_metadata"

_SOURCE_TOPIC, _SOURCE_BROKER_FILE, _SOURCE_DEFAULT = 1, 4, 5


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    response.topics = [
        response.CreatableTopicResult(name=topic.name, error_message=None)
        for topic in request.topics
    ]
    times = Counter(topic.name for topic in request.topics)
    wanted = []
    async for topic, result in in_turns(zip(request.topics, response.topics, strict=True)):
        problem = _problem_with(topic.name, times)
        if problem is None:
            _fail(result, ErrorCode.REQUEST_TIMED_OUT, None)  # until it is known better
            wanted.append((topic, result))
        else:
            _fail(result, ErrorCode.INVALID_REQUEST, problem)

    async def create_all() -> None:
        async for topic, result in in_turns(wanted, 1):
            await _create(context, header.api_version, request, topic, result)

    await finish_within(create_all(), 0 if request.validate_only else request.timeout_ms)
    return response


def _problem_with(name: str, times: Counter[str]) -> str | None:
    if name == CLUSTER_METADATA_TOPIC:
        return f"Creation of internal topic {name} is prohibited."
    if times[name] > 1:
        return "Found multiple entries for this topic."
    return None


async def _create(
    context: Context, version: int, request: Message, topic: Message, result: Message
) -> None:
    configs = {config.name: config.value for config in topic.configs}
    assignments = {one.partition_index: one.broker_ids for one in topic.assignments}
    try:
        created = await context.create_topic(
            topic.name,
            topic.num_partitions,
            topic.replication_factor,
            assignments or None,
            configs,
            validate_only=request.validate_only,
        )
    except KafkaError as error:
        _fail(result, error.code, error.message)
        return
    result.topic_id = created.topic_id
    if request.timeout_ms <= 0 and not request.validate_only:
        return
    result.error_code = ErrorCode.NONE
    result.num_partitions = created.partition_count
    result.replication_factor = created.replication_factor
    if version >= 5:
        result.configs = _settings(context, configs)


def _fail(result: Message, code: ErrorCode, message: str | None) -> None:
    result.error_code = code
    result.error_message = message


def _settings(context: Context, configs: dict[str, str | None]) -> list[Message]:
    """Every setting of the topic that has an effect."""
    overrides = {name: value for name, value in configs.items() if value is not None}
    settings = TopicSettings(context.settings, overrides)
    found = []
    for name in sorted(TOPIC):
        try:
            value, where = settings[name], settings.where(name)
        except KeyError:
            continue
        source = {"topic": _SOURCE_TOPIC, "default": _SOURCE_DEFAULT}.get(
            where, _SOURCE_BROKER_FILE
        )
        found.append(
            response_class(KEY).CreatableTopicConfigs(
                name=name, value=text_of(value), config_source=source
            )
        )
    return found
