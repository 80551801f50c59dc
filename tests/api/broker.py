"""A broker of plain Python objects, for the handlers to talk to."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fastlog.api import registry
from fastlog.api.context import BrokerAddress
from fastlog.config.setting import InvalidConfig
from fastlog.config.settings import Settings
from fastlog.config.topic_settings import validate
from fastlog.protocol import (
    ZERO_UUID,
    ErrorCode,
    KafkaError,
    RequestHeader,
    decode_response,
    encode_request,
    messages,
)


@dataclass
class Partition:
    leader: int = 1
    leader_epoch: int = 0
    replicas: tuple[int, ...] = (1,)
    isr: tuple[int, ...] = (1,)
    offline: tuple[int, ...] = ()


@dataclass
class Topic:
    name: str
    topic_id: bytes
    partitions: dict[int, Partition]
    replication_factor: int = 1

    @property
    def partition_count(self) -> int:
        return len(self.partitions)


class TopicTable:
    def __init__(self) -> None:
        self.by_name: dict[str, Topic] = {}

    def add(self, name: str, partitions: int = 1, **state: Any) -> Topic:
        topic_id = len(self.by_name).to_bytes(1, "big") + b"0123456789abcde"
        topic = Topic(name, topic_id, {n: Partition(**state) for n in range(partitions)})
        self.by_name[name] = topic
        return topic

    def get(self, name: str) -> Topic | None:
        return self.by_name.get(name)

    def by_id(self, topic_id: bytes) -> Topic | None:
        return next((t for t in self.by_name.values() if t.topic_id == topic_id), None)

    def names(self) -> list[str]:
        return list(self.by_name)


@dataclass
class Log:
    """Records are (timestamp, leader epoch) from `log_start_offset` on; epochs (epoch, start)."""

    records: list[tuple[int, int]] = field(default_factory=list)
    log_start_offset: int = 0
    leader_epoch: int = 0
    epochs: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    hidden: int = 0  # records above the high watermark
    undecided: int = 0  # of what is left, records above the last stable offset
    files: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False
    storage_error: int | None = None

    @property
    def end_offset(self) -> int:
        return self.log_start_offset + len(self.records)

    @property
    def high_watermark(self) -> int:
        return self.end_offset - self.hidden

    @property
    def last_stable_offset(self) -> int:
        return self.high_watermark - self.undecided

    def offset_for_timestamp(self, wanted: int) -> tuple[int, int, int] | None:
        if self.broken:
            raise OSError(5, "the disk is gone")
        for offset, (timestamp, epoch) in enumerate(self.records, self.log_start_offset):
            if timestamp >= wanted:
                return offset, timestamp, epoch
        return None

    def offset_of_max_timestamp(self) -> tuple[int, int, int] | None:
        return self.offset_for_timestamp(max((time for time, _ in self.records), default=0))

    def end_offset_for_epoch(self, requested: int) -> tuple[int, int]:
        """As Kafka's cache of epochs answers."""
        if not self.epochs or requested > self.epochs[-1][0]:
            return -1, -1
        if requested == self.epochs[-1][0]:
            return requested, self.end_offset
        end_offset = next(start for epoch, start in self.epochs if epoch > requested)
        return max((e for e, _ in self.epochs if e <= requested), default=requested), end_offset

    def segments(self) -> list[dict[str, Any]]:
        return self.files


@dataclass
class Connection:
    """Where a request came from."""

    frame: bytes = b""
    listener: str = "PLAINTEXT"
    local: tuple[str, int] = ("127.0.0.1", 9092)
    peer: tuple[str, int] = ("127.0.0.1", 40000)


class Broker:
    """Implements fastlog.api.context.Context."""

    def __init__(self, **settings: object) -> None:
        self.node_id = 1
        self.cluster_id = "a-cluster"
        self.settings = Settings.of({k.replace("_", "."): v for k, v in settings.items()})
        self.topics = TopicTable()
        self.logs: dict[tuple[str, int], Log] = {}
        self.refusals: dict[str, KafkaError] = {}  # by topic name
        self.calls: list[tuple[Any, ...]] = []
        self.gate: asyncio.Event | None = None  # where creating and deleting wait
        self.controller = 1
        self.others: list[BrokerAddress] = []
        self.producer_ids = 1000
        self.asides: list[int] = []

    def controller_id(self) -> int:
        return self.controller

    def brokers(self, listener: str, local: tuple[str, int]) -> list[BrokerAddress]:
        return [BrokerAddress(1, *local, f"rack-of-{listener}"), *self.others]

    async def create_topic(
        self, name, partitions, replication_factor, assignments, configs, validate_only
    ):
        self.calls.append((name, partitions, replication_factor, assignments, configs))
        if self.gate is not None:
            await self.gate.wait()
        if name in self.refusals:
            raise self.refusals[name]
        if self.topics.get(name) is not None:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if partitions > 1000:
            raise KafkaError(ErrorCode.INVALID_PARTITIONS)
        count = len(assignments) if assignments else max(partitions, 1)
        try:
            validate(configs)
        except InvalidConfig as error:
            raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error
        if validate_only:
            return Topic(name, ZERO_UUID, {n: Partition() for n in range(count)})
        return self.topics.add(name, count)

    async def delete_topic(self, name):
        self.calls.append((name,))
        if self.gate is not None:
            await self.gate.wait()
        if name in self.refusals:
            raise self.refusals[name]
        del self.topics.by_name[name]

    async def delete_records(self, offsets):
        self.calls.append((dict(offsets),))
        found = {}
        for key, offset in offsets.items():
            log = self.logs[key]
            start = log.high_watermark if offset < 0 else offset
            good = start <= log.high_watermark
            found[key] = start if good else ErrorCode.OFFSET_OUT_OF_RANGE
        return found

    def log(self, topic: str, partition: int) -> Log | None:
        return self.logs.get((topic, partition))

    async def next_producer_id(self) -> tuple[int, int]:
        if "producer ids" in self.refusals:
            raise self.refusals["producer ids"]
        self.producer_ids += 1
        return self.producer_ids, 0

    async def find_time(self, log, timestamp):
        if timestamp is None:
            return log.offset_of_max_timestamp()
        return log.offset_for_timestamp(timestamp)

    async def look_into(self, log, function):
        return function(log)

    async def aside(self, size, work):
        self.asides.append(size)
        return await work()


async def answer_to(broker: Broker, api_key: int, version: int, **fields: Any) -> messages.Message:
    """What the broker answers to a request, through all bytes and back."""
    body = messages.request_class(api_key)(**fields)
    frame = encode_request(RequestHeader(api_key, version, 77, "test"), body)
    response = await registry.dispatch(broker, Connection(frame))
    assert response is not None
    correlation_id, message = decode_response(api_key, version, response)
    assert correlation_id == 77
    return message


def ask(broker: Broker, api_key: int, version: int, **fields: Any) -> messages.Message:
    return asyncio.run(answer_to(broker, api_key, version, **fields))
