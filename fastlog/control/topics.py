"""The control of topics: decides by `decisions`, writes by `writes`, fenced, and tells the broker.

One at a time: a creation is written, then the broker's callbacks open its logs, then it is seen in
`topics`, then it is acknowledged; a deletion is marked, unseen, then its logs go, then its nodes.
After a change that did not come to its end, whatever the reason, all is read again before the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastlog.config import Settings
from fastlog.control import writes
from fastlog.control.cluster import Leadership, elect, live_brokers
from fastlog.control.decisions import (
    DEFAULT,
    CreateRequest,
    NewTopic,
    decide_creation,
    first_state,
    state_after_start,
)
from fastlog.control.state import NO_TOPIC_ID, PartitionState, TopicDescription, TopicTable
from fastlog.coordination import znodes
from fastlog.coordination.interface import (
    BadVersion,
    Check,
    Coordination,
    CoordinationError,
    Create,
    Delete,
    NodeExists,
    Operation,
    SessionExpired,
    Set,
    StoreFull,
)
from fastlog.coordination.znodes import NO_LEADER, LeaderAndIsr, TopicAssignment
from fastlog.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from random import Random

Listener = Callable[[TopicDescription], Awaitable[None]]
Policy = Callable[[NewTopic], None]  # raises the KafkaError with which a creation is refused


class Control:
    """The controller's side of topics, for a cluster in which this broker controls.

    `start` before anything else; append to `on_created` and `on_deleted` before `start`. A callback
    may be called again for the same topic, after a failure. `topics` may be read at any time.
    """

    def __init__(
        self,
        coordination: Coordination,
        settings: Settings,
        broker_id: int,
        random: "Random | None" = None,
    ) -> None:
        self._coordination = coordination
        self._settings = settings
        self._broker_id = broker_id
        self._random = random
        self._lock = asyncio.Lock()
        self._leadership: Leadership | None = None
        self._stale = True
        self._unclean: frozenset[int] = frozenset()
        self.live: list[int] = []
        self.topics = TopicTable()
        self._offline: set[tuple[str, int]] = set()
        self._is_offline: Callable[[str, int], bool] | None = None  # while it starts
        self._deleting: set[str] = set()
        self.on_created: list[Listener] = []
        self.on_deleted: list[Listener] = []
        self.policies: list[Policy] = []

    @property
    def controller_epoch(self) -> int:
        """-1: this broker is not the controller."""
        return self._leadership.epoch if self._leadership else -1

    def by_id(self, topic_id: bytes) -> TopicDescription | None:
        return self.topics.by_id(topic_id)

    async def start(
        self,
        *,
        clean: bool = True,
        is_offline: Callable[[str, int], bool] | None = None,
    ) -> None:
        """Stands for controller and reads every topic; completes what a former controller began.

        `clean`: this broker's logs were closed in order; its partitions keep their leader epochs.
        `is_offline(topic, partition)`: whether its replica lies in a log folder that failed.
        KafkaError 41: another broker is the controller. Deletions that were begun are carried out,
        with their callbacks; `on_created` is not called for what was there.
        """
        async with self._change():
            self._leadership = await elect(self._coordination, self._broker_id)
            if self._leadership is None:
                raise KafkaError(ErrorCode.NOT_CONTROLLER, "another broker is the controller")
            self._is_offline = is_offline
            self._unclean = frozenset() if clean else frozenset([self._broker_id])
            await self._load()
            self._unclean, self._is_offline = frozenset(), None

    async def take_offline(self, partitions: Collection[tuple[str, int]]) -> None:
        """This broker's replicas of these partitions lie in a log folder that failed.

        Where it led it leads no more, until a start that finds the folder in order. `topics` shows
        that even when it cannot be written; then KafkaError, as for any change.
        """
        self._offline.update(partitions)
        self._stale = True
        try:
            async with self._change():
                await self._refresh()
        finally:
            for name in {topic for topic, _ in partitions}.intersection(self.topics):
                self.topics.put(self._without_leaders(self.topics[name]))

    def _without_leaders(self, topic: TopicDescription) -> TopicDescription:
        here = (self._broker_id,)
        states = {
            number: state._replace(leader=NO_LEADER, offline=here)
            if (topic.name, number) in self._offline and state.leader == self._broker_id
            else state
            for number, state in topic.partitions.items()
        }
        return topic._replace(partitions=states)

    def _available(self, topic: str, partition: int) -> list[int]:
        """The live brokers, but not this one if its replica is offline."""
        if (topic, partition) not in self._offline:
            return self.live
        return [broker for broker in self.live if broker != self._broker_id]

    async def create_topic(
        self,
        name: str,
        *,
        partitions: int = DEFAULT,
        replication_factor: int = DEFAULT,
        assignments: Mapping[int, Sequence[int]] | None = None,
        configs: Mapping[str, str | None] | None = None,
        validate_only: bool = False,
    ) -> TopicDescription:
        """Creates a topic; it has leaders when this returns. KafkaError: as `decide_creation`."""
        request = CreateRequest(name, partitions, replication_factor, assignments, configs or {})
        async with self._change():
            await self._refresh()
            topic = decide_creation(
                request,
                self.topics.keys() | self._deleting,
                self.live,
                self._settings["num.partitions"],
                self._settings["default.replication.factor"],
                self._chance(),
            )
            for policy in self.policies:
                policy(topic)
            if validate_only:
                return self._describe(topic, NO_TOPIC_ID, {}, {})
            return await self._create(topic, znodes.random_uuid(), {})

    async def adopt_topic(
        self,
        name: str,
        topic_id: bytes,
        leader_epochs: Mapping[int, int],
        configs: Mapping[str, str],
    ) -> TopicDescription:
        """Takes a topic into the cluster whose logs lie in this broker's folder already.

        `leader_epochs`: the newest epoch in each log, for every number from 0 on; the new one is
        above it. KafkaError: 36, 17, 39.
        """
        assignments = {number: [self._broker_id] for number in leader_epochs}
        async with self._change():
            await self._refresh()
            request = CreateRequest(name, assignments=assignments, configs=configs)
            existing = self.topics.keys() | self._deleting
            topic = decide_creation(request, existing, self.live, 1, 1, self._chance())
            epochs = {number: epoch + 1 for number, epoch in leader_epochs.items()}
            return await self._create(topic, topic_id, epochs)

    async def delete_topic(self, name: str) -> None:
        """Deletes a topic: nobody sees it when this returns. KafkaError 3: there is none."""
        async with self._change():
            await self._refresh()
            topic = self.topics.get(name)
            if topic is None:
                raise KafkaError(
                    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                    "This server does not host this topic-partition.",
                )
            self._stale = True
            with suppress(NodeExists):  # marked already, by a tool's hand
                await self._write([Create(znodes.delete_topic(name))])
            self.topics.remove(name)
            await self._finish_deletion(topic)
            self._stale = False

    @asynccontextmanager
    async def _change(self):
        """One change at a time; what a client is told when something fails under it."""
        try:
            async with self._lock:
                yield
        except SessionExpired as error:
            raise KafkaError(
                ErrorCode.NOT_CONTROLLER, "this broker is not the controller any more"
            ) from error
        except StoreFull as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        except CoordinationError as error:
            raise KafkaError(
                ErrorCode.REQUEST_TIMED_OUT, f"the outcome of the change is not known: {error}"
            ) from error
        except OSError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        except znodes.Malformed as error:
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from error

    async def _create(
        self, topic: NewTopic, topic_id: bytes, leader_epochs: Mapping[int, int]
    ) -> TopicDescription:
        states = {}
        for number, replicas in topic.assignment.items():
            epoch = leader_epochs.get(number, 0)
            state = first_state(replicas, self.live, self.controller_epoch, epoch)
            if state is not None:
                states[number] = state
        self._stale = True
        path = znodes.config("topics", topic.name)
        config_exists = await self._coordination.exists(path) is not None
        multis = writes.creation(
            topic.name, topic_id, topic.assignment, topic.configs, states, config_exists
        )
        for operations in multis:
            await self._write(operations)
        description = self._describe(topic, topic_id, states, {})
        await self._tell(self.on_created, description)
        self.topics.put(description)
        self._stale = False
        return description

    def _chance(self) -> "Random":
        if self._random is None:
            from random import Random  # the start has no need of it

            self._random = Random()
        return self._random

    def _describe(
        self,
        topic: NewTopic,
        topic_id: bytes,
        states: Mapping[int, LeaderAndIsr],
        versions: Mapping[int, int],
    ) -> TopicDescription:
        partitions = {
            number: PartitionState.of(
                states[number], replicas, versions.get(number, 0), self._offline_here(topic, number)
            )
            if number in states
            else PartitionState(
                NO_LEADER, 0, (), replicas, offline=self._offline_here(topic, number)
            )
            for number, replicas in topic.assignment.items()
        }
        return TopicDescription(topic.name, topic_id, partitions, dict(topic.configs))

    def _offline_here(self, topic: NewTopic, number: int) -> tuple[int, ...]:
        return (self._broker_id,) if (topic.name, number) in self._offline else ()

    async def _finish_deletion(self, topic: TopicDescription) -> None:
        """Everything after the marker: logs first, so that a crash on the way is found again.

        With a replica in a folder that failed, the rest waits for a start that finds the folder.
        """
        await self._tell(self.on_deleted, topic)
        if any((topic.name, number) in self._offline for number in topic.partitions):
            self._deleting.add(topic.name)
            return
        nodes = await self._nodes_below(znodes.topic(topic.name))
        config = znodes.config("topics", topic.name)
        config_exists = await self._coordination.exists(config) is not None
        for operations in writes.deletion(topic.name, nodes, config_exists):
            await self._write(operations)

    async def _nodes_below(self, path: str) -> list[str]:
        found = []
        for name in await self._coordination.children(path):
            found += [f"{path}/{name}", *await self._nodes_below(f"{path}/{name}")]
        return found

    async def _tell(self, listeners: Iterable[Listener], topic: TopicDescription) -> None:
        for listener in listeners:
            await listener(topic)

    async def _write(self, operations: list[Operation]) -> list:
        """A multi that does nothing unless this broker is still the controller."""
        if self._leadership is None:
            raise KafkaError(ErrorCode.NOT_CONTROLLER, "this broker is not the controller")
        fence = Check(znodes.CONTROLLER_EPOCH, self._leadership.version)
        try:
            return (await self._coordination.multi([fence, *operations]))[1:]
        except BadVersion as error:
            if error.path == znodes.CONTROLLER_EPOCH:
                self._leadership = None
                raise KafkaError(
                    ErrorCode.NOT_CONTROLLER, "another broker has become the controller"
                ) from error
            raise

    async def _refresh(self) -> None:
        if self._stale:
            known = dict(self.topics)
            await self._load()
            for name, topic in self.topics.items():
                if name not in known or known[name].topic_id != topic.topic_id:
                    await self._tell(self.on_created, topic)

    async def _load(self) -> None:
        """Reads everything, and completes creations and deletions that were cut short."""
        self.live = await live_brokers(self._coordination)
        names = await self._coordination.children(znodes.TOPICS)
        marked = set(await self._coordination.children(znodes.DELETE_TOPICS))
        loaded = await asyncio.gather(*(self._load_topic(name, marked) for name in names))
        self.topics.replace(topic for topic in loaded if topic.name not in marked)
        for topic in loaded:
            if topic.name in marked:
                await self._finish_deletion(topic)
        for name in marked.difference(names):
            await self._write([Delete(znodes.delete_topic(name), None)])
        self._stale = False

    async def _load_topic(self, name: str, marked: Collection[str]) -> TopicDescription:
        data, stat = await self._coordination.get(znodes.topic(name))
        assignment = TopicAssignment.decode(data)
        topic_id = assignment.topic_id
        if topic_id is None:  # made by an older Kafka, which had none; as Kafka, give it one
            topic_id = znodes.random_uuid()
            given = TopicAssignment(
                topic_id, assignment.partitions, assignment.adding, assignment.removing
            )
            await self._write([Set(znodes.topic(name), given.encode(), stat.version)])
        topic = NewTopic(name, assignment.partitions, await self._load_configs(name))
        states, versions = await self._load_states(topic, complete=name not in marked)
        return self._describe(topic, topic_id, states, versions)

    async def _load_configs(self, name: str) -> dict[str, str]:
        found = (await self._coordination.data([znodes.config("topics", name)]))[0]
        return znodes.decode_config(found[0] if found else b"")

    async def _load_states(
        self, topic: NewTopic, complete: bool
    ) -> tuple[dict[int, LeaderAndIsr], dict[int, int]]:
        """States and versions by partition; `complete` creates what is missing, elects leaders."""
        states: dict[int, LeaderAndIsr] = {}
        versions: dict[int, int] = {}
        missing: dict[int, LeaderAndIsr] = {}
        changes: list[Operation] = []
        paths = {number: znodes.partition_state(topic.name, number) for number in topic.assignment}
        found = await self._coordination.data(list(paths.values()))
        for (number, path), node in zip(paths.items(), found, strict=True):
            replicas = topic.assignment[number]
            if self._is_offline and self._is_offline(topic.name, number):
                self._offline.add((topic.name, number))
            live = self._available(topic.name, number)
            if node is None:
                first = first_state(replicas, live, self.controller_epoch)
                if first is not None:
                    missing[number] = states[number] = first
                continue
            data, version = node
            state = LeaderAndIsr.decode(data)
            change = state_after_start(state, replicas, live, self._unclean, self.controller_epoch)
            states[number] = change or state
            versions[number] = version + (change is not None)
            if change is not None:
                changes.append(Set(path, change.encode(), version))
        if complete:
            await self._complete(topic.name, missing)
            for i in range(0, len(changes), writes.OPERATIONS_MAX - 1):
                await self._write(changes[i : i + writes.OPERATIONS_MAX - 1])
        return states, versions

    async def _complete(self, name: str, missing: Mapping[int, LeaderAndIsr]) -> None:
        if not missing:
            return
        there = await self._nodes_below(znodes.topic(name))
        for operations in writes.completion(name, missing, set(there)):
            await self._write(operations)
