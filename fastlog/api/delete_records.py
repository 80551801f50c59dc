"""DeleteRecords: lets partitions begin later, for good (KIP-107).

An offset of -1 stands for the high watermark. What is answered survives the end of the process: the
new start is in its checkpoint. A partition that is named again counts once, as it was named last.
"""

from __future__ import annotations

from itertools import islice

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.protocol import ErrorCode, RequestHeader
from fastlog.protocol.internal_topics import INTERNAL_TOPICS
from fastlog.protocol.messages import Message, response_class

KEY = 21
MIN_VERSION = 0
MAX_VERSION = 2

AT_A_GO = 500  # partitions: their checkpoint is written once
HIGH_WATERMARK = -1
UNKNOWN_LOW_WATERMARK = -1


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    offsets: dict[tuple[str, int], int] = {}
    async for topic in in_turns(request.topics):
        async for partition in in_turns(topic.partitions):
            offsets[topic.name, partition.partition_index] = partition.offset
    errors = {
        key: _problem_with(context, *key, offset) async for key, offset in in_turns(offsets.items())
    }
    good = {key: offset for key, offset in offsets.items() if not errors[key]}
    starts: dict[tuple[str, int], int | ErrorCode] = {}
    for place in range(0, len(good), AT_A_GO):
        some = dict(islice(good.items(), place, place + AT_A_GO))
        starts.update(await context.delete_records(some))
    answers: dict[str, list[Message]] = {}
    async for name, number in in_turns(offsets):
        start = starts.get((name, number), errors[name, number])
        failed = isinstance(start, ErrorCode)
        answers.setdefault(name, []).append(
            response.DeleteRecordsPartitionResult(
                partition_index=number,
                low_watermark=UNKNOWN_LOW_WATERMARK if failed else start,
                error_code=start if failed else ErrorCode.NONE,
            )
        )
    response.topics = [
        response.DeleteRecordsTopicResult(name=name, partitions=partitions)
        for name, partitions in answers.items()
    ]
    return response


def _problem_with(context: Context, topic: str, partition: int, offset: int) -> ErrorCode:
    """What can be told without the log, in Kafka's order; NONE: nothing."""
    state = context.topics.get(topic)
    if state is None or partition not in state.partitions:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if topic in INTERNAL_TOPICS:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    log = context.log(topic, partition)
    if log is not None and log.storage_error is not None:
        return ErrorCode.KAFKA_STORAGE_ERROR
    if log is None or state.partitions[partition].leader != context.node_id:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if offset < HIGH_WATERMARK:
        return ErrorCode.OFFSET_OUT_OF_RANGE
    return ErrorCode.NONE
