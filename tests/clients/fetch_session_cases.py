"""Sequences of requests in a fetch session (KIP-227): what does a broker answer?"""

from typing import Any

from tests.clients.batches import Batch
from tests.clients.raw_cases import FETCH, PRODUCE, UNKNOWN_ID, Case, filled, topic_id
from tests.clients.raw_client import RawClient

VERSIONS = (7, 11, 12, 13, 17)  # 7: the first with sessions; 13: topics by id


def append(client: RawClient, topic: str, partition: int) -> None:
    data = [{"index": partition, "records": Batch().encode()}]
    body = {"acks": -1, "timeout_ms": 5000}
    client.exchange(PRODUCE, 3, {**body, "topic_data": [{"name": topic, "partition_data": data}]})


class Session:
    """One fetch session: its steps, each noted down with its answer."""

    def __init__(self, client: RawClient, version: int, names: list[str]) -> None:
        self.client, self.version = client, version
        self.topics: dict[str, dict[str, Any]] = {}
        self.id = 0
        for name in names:
            self.know(name, name, topic_id(client, name))

    def know(self, name: str, topic: str, identity: bytes) -> None:
        """In this order the answers speak of the ids, whatever the order of an answer."""
        self.topics[name] = {"topic": topic, "topic_id": identity}
        self.client.comparable(identity, "topic_id")

    def step(self, epoch: int, *wanted: tuple[str, int, int], **more: Any) -> Any:
        """A fetch of (topic, partition, offset); `forget` names (topic, partition)."""
        topics: dict[str, Any] = {}
        for name, partition, offset in wanted:
            entry = topics.setdefault(name, {**self.topics[name], "partitions": []})
            limit = {"partition_max_bytes": more.get("limit", 100_000)}
            entry["partitions"].append({"partition": partition, "fetch_offset": offset, **limit})
        forgotten: dict[str, Any] = {}
        for name, partition in more.get("forget", ()):
            entry = forgotten.setdefault(name, {**self.topics[name], "partitions": []})
            entry["partitions"].append(partition)
        answer = self.client.ask(
            FETCH,
            more.get("version", self.version),
            max_wait_ms=more.get("wait", 20),
            min_bytes=1,
            max_bytes=more.get("max_bytes", 10_000_000),
            session_id=more.get("id", self.id),
            session_epoch=epoch,
            topics=list(topics.values()),
            forgotten_topics_data=list(forgotten.values()),
        )
        same = "same" if answer.session_id == self.id else "another"
        self.client.answers.append(f"session {same if answer.session_id else 'none'}")
        return answer

    def begin(self, *wanted: tuple[str, int, int], **more: Any) -> None:
        self.id = self.step(0, *wanted, **more).session_id


def fetch_session(client: RawClient, version: int) -> None:
    """A session from its start to its end, and what it leaves out of its answers."""
    one, two = filled(client, "one"), filled(client, "two")
    session = Session(client, version, [one, two])
    everything = [(one, 0, 0), (one, 1, 0), (two, 0, 12), (two, 1, 0)]
    session.begin(*everything, limit=100)
    client.answers.append("again, forward, nothing new")
    session.step(1)
    session.step(2, (one, 0, 12))
    session.step(3)
    client.answers.append("something new")
    append(client, one, 1)
    session.step(4)
    session.step(5, (one, 1, 1))
    append(client, two, 0)
    append(client, one, 0)
    session.step(6, limit=70, max_bytes=70)
    session.step(7, max_bytes=70)
    client.answers.append("wrong places, and good ones again")
    session.step(8, (one, 0, 1000), (two, 0, -5))
    session.step(9)
    session.step(10, (one, 0, 13), (two, 0, 13))
    session.step(11)
    client.answers.append("forgotten")
    append(client, one, 1)
    session.step(12, forget=[(one, 1), (two, 5)])
    session.step(13, (one, 1, 1))
    session.step(14, (one, 1, 2), (one, 0, 0), forget=[(one, 0), (two, 1)])
    session.step(15)
    session.step(16, forget=[(one, 0), (one, 1), (two, 0)])
    session.step(17)


def fetch_session_epochs(client: RawClient, version: int) -> None:
    """Epochs and ids that are right, wrong, old and gone."""
    topic = filled(client, "epochs")
    session = Session(client, version, [topic])
    session.begin((topic, 0, 0))
    for epoch in (2, 0x7FFFFFFF, -2, 1, 1, 2, 1, 3):
        client.answers.append(f"epoch {epoch}")
        session.step(epoch, (topic, 0, 12))
    client.answers.append("unknown ids")
    for unknown in (0, session.id ^ 1):
        session.step(1, (topic, 0, 12), id=unknown)
    client.answers.append("another connection")
    client.reconnect()
    session.step(4, (topic, 1, 0))
    session.step(5)
    client.answers.append("full: the old one is gone")
    old = session.id
    session.begin((topic, 0, 0), (topic, 1, 0))
    session.step(6, id=old)
    session.step(1)
    client.answers.append("without a session")
    session.step(-1, (topic, 0, 12), id=0)
    session.step(-1, (topic, 0, 0))
    session.step(2)
    client.answers.append("one of nothing, then something")
    session.begin()
    session.step(1)
    session.begin()
    session.step(1, (topic, 0, 0))
    session.step(2, (topic, 0, 12), forget=[(topic, 0)])
    session.step(3)


def fetch_session_unknown(client: RawClient, version: int) -> None:
    """Topics and partitions that are not there, not yet, or not any more; names against ids."""
    topic, leaving = filled(client, "known"), filled(client, "leaving")
    session = Session(client, version, [topic, leaving])
    session.know("none", f"{topic}-none", UNKNOWN_ID)
    session.begin((topic, 0, 12), ("none", 0, 0), (topic, 7, 0), (leaving, 0, 12))
    session.step(1)
    session.step(2, (topic, 1, 0))
    session.step(3, forget=[("none", 0)])
    session.step(4, forget=[(topic, 7)])
    session.step(5)
    other = 12 if version >= 13 else 13
    client.answers.append(f"in version {other}")
    session.step(6, version=other)
    session.step(6)
    client.answers.append("the same partition twice")
    session.step(7, (topic, 0, 0), (topic, 0, 6), (topic, 0, 3))
    session.step(8)
    session.begin((topic, 0, 12), ("none", 1, 0))
    session.step(1, forget=[(topic, 0)])
    session.step(2)


def fetch_session_duplicates(client: RawClient, version: int) -> None:
    """Partitions that are named more than once where a session begins, goes on and forgets."""
    topic = filled(client, "duplicates")
    session = Session(client, version, [topic])
    session.begin((topic, 0, 0), (topic, 1, 0), (topic, 0, 6), (topic, 0, 9))
    session.step(1)
    session.step(2, (topic, 0, 3), (topic, 0, 12))
    session.step(3, (topic, 0, 6), forget=[(topic, 0), (topic, 1), (topic, 1)])
    session.step(4, (topic, 1, 0), (topic, 1, 0))
    session.step(5, *[(topic, 0, number % 13) for number in range(100)])


CASES: list[Case] = [
    fetch_session,
    fetch_session_epochs,
    fetch_session_unknown,
    fetch_session_duplicates,
]
