"""ListOffsets: the offset that belongs to a time, or to one of the special times below.

Version 0 (KIP-79 ended it) lists the starts of segments instead of looking records up. A client
sees nothing at or above the high watermark, nor above the last stable offset if it reads
committed records only.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from typing import Any

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.protocol import ErrorCode, KafkaError, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 2
MIN_VERSION = 0
MAX_VERSION = 10

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5
# The version that brought each special time; -6 came with version 11.
SINCE = {LATEST: 1, EARLIEST: 1, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9}

CONSUMER, DEBUGGER = -1, -2  # replica ids; others are followers
READ_UNCOMMITTED, READ_COMMITTED = 0, 1

Found = tuple[int, int, int]  # offset, timestamp, leader epoch
NOTHING: Found = (-1, -1, -1)


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    times = Counter((t.name, p.partition_index) for t in request.topics for p in t.partitions)
    async for topic in in_turns(request.topics):
        answers = []
        async for partition in in_turns(topic.partitions):
            answer = response.ListOffsetsPartitionResponse(
                partition_index=partition.partition_index
            )
            try:
                if header.api_version == 0:
                    await _list(context, request, topic.name, partition, answer)
                else:
                    if times[topic.name, partition.partition_index] > 1:
                        raise KafkaError(ErrorCode.INVALID_REQUEST)
                    await _find(context, header.api_version, request, topic.name, partition, answer)
            except KafkaError as error:
                answer.error_code = error.code
            except OSError:
                answer.error_code = ErrorCode.KAFKA_STORAGE_ERROR
            answers.append(answer)
        response.topics.append(
            response.ListOffsetsTopicResponse(name=topic.name, partitions=answers)
        )
    return response


async def _find(
    context: Context, version: int, request: Message, topic: str, partition: Message, answer: Any
) -> None:
    wanted = partition.timestamp
    if wanted < 0 and version < SINCE.get(wanted, MAX_VERSION + 1):
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    log = _log(context, request, topic, partition)
    bound = _bound(request, log)
    offset, timestamp, epoch = NOTHING
    if wanted == LATEST:
        offset, epoch = bound, log.leader_epoch
    elif wanted in (EARLIEST, EARLIEST_LOCAL):
        offset = log.log_start_offset
        epoch = epoch_at(log, offset)
    elif wanted != LATEST_TIERED:  # nothing is tiered
        found = await context.find_time(log, None if wanted == MAX_TIMESTAMP else wanted)
        if found is not None and found[0] < bound:
            offset, timestamp, epoch = found
    answer.offset, answer.timestamp = offset, timestamp
    if version >= 4:
        answer.leader_epoch = epoch


def _log(context: Context, request: Message, topic: str, partition: Message) -> Any:
    """The log to look in, if this broker may answer for it. Raises KafkaError."""
    state = context.topics.get(topic)
    if state is None or partition.partition_index not in state.partitions:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    log = context.log(topic, partition.partition_index)
    if log is not None and log.storage_error is not None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
    is_leader = state.partitions[partition.partition_index].leader == context.node_id
    if log is None or not (is_leader or request.replica_id == DEBUGGER):
        raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    known = partition.current_leader_epoch
    if known >= 0 and known != log.leader_epoch:
        is_old = known < log.leader_epoch
        raise KafkaError(
            ErrorCode.FENCED_LEADER_EPOCH if is_old else ErrorCode.UNKNOWN_LEADER_EPOCH
        )
    return log


def _bound(request: Message, log: Any) -> int:
    """The offset below which the asker may see records."""
    if request.replica_id != CONSUMER:
        return int(log.end_offset)
    if request.isolation_level == READ_UNCOMMITTED:
        return int(log.high_watermark)
    if request.isolation_level == READ_COMMITTED:
        return int(log.last_stable_offset)
    raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR)  # Kafka's answer to an unknown level


def epoch_at(log: Any, offset: int) -> int:
    """The leader epoch that an offset belongs to, or would belong to at the end; -1 if unknown.

    The log tells where an epoch ends; the one looked for is the first that ends above the offset.
    """
    low, high = 0, log.leader_epoch
    if high < 0:
        return -1
    while low < high:
        middle = (low + high) // 2
        epoch, end_offset = log.end_offset_for_epoch(middle)
        if epoch >= 0 and end_offset > offset:
            high = middle
        else:
            low = middle + 1
    return low


async def _list(
    context: Context, request: Message, topic: str, partition: Message, answer: Any
) -> None:
    """Version 0: the starts of segments, newest first, and the end of the log before them."""
    wanted = partition.timestamp
    if wanted < EARLIEST:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    log = _log(context, request, topic, partition)
    starts = await context.look_into(log, _starts)
    if wanted == EARLIEST:
        starts = starts[:1]
    elif wanted != LATEST:
        starts = [start for start in starts if start[1] <= wanted]
    offsets = [offset for offset, _ in reversed(starts)]
    bound = log.high_watermark if request.replica_id == CONSUMER else log.end_offset
    if any(offset > bound for offset in offsets):
        offsets = [bound, *(offset for offset in offsets if offset <= bound)]
    answer.old_style_offsets = offsets[: max(partition.max_num_offsets, 0)]


def _starts(log: Any) -> list[tuple[int, int]]:
    """(offset, milliseconds of the last change) of each segment, and of the end of the log."""
    starts = []
    segments = log.segments()
    for segment in segments:
        try:
            changed_ms = os.stat(segment["path"]).st_mtime_ns // 1_000_000
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            continue  # deleted meanwhile
        starts.append((max(segment["base_offset"], log.log_start_offset), changed_ms))
    if segments and segments[-1]["size_bytes"] > 0:
        starts.append((log.end_offset, time.time_ns() // 1_000_000))
    return starts
