"""What the request handlers see of the broker: `fastlog.api.context.Context`, implemented."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from fastlog.api import registry
from fastlog.api.context import BrokerAddress
from fastlog.control.producer_ids import ProducerIds
from fastlog.logs.errors import OffsetOutOfRange
from fastlog.protocol.errors import ErrorCode

P = ParamSpec("P")
Result = TypeVar("Result")
Method = Callable[Concatenate["Facade", P], Coroutine[Any, Any, Result]]


def at_home(method: Method[P, Result]) -> Method[P, Result]:
    """Of a Facade: runs on the broker's event loop, whichever loop it is called on."""

    @functools.wraps(method)
    async def call(self: "Facade", *given: P.args, **named: P.kwargs) -> Result:
        work = method(self, *given, **named)
        if asyncio.get_running_loop() is self.home:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.home))

    return call


def _start_or_code(outcome: int | Exception) -> int | ErrorCode:
    if isinstance(outcome, OffsetOutOfRange):
        return ErrorCode.OFFSET_OUT_OF_RANGE
    if isinstance(outcome, OSError):
        return ErrorCode.KAFKA_STORAGE_ERROR
    return ErrorCode.NOT_LEADER_OR_FOLLOWER if isinstance(outcome, Exception) else outcome


class TopicsView:
    """The topics that this broker knows of, for the handlers."""

    def __init__(self, control) -> None:
        self.control = control

    def get(self, name: str):
        """The topic's description, or None."""
        return self.control.topics.get(name)

    def by_id(self, topic_id: bytes):
        """The topic's description, or None."""
        return self.control.by_id(topic_id)

    def names(self):
        """All names."""
        return self.control.topics.names()


class Facade:
    """One broker, as the handlers ask it, from any thread."""

    def __init__(self, broker) -> None:
        self.home = asyncio.get_running_loop()
        self.broker = broker
        self.settings = broker.settings
        self.topics = TopicsView(broker.control)
        self.node_id = broker.broker_id
        self.cluster_id = broker.cluster_id
        self.producer_ids = ProducerIds(broker.coordination, self.node_id)

    async def dispatch(self, request) -> bytes | None:
        """The response to one request, or None to close its connection."""
        return await registry.dispatch(self, request)

    def controller_id(self) -> int:
        """This broker: it stands alone."""
        return self.node_id

    def brokers(self, listener: str, local: tuple[str, int]) -> list[BrokerAddress]:
        """This broker, at the address that is advertised on the listener.

        Where nothing is advertised, a client is told the address that it dialled, so that
        containers and forwarded ports work without a setting.
        """
        if self.settings["advertised.listeners"]:
            for one in self.settings.advertised_listeners:
                if one.name == listener:
                    return [BrokerAddress(self.node_id, one.host, one.port)]
        return [BrokerAddress(self.node_id, local[0], local[1])]

    @at_home
    async def create_topic(
        self, name, partitions, replication_factor, assignments, configs, validate_only
    ):
        """Creates a topic and opens its logs. Raises KafkaError."""
        return await self.broker.control.create_topic(
            name,
            partitions=partitions,
            replication_factor=replication_factor,
            assignments=assignments,
            configs=configs,
            validate_only=validate_only,
        )

    @at_home
    async def delete_topic(self, name: str) -> None:
        """Deletes a topic and its logs. Raises KafkaError."""
        await self.broker.control.delete_topic(name)

    @at_home
    async def delete_records(self, offsets):
        """Lets partitions begin later; where each begins then, or the error code."""
        found = await self.broker.logs.delete_records(offsets)
        return {key: _start_or_code(outcome) for key, outcome in found.items()}

    def log(self, topic: str, partition: int):
        """The partition's log here, or None."""
        return self.broker.logs.get(topic, partition)

    @at_home
    async def next_producer_id(self) -> tuple[int, int]:
        """A producer id that nobody else has, with its first epoch."""
        return await self.producer_ids.next(), 0

    @at_home
    async def find_time(self, log, timestamp: int | None) -> tuple[int, int, int] | None:
        """The first record that is as late, or (None) has the greatest timestamp."""
        return await self.broker.lookups.by_time(log, timestamp)

    @at_home
    async def look_into(self, log, function):
        """What a function finds of a log."""
        return await self.broker.lookups.quick(log, function)

    async def aside(self, size, work):
        """Runs a coroutine that takes long in another thread."""
        return await self.broker.aside.run(size, work)
