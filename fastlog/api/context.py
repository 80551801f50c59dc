"""What the handlers may ask of the broker. fastlog.broker implements it; tests have their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from fastlog.protocol.errors import ErrorCode

Result = TypeVar("Result")

NO_LEADER = -1


class Connection(Protocol):
    """Where a request came from: the data plane's Request."""

    @property
    def frame(self) -> bytes | memoryview: ...
    @property
    def listener(self) -> str: ...
    @property
    def local(self) -> tuple[str, int]: ...  # the address that the client dialled
    @property
    def peer(self) -> tuple[str, int]: ...


class BrokerAddress(NamedTuple):
    """A live broker, and where a client of one listener reaches it."""

    id: int
    host: str
    port: int
    rack: str | None = None


class PartitionState(Protocol):
    """Who holds a partition. `leader` is NO_LEADER while there is none."""

    @property
    def leader(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def replicas(self) -> Sequence[int]: ...
    @property
    def isr(self) -> Sequence[int]: ...
    @property
    def offline(self) -> Sequence[int]: ...  # replicas whose log folder failed


class TopicState(Protocol):
    """One topic; `partitions` has every number from 0 on."""

    @property
    def name(self) -> str: ...
    @property
    def topic_id(self) -> bytes: ...  # 16 bytes, zeros if it has none
    @property
    def partitions(self) -> Mapping[int, PartitionState]: ...


class Topics(Protocol):
    """The topics that this broker knows of."""

    def get(self, name: str) -> TopicState | None: ...
    def by_id(self, topic_id: bytes) -> TopicState | None: ...
    def names(self) -> Iterable[str]: ...


class CreatedTopic(Protocol):
    """A topic that was created, or (`validate_only`) could be: then its id is zeros."""

    @property
    def topic_id(self) -> bytes: ...
    @property
    def partition_count(self) -> int: ...
    @property
    def replication_factor(self) -> int: ...


class Context(Protocol):
    """The broker. Handlers of long requests ask it from other threads."""

    @property
    def node_id(self) -> int: ...
    @property
    def cluster_id(self) -> str: ...
    @property
    def settings(self) -> Any: ...  # fastlog.config.Settings: settings["num.partitions"]
    @property
    def topics(self) -> Topics: ...

    def controller_id(self) -> int:
        """A live broker's id; -1 while there is no controller."""
        ...

    def brokers(self, listener: str, local: tuple[str, int]) -> list[BrokerAddress]:
        """The live brokers, as a client sees them that dialled `local` on `listener`."""
        ...

    async def create_topic(
        self,
        name: str,
        partitions: int,
        replication_factor: int,
        assignments: Mapping[int, Sequence[int]] | None,
        configs: Mapping[str, str | None],
        validate_only: bool,
    ) -> CreatedTopic:
        """Creates a topic that has leaders when this returns. -1 stands for the broker's default.

        Checks everything, in Kafka's order, and raises KafkaError: exists (36), null among the
        configurations (40), counts together with assignments (42), counts (37, 38), name (17),
        assignments (39), configurations (40).
        """
        ...

    async def delete_topic(self, name: str) -> None:
        """Deletes a topic: nobody sees it when this returns. Raises KafkaError."""
        ...

    async def delete_records(
        self, offsets: Mapping[tuple[str, int], int]
    ) -> Mapping[tuple[str, int], int | ErrorCode]:
        """Lets partitions begin at an offset; -1 stands for their high watermark.

        Where each begins then, durably, or why not: OFFSET_OUT_OF_RANGE above the high watermark,
        KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER for a log that has gone.
        """
        ...

    def log(self, topic: str, partition: int) -> Any:
        """The partition's fastlog_ext.partition_log.Log, or None where this broker has none."""
        ...

    async def next_producer_id(self) -> tuple[int, int]:
        """A producer id that nobody else has, and its first epoch. Raises KafkaError."""
        ...

    def find_time(self, log: Any, timestamp: int | None) -> Awaitable[tuple[int, int, int] | None]:
        """(offset, timestamp, leader epoch) of the log's first record that is as late; None: of the
        first with the greatest timestamp. Raises OSError.
        """
        ...

    def look_into(self, log: Any, function: Callable[[Any], Result]) -> Awaitable[Result]:
        """What a function finds of a log that asks its disk for little."""
        ...

    def aside(
        self, size: int, work: Callable[[], Coroutine[Any, Any, Result]]
    ) -> Awaitable[Result]:
        """Runs a coroutine that takes long beside the event loop. `size`: of its request, in bytes,
        or of what its answer amounts to.
        """
        ...
