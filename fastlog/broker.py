"""The composition root: what a broker starts, in which order, and how it stops.

Order of the start: the folders' locks, the listeners' ports (so that a port in use is told before
a long recovery), coordination, the logs, the partition table, and only then the reactors. The stop
goes the other way: reactors first, so that nothing is appended to a log that closes.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from fastlog import descriptors, limits, lost
from fastlog.aside import Aside
from fastlog.config import Settings, TopicSettings
from fastlog.config.listeners import Listener
from fastlog.control import cluster
from fastlog.control.decisions import NewTopic
from fastlog.control.state import NO_TOPIC_ID, PartitionState, TopicDescription
from fastlog.control.topics import Control
from fastlog.coordination import znodes
from fastlog.coordination.interface import CoordinationError, State
from fastlog.coordination.local import FILE_NAME, LocalCoordination, LocalStore
from fastlog.facade import Facade
from fastlog.logs import partition
from fastlog.logs.errors import FolderError, FolderNotUsable, is_storage_failure
from fastlog.logs.folder import CLEAN_MARKER, Identity, LogFolder
from fastlog.logs.folders import LogFolders, open_folders, partitions_in
from fastlog.logs.manager import Intervals
from fastlog.lookups import Lookups
from fastlog.protocol.errors import ErrorCode, KafkaError
from fastlog.protocol.internal_topics import INTERNAL_TOPICS
from fastlog.requests import RequestPump
from fastlog_ext.partition_log import Log
from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics

log = logging.getLogger("fastlog.broker")
# Of a topic whose logs were here before it: how long they were to be kept nobody has told us.
KEEPING_ALL = {"retention.ms": "-1", "retention.bytes": "-1"}
DRAIN_TOLD_AFTER_S = 1.0


class StartError(Exception):
    """Why the broker cannot start, in one line."""


def coordination_changed(state: State) -> None:
    """The store ends when the disk refuses a commit; records are served all the same."""
    if state is State.LOST:
        log.error("coordination is lost: topics cannot change until the broker is started again")


def become_leader(led: list[tuple[Log, int]]) -> None:
    """Lets the logs take appends, each in its leader epoch. OSError, not of a folder that fails."""
    for one, epoch in led:
        try:
            one.become_leader(epoch)
        except OSError as error:
            if not is_storage_failure(error):  # else the folder is going offline
                raise


class Broker:
    """One broker in this process. `start` once, then `stop`; both on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_folders = [os.path.abspath(folder) for folder in settings.log_dirs]
        self.endpoints: list[tuple[str, int]] = []
        self.stopped_clean = False
        self.joined = True
        self.draining_ended = False
        self.logs_opened = False
        self.failed = asyncio.Event()  # nothing is left to serve: `stop` is all that remains
        self.table = Topics()
        self.aside = Aside()
        self.lookups = Lookups(settings["fastlog.decompressed.max.bytes"])
        self.cluster_id = ""
        self.broker_id = -1
        self.descriptors = 0  # the limit on open files
        self.new_folders: list[Path] = []  # beside others that were used before
        self.deleted_before: list[str] = []
        self.not_opened: set[bytes] = set()  # topics whose logs could not be created
        self.going_offline: set[asyncio.Task] = set()
        # What was started, to be stopped in the reverse order.
        self.started = AsyncExitStack()

    folders: list[LogFolder]
    unusable: list[FolderNotUsable]
    plane: DataPlane
    coordination: LocalCoordination
    control: Control
    logs: LogFolders
    pump: RequestPump

    # --- start ---

    async def start(self) -> None:
        """Returns when requests are answered. Raises StartError; `stop` then tidies up."""
        started = time.monotonic()
        for notice in self.settings.notices:
            log.warning("%s", notice)
        self.descriptors = descriptors.allow_descriptors(self.settings["fastlog.open.segments.max"])
        try:
            self.folders, self.unusable = open_folders(self.data_folders)
            for folder in self.folders:
                self.started.callback(folder.close)
            self.bind()
            await self.join_cluster()
            await self.open_logs()
        except (FolderError, cluster.ClusterError, descriptors.TooManyLogs) as error:
            raise StartError(str(error)) from None
        except KafkaError as error:
            raise StartError(f"{self.data}: {error}") from None
        except (CoordinationError, sqlite3.Error, OSError) as error:
            raise StartError(f"{self.data}: coordination: {error}") from error
        self.serve()
        shown = ", ".join(f"{host}:{port}" for host, port in self.endpoints)
        log.info(
            "broker %d of cluster %s listens on %s; %d logs in %s; ready after %.0f ms",
            self.broker_id,
            self.cluster_id,
            shown,
            len(self.logs.logs),
            self.data,
            1000 * (time.monotonic() - started),
        )

    @property
    def data(self) -> str:
        """The log folders, for people."""
        return ", ".join(self.data_folders)

    def bind(self) -> None:
        """Opens the data plane and binds its listeners; nothing is accepted yet."""
        self.plane = DataPlane(
            self.table,
            reactors=self.settings.reactors,
            max_request_bytes=self.settings["socket.request.max.bytes"],
            max_control_bytes=self.settings["fastlog.control.request.max.bytes"],
            request_memory=limits.request_memory(self.settings),
            max_fetch_bytes=self.settings["fetch.max.bytes"],
            fetch_sessions=self.settings["max.incremental.fetch.session.cache.slots"],
            walk_records=self.settings["fastlog.validate.records"],
            max_decoded_bytes=self.settings["fastlog.decompressed.max.bytes"],
            max_elements=self.settings["fastlog.request.elements.max"],
        )
        try:
            limits.limit_connections(self.plane, self.settings)
        except limits.UnknownHost as error:
            raise StartError(str(error)) from None
        for listener in self.settings.listeners:
            try:
                bound = self.plane.listen(
                    listener.host,
                    listener.port,
                    listener.name,
                    backlog=self.settings["socket.listen.backlog.size"],
                    send_buffer=self.settings["socket.send.buffer.bytes"],
                    receive_buffer=self.settings["socket.receive.buffer.bytes"],
                )
            except OSError as error:
                raise StartError(f"cannot listen on {listener}: {error.strerror}") from None
            self.endpoints.append(bound)

    async def join_cluster(self) -> None:
        """Coordination, the broker's identity and place, and the topics that there are."""
        found = {folder.path: folder.identity() for folder in self.folders}
        identities = [identity for identity in found.values() if identity]
        if identities:
            self.new_folders = [path for path, identity in found.items() if identity is None]
        self.coordination = LocalStore(self.coordination_folder(bool(identities))).session()
        self.coordination.listen(coordination_changed)
        await self.coordination.connect()
        self.started.push_async_callback(self.coordination.close)
        await cluster.prepare(self.coordination)
        proposed = next((one.cluster_id for one in identities if one.cluster_id), None)
        self.cluster_id = await cluster.cluster_id(self.coordination, proposed)
        self.broker_id = await self.choose_id(identities)
        for folder in self.folders:
            folder.claim(self.cluster_id, self.broker_id)
        registration = cluster.registration(self.advertised(), self.settings["broker.rack"])
        await cluster.register(self.coordination, self.broker_id, registration)
        self.control = Control(self.coordination, self.settings, self.broker_id)
        # A deletion that the last process began is completed when the logs are open.
        self.control.on_deleted.append(self.note_deleted)
        clean = all((folder.path / CLEAN_MARKER).exists() for folder in self.folders)
        if self.unusable:
            here = set().union(*(partitions_in(folder) for folder in self.folders))
            await self.control.start(clean=clean, is_offline=lambda *key: key not in here)
        else:
            await self.control.start(clean=clean)

    def coordination_folder(self, used_before: bool) -> Path:
        """The log folder that holds the cluster's state; the first one of a new broker."""
        holding = [folder.path for folder in self.folders if (folder.path / FILE_NAME).exists()]
        if len(holding) > 1:
            shown = " and ".join(str(path) for path in holding)
            raise StartError(f"{shown} each hold a cluster's state ({FILE_NAME})")
        if not holding and used_before and self.unusable:
            # An empty state in another folder would be another cluster, without these topics.
            raise StartError(f"the cluster's state lies out of reach: {self.unusable[0]}")
        if not holding:
            lost.tell_of_lost_state(self.new_folders, FILE_NAME)
        return holding[0] if holding else self.folders[0].path

    async def note_deleted(self, topic: TopicDescription) -> None:
        """Remembers a deletion that is carried out before the logs are open."""
        self.deleted_before.append(topic.name)

    async def choose_id(self, identities: list[Identity]) -> int:
        """The configured id, else the one in meta.properties, else a generated one."""
        if self.settings.broker_id >= 0:
            return self.settings.broker_id
        for identity in identities:
            if identity.broker_id is not None:
                return identity.broker_id
        return await cluster.generate_broker_id(
            self.coordination, self.settings["reserved.broker.max.id"]
        )

    def advertised(self) -> list[Listener]:
        """The addresses that coordination keeps: as advertised, with the ports that are bound."""
        ports = dict(
            zip((one.name for one in self.settings.listeners), self.endpoints, strict=True)
        )
        return [
            one._replace(port=one.port or ports[one.name][1])
            for one in self.settings.advertised_listeners
        ]

    async def open_logs(self) -> None:
        """Opens every log, creates those of topics that have none yet, and leads them all."""
        self.logs = LogFolders(
            self.folders,
            self.unusable,
            Intervals.of(self.settings),
            self.settings["fastlog.disk.free.min.bytes"],
        )
        self.logs.on_offline = self.partitions_offline
        self.started.push_async_callback(self.close_logs)
        here = {folder.path: partitions_in(folder) for folder in self.folders}
        descriptors.check_old_logs(sum(map(len, here.values())), self.descriptors)
        topics = self.control.topics
        lost.tell_of_other_owner(topics, here, self.broker_id, self.control.live)
        known = {name: topic.topic_id for name, topic in topics.items()}
        await self.logs.start(self.engine_settings, self.ids_for_adoption() | known)
        self.logs_opened = True
        self.control.on_deleted[:] = [self.topic_deleted]
        self.control.on_created.append(self.topic_created)
        self.control.policies.append(self.check_room)
        if not self.logs.some_failed:
            missing = sum(len(self.missing(topic)) for topic in topics.values())
            lost.tell_of_empty_folder(self.new_folders, missing)
        for topic in list(topics.values()):
            await self.open_topic(topic, is_new=False)
        await self.adopt_logs()
        self.partitions_offline(self.logs.unreachable)
        await asyncio.gather(*self.going_offline)

    def partitions_offline(self, partitions: Collection[tuple[str, int]]) -> None:
        """Logs have gone offline: their leaders go, and with the last folder the broker."""
        if not self.logs.online:
            log.error("all log folders have failed: %s", self.data)
            self.failed.set()
        if partitions:
            task = asyncio.create_task(self.take_offline(partitions))
            self.going_offline.add(task)
            task.add_done_callback(self.going_offline.discard)

    async def take_offline(self, partitions: Collection[tuple[str, int]]) -> None:
        """Lets the cluster know. A folder that failed may have held the cluster's state too."""
        try:
            await self.control.take_offline(partitions)
        except KafkaError as error:
            log.error("that %d partitions are offline is not written: %s", len(partitions), error)

    def ids_for_adoption(self) -> dict[str, bytes]:
        """Ids for unknown topics that lie in the folders: those a log remembers, else new ones.

        Logs from before Kafka 2.8 remember none.
        """
        ids: dict[str, bytes] = {}
        found = [item for folder in self.folders for item in partitions_in(folder).items()]
        for (topic, _), path in found:
            if topic in self.control.topics:
                continue
            try:
                topic_id = partition.read_topic_id(path)
            except (OSError, ValueError):
                continue  # told when the log is opened
            if topic_id != NO_TOPIC_ID or topic not in ids:
                ids[topic] = topic_id
        return {name: znodes.random_uuid() if i == NO_TOPIC_ID else i for name, i in ids.items()}

    async def adopt_logs(self) -> None:
        """Takes in logs that no topic claims: of a folder that Kafka wrote, or copied here."""
        unclaimed: dict[str, set[int]] = {}
        for name, number in self.logs.logs:
            if name not in self.control.topics:
                unclaimed.setdefault(name, set()).add(number)
        for name, numbers in sorted(unclaimed.items()):
            if name in self.deleted_before:
                for number in numbers:
                    await self.logs.remove_partition(name, number)
                continue
            if self.logs.some_failed:  # its other partitions may lie where nobody can look
                log.warning("topic %s is not adopted while a log folder is offline", name)
                continue
            logs = [self.logs.get(name, number) for number in range(max(numbers) + 1)]
            topic_id, *others = {found.topic_id for found in logs if found is not None}
            if others:
                raise StartError(f"{self.data}: the logs of topic {name} have several ids")
            epochs = {
                number: -1 if found is None else found.leader_epoch
                for number, found in enumerate(logs)
            }
            await self.control.adopt_topic(name, topic_id, epochs, KEEPING_ALL)
            log.info(
                "topic %s, whose %d logs were here, is adopted and keeps all that it has (%s)",
                name,
                len(numbers),
                ", ".join(f"{name}={value}" for name, value in KEEPING_ALL.items()),
            )

    def engine_settings(self, topic: str) -> dict[str, int]:
        """What the engine is to do with a topic's logs."""
        known = self.control.topics.get(topic)
        return self.settings_of(topic, known.configs if known else KEEPING_ALL)

    def settings_of(self, topic: str, configs: Mapping[str, str]) -> dict[str, int]:
        """The same, of a topic with these configurations."""
        settings = TopicSettings(self.settings, configs).engine()
        if topic in INTERNAL_TOPICS:  # Kafka compacts them: no age makes an offset void
            settings |= {"retention_ms": -1, "retention_bytes": -1}
        return settings

    def leads(self, state: PartitionState) -> bool:
        """Whether this broker leads the partition."""
        return state.leader == self.broker_id

    async def open_topic(self, topic: TopicDescription, *, is_new: bool = True) -> None:
        """Opens the topic's logs here, leads them, and lets the data plane see them."""
        settings = self.settings_of(topic.name, topic.configs)

        # Side by side, because each waits for the disk; all are done before a failure is told.
        here = {
            n: state for n, state in topic.partitions.items() if self.broker_id in state.replicas
        }
        logs = {} if is_new else self.logs_there(topic)
        missing = [number for number in here if number not in logs]
        opening = (
            self.logs.create_partition(topic.name, topic.topic_id, number, settings, is_new=is_new)
            for number in missing
        )
        opened = await asyncio.gather(*opening, return_exceptions=True)
        for number, outcome in zip(missing, opened, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            logs[number] = outcome
        become_leader([(logs[n], one.leader_epoch) for n, one in here.items() if self.leads(one)])
        self.table.publish(topic.name, topic.topic_id, logs, len(topic.partitions))

    def logs_there(self, topic: TopicDescription) -> dict[int, Log]:
        """The logs that the start has opened for a topic."""
        found = ((number, self.logs.get(topic.name, number)) for number in topic.partitions)
        return {n: log for n, log in found if log is not None and log.topic_id == topic.topic_id}

    def missing(self, topic: TopicDescription) -> list[int]:
        """The partitions of a topic that are this broker's, and in no folder."""
        there = self.logs_there(topic)
        states = topic.partitions.items()
        return [n for n, one in states if self.broker_id in one.replicas and n not in there]

    def check_room(self, topic: NewTopic) -> None:
        """Refuses a topic whose logs would take the descriptors that others need. KafkaError."""
        more = sum(self.broker_id in replicas for replicas in topic.assignment.values())
        descriptors.check_new_logs(len(self.logs.logs), more, self.descriptors)

    async def topic_created(self, topic: TopicDescription) -> None:
        """Opens a new topic's logs. Raises KafkaError 56, for the client, when that fails.

        It is called again by the next change of any topic; that one must not fail for this one.
        """
        try:
            await self.open_topic(topic)
            self.not_opened.discard(topic.topic_id)
            log.info("topic %s created: %d partitions", topic.name, len(topic.partitions))
        except FolderError as error:
            log.error("topic %s: %s", topic.name, error)
            if topic.topic_id not in self.not_opened:
                self.not_opened.add(topic.topic_id)
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from None

    async def topic_deleted(self, topic: TopicDescription) -> None:
        """Closes and removes a topic's logs. Raises KafkaError 56, for the client."""
        self.not_opened.discard(topic.topic_id)
        try:
            await self.close_topic(topic)
        except FolderError as error:
            log.error("topic %s: %s", topic.name, error)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from None

    async def close_topic(self, topic: TopicDescription) -> None:
        """Takes the topic away from the data plane, then removes its logs."""
        self.table.remove(topic.name)
        for number in topic.partitions:
            await self.logs.remove_partition(topic.name, number)

    def serve(self) -> None:
        """Starts the threads that answer."""
        self.started.callback(self.lookups.close)
        self.started.push_async_callback(self.aside.close)
        facade = Facade(self)
        self.pump = RequestPump(self.plane, facade.dispatch)
        self.pump.start()
        self.started.push_async_callback(self.pump.stop, self.drain_seconds)
        self.plane.start()
        # The loop goes on answering what the reactors drain.
        self.started.push_async_callback(self.stop_reactors)

    # --- stop ---

    async def stop(self) -> None:
        """Drains, closes the logs in order and writes the clean marker. Idempotent."""
        await self.started.aclose()

    @property
    def drain_seconds(self) -> float:
        """How long a stop waits for what is under way."""
        return self.settings["fastlog.drain.timeout.ms"] / 1000

    async def stop_reactors(self) -> None:
        """Answers what is in flight, closes the connections and ends the threads."""
        loop = asyncio.get_running_loop()
        told = loop.call_later(DRAIN_TOLD_AFTER_S, self.tell_drain)
        self.joined = await asyncio.to_thread(self.plane.stop, self.drain_seconds)
        told.cancel()
        self.draining_ended = True

    def tell_drain(self) -> None:
        """A stop that takes long says for whom it waits."""
        log.info(
            "waiting for the responses of %d connections, at most %.1f s in all;"
            " a second TERM ends at once",
            *(self.plane.stats()["connections"], self.drain_seconds),
        )

    @property
    def waits_for(self) -> str:
        """What a stop has not done yet, for people."""
        left = self.logs.not_closed() if self.draining_ended and self.logs_opened else ""
        return left or ("all that was begun" if self.draining_ended else "the connections")

    async def close_logs(self) -> None:
        """Closes the logs; not in order while a reactor may still write to them."""
        if not self.joined:
            log.error("a reactor did not stop in time; the next start recovers the logs")
        if not (self.joined and self.logs_opened):
            # What was not opened must not be told to be in order, nor lose its checkpoints.
            self.logs.abort()
            return
        self.stopped_clean = await self.logs.shutdown()
        log.info("stopped%s", "" if self.stopped_clean else "; the next start recovers the logs")
