"""The topics as the control plane knows them: immutable descriptions in one table."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fastlog.coordination.znodes import NO_LEADER, LeaderAndIsr

NO_TOPIC_ID = bytes(16)


class PartitionState(NamedTuple):
    """Who holds a partition. `leader` is NO_LEADER while there is none."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]
    partition_epoch: int = 0  # the state node's version
    offline: tuple[int, ...] = ()  # replicas whose log folder failed; known to the controller only

    @classmethod
    def of(
        cls,
        state: LeaderAndIsr,
        replicas: tuple[int, ...],
        version: int,
        offline: tuple[int, ...] = (),
    ) -> "PartitionState":
        return cls(state.leader, state.leader_epoch, state.isr, replicas, version, offline)


class TopicDescription(NamedTuple):
    """One topic; `partitions` has every number from 0 on. `topic_id` is zeros where it has none."""

    name: str
    topic_id: bytes
    partitions: Mapping[int, PartitionState]
    configs: Mapping[str, str] = {}

    @property
    def partition_count(self) -> int:
        return len(self.partitions)

    @property
    def replication_factor(self) -> int:
        return max((len(one.replicas) for one in self.partitions.values()), default=0)


class TopicTable(Mapping[str, TopicDescription]):
    """By name, and by id. Other threads may read it while one changes it."""

    def __init__(self) -> None:
        self._by_name: dict[str, TopicDescription] = {}
        self._by_id: dict[bytes, TopicDescription] = {}

    def __getitem__(self, name: str) -> TopicDescription:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def names(self) -> list[str]:
        return list(self._by_name)

    def by_id(self, topic_id: bytes) -> TopicDescription | None:
        return self._by_id.get(bytes(topic_id))

    def put(self, topic: TopicDescription) -> None:
        before = self._by_name.get(topic.name)
        self._by_name[topic.name] = topic
        if topic.topic_id != NO_TOPIC_ID:
            self._by_id[topic.topic_id] = topic
        if before is not None and before.topic_id != topic.topic_id:
            self._by_id.pop(before.topic_id, None)

    def remove(self, name: str) -> None:
        topic = self._by_name.pop(name, None)
        if topic is not None:
            self._by_id.pop(topic.topic_id, None)

    def replace(self, topics: Iterable[TopicDescription]) -> None:
        """These are all there are; nobody sees a part of them."""
        by_name = {topic.name: topic for topic in topics}
        self._by_id = {t.topic_id: t for t in by_name.values() if t.topic_id != NO_TOPIC_ID}
        self._by_name = by_name


__all__ = ["NO_LEADER", "NO_TOPIC_ID", "PartitionState", "TopicDescription", "TopicTable"]
