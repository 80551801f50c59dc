"""DescribeRetention, fastlog's own: which segments a topic has, and how long each is kept."""

from __future__ import annotations

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.logs import retention
from fastlog.protocol import ErrorCode, RequestHeader
from fastlog.protocol.messages import Message, response_class
from fastlog_ext import log_retention

KEY = 30001
MIN_VERSION = 0
MAX_VERSION = 0


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)(retention_ms=-1, retention_bytes=-1)
    topic = context.topics.get(request.topic)
    if topic is None:
        response.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return response
    async for number in in_turns(sorted(topic.partitions), 1):
        response.partitions.append(await _describe(context, response, request.topic, number))
    return response


def weight(context: Context, request: Message) -> int:
    """Segments of the answer."""
    topic = context.topics.get(request.topic)
    logs = (context.log(request.topic, number) for number in topic.partitions) if topic else ()
    return sum(len(log_retention.sizes(log)) for log in logs if log is not None)


async def _describe(context: Context, response: Message, topic: str, number: int) -> Message:
    found = response.Partition(partition_index=number, log_start_offset=-1, high_watermark=-1)
    log = context.log(topic, number)
    if log is None:
        found.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
        return found
    try:
        kept = await context.look_into(log, retention.describe)
    except OSError:
        found.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return found
    found.log_start_offset, found.high_watermark = log.log_start_offset, log.high_watermark
    response.retention_ms, response.retention_bytes = log_retention.limits(log)
    found.segments = [
        response.Segment(
            *one.segment,
            timestamp=one.timestamp,
            why=one.why.name,
            until_ms=one.until_ms,
            until_bytes=one.until_bytes,
        )
        for one in kept
    ]
    return found
