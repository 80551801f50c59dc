"""One connection and its requests as messages, for tests that look at a broker's own answers."""

import collections
import itertools
import select
from typing import Any

from fastlog.protocol import decode_response, encode_request, headers, messages
from tests.clients.raw_client import build
from tests.peers.wire import Connection

NONE, OUT_OF_RANGE, UNKNOWN_TOPIC, STORAGE_ERROR = 0, 1, 3, 56
PRODUCE, FETCH, LIST_OFFSETS, METADATA, CREATE_TOPICS, DELETE_TOPICS = 0, 1, 2, 3, 19, 20
DELETE_RECORDS = 21


class Client(Connection):
    """Speaks messages to one broker."""

    def __init__(self, broker, timeout_s: float = 30) -> None:
        super().__init__((broker.host, broker.port), timeout_s)
        self._numbers = itertools.count(1)
        self._asked: collections.deque[int] = collections.deque()

    def ask(self, key: int, version: int, **fields: Any) -> Any:
        """The answer; the connection must stay open."""
        self.start(key, version, **fields)
        return self.finish(key, version)

    def start(self, key: int, version: int, **fields: Any) -> None:
        """Sends a request, for `finish` to take the answer; there may be several on their way."""
        self._asked.append(next(self._numbers))
        header = headers.RequestHeader(key, version, self._asked[-1], "test")
        self.send(encode_request(header, build(messages.request_class(key), fields)))

    def answered(self) -> bool:
        """Whether a part of the answer is there."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def finish(self, key: int, version: int) -> Any:
        frame = self.receive()
        assert frame is not None, f"the connection was closed on request {key}"
        correlation, body = decode_response(key, version, frame)
        assert correlation == self._asked.popleft()
        return body

    def create(self, name: str, partitions: int = 1, **configs: str) -> int:
        """The error code of CreateTopics."""
        topic = {"name": name, "num_partitions": partitions, "replication_factor": 1}
        topic["configs"] = [
            {"name": key.replace("_", "."), "value": value} for key, value in configs.items()
        ]
        answer = self.ask(CREATE_TOPICS, 4, topics=[topic], timeout_ms=20_000)
        return answer.topics[0].error_code

    def delete(self, name: str) -> int:
        """The error code of DeleteTopics."""
        answer = self.ask(DELETE_TOPICS, 4, topic_names=[name], timeout_ms=20_000)
        return answer.responses[0].error_code

    def delete_records(self, topic: str, offset: int, partition: int = 0) -> tuple[int, int]:
        """The error code of DeleteRecords, and where the partition starts then."""
        wanted = {"partition_index": partition, "offset": offset}
        topics = [{"name": topic, "partitions": [wanted]}]
        answer = self.ask(DELETE_RECORDS, 2, topics=topics, timeout_ms=20_000)
        found = answer.topics[0].partitions[0]
        return found.error_code, found.low_watermark

    def topics(self) -> dict[str, tuple[bytes, int]]:
        """Ids and partition counts by name."""
        answer = self.ask(METADATA, 12, topics=None)
        return {t.name: (t.topic_id, len(t.partitions)) for t in answer.topics}

    def produce(self, topic: str, batch: bytes, partition: int = 0) -> tuple[int, int]:
        """The error code, and the first offset that was given."""
        data = [
            {"name": topic, "partition_data": [{"index": partition, "records": batch}]},
        ]
        answer = self.ask(PRODUCE, 8, acks=-1, timeout_ms=20_000, topic_data=data)
        found = answer.responses[0].partition_responses[0]
        return found.error_code, found.base_offset

    def fetch(
        self, topic: str, partition: int = 0, offset: int = 0, *, epoch: int = -1, **limits: int
    ) -> Any:
        """One partition's part of a Fetch: error_code, high_watermark, records."""
        wanted = {"partition": partition, "current_leader_epoch": epoch, "fetch_offset": offset}
        wanted["partition_max_bytes"] = limits.get("partition_max_bytes", 1 << 20)
        answer = self.ask(
            FETCH,
            11,
            replica_id=-1,
            max_wait_ms=limits.get("max_wait_ms", 200),
            min_bytes=1,
            max_bytes=1 << 26,
            session_epoch=-1,
            topics=[{"topic": topic, "partitions": [wanted]}],
        )
        return answer.responses[0].partitions[0]

    def end_offset(
        self, topic: str, partition: int = 0, *, epoch: int = -1, timestamp: int = -1
    ) -> tuple[int, int]:
        """The error code and the offset of ListOffsets for the latest, or another time."""
        wanted = {"partition_index": partition, "timestamp": timestamp}
        wanted["current_leader_epoch"] = epoch
        answer = self.ask(
            LIST_OFFSETS, 5, replica_id=-1, topics=[{"name": topic, "partitions": [wanted]}]
        )
        found = answer.topics[0].partitions[0]
        return found.error_code, found.offset

    def leaders(self, topic: str) -> dict[int, tuple[int, int, list[int], list[int]]]:
        """By partition: error code, leader (0: some broker), in-sync replicas, offline ones."""
        answer = self.ask(METADATA, 12, topics=[{"name": topic, "topic_id": bytes(16)}])
        broker = answer.brokers[0].node_id
        return {
            p.partition_index: (
                p.error_code,
                p.leader_id if p.leader_id != broker else 0,
                [id - broker for id in p.isr_nodes],
                [id - broker for id in p.offline_replicas],
            )
            for p in answer.topics[0].partitions
        }
