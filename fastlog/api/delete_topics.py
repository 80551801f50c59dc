"""DeleteTopics: by name, and from version 6 on also by id.

A `timeout_ms` of 0 or less answers REQUEST_TIMED_OUT although the topic was deleted, as Kafka does.
"""

from __future__ import annotations

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.api.waiting import finish_within
from fastlog.protocol import ZERO_UUID, ErrorCode, KafkaError, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 20
MIN_VERSION = 0
MAX_VERSION = 6


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    if header.api_version >= 6:
        asked = [(topic.name, topic.topic_id) for topic in request.topics]
    else:
        asked = [(name, ZERO_UUID) for name in request.topic_names]
    response.responses = [
        response.DeletableTopicResult(name=name, topic_id=topic_id, error_message=None)
        for name, topic_id in asked
    ]
    error = _problem_with(context, header, asked)
    if error is not None:
        for result in response.responses:
            result.error_code = error
        return response
    wanted: dict[str, list[Message]] = {}
    async for result in in_turns(response.responses):
        _resolve(context, result, wanted)

    async def delete_all() -> None:
        async for name, results in in_turns(wanted.items(), 1):
            code = await _delete(context, name)
            for result in results:
                result.error_code = code if request.timeout_ms > 0 or code else _TIMED_OUT

    await finish_within(delete_all(), request.timeout_ms)
    return response


_TIMED_OUT = ErrorCode.REQUEST_TIMED_OUT


def _problem_with(
    context: Context, header: RequestHeader, asked: list[tuple[str | None, bytes]]
) -> ErrorCode | None:
    """What is wrong with the whole request."""
    if not context.settings["delete.topic.enable"]:
        old = header.api_version < 3
        return ErrorCode.INVALID_REQUEST if old else ErrorCode.TOPIC_DELETION_DISABLED
    if any(name is not None and topic_id != ZERO_UUID for name, topic_id in asked):
        return ErrorCode.INVALID_REQUEST
    return None


def _resolve(context: Context, result: Message, wanted: dict[str, list[Message]]) -> None:
    """Gives a result its error, or puts it among those whose topic is to be deleted."""
    if result.topic_id != ZERO_UUID:
        topic = context.topics.by_id(result.topic_id)
        if topic is None:
            result.error_code = ErrorCode.UNKNOWN_TOPIC_ID
            return
        result.name = topic.name
    elif result.name is None:
        # Neither name nor id. The code is Kafka's: nobody is authorized for nothing.
        result.error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        return
    elif context.topics.get(result.name) is None:
        result.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return
    result.error_code = _TIMED_OUT  # until it is known better
    wanted.setdefault(result.name, []).append(result)


async def _delete(context: Context, name: str) -> ErrorCode:
    try:
        await context.delete_topic(name)
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE
