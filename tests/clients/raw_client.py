"""Requests as messages over a plain socket, and answers reduced to what can be compared."""

import hashlib
import time
import uuid
from typing import Any

from fastlog.protocol import decode_response, encode_request, headers, messages
from tests.peers.wire import Connection

# what differs between any two brokers, or is for people to read
LEFT_OUT = {"host", "port", "rack", "session_id", "configs", "api_keys", "zk_migration_ready"}
LEFT_OUT |= {"finalized_features_epoch"}  # a version of Kafka's own node of features
TEXTS = {"error_message", "batch_index_error_message", "topic_config_error_message"}
NODES = {"node_id", "controller_id", "leader_id", "broker_id", "preferred_read_replica"}
NODE_LISTS = {"replica_nodes", "isr_nodes", "offline_replicas"}
# Kafka answers these in the order of a hash table, or good ones before bad ones
UNORDERED = {"responses": "name", "topics": "name"}
RECENT_MS = 600_000


class RawClient:
    """Speaks to one broker, on a connection that is opened anew when the broker closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.topic = f"raw-{uuid.uuid4().hex[:12]}"
        self.answers: list[Any] = []
        self._connection = Connection(address)
        self._correlation = 0
        found = self.exchange(3, 1, {"topics": []})
        self.node = found.brokers[0].node_id
        self._ids: dict[bytes, str] = {bytes(16): "zero"}

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def exchange(self, key: int, version: int, fields: dict[str, Any]) -> Any:
        """The answer as a message; None when the broker closed the connection instead."""
        request = build(messages.request_class(key), fields)
        self._correlation += 1
        head = headers.RequestHeader(key, version, self._correlation, "raw")
        self._connection.send(encode_request(head, request))
        return self._answer(key, version)

    def _answer(self, key: int, version: int) -> Any:
        frame = self._connection.receive()
        if frame is None:
            self.reconnect()
            return None
        correlation, body = decode_response(key, version, frame)
        assert correlation == self._correlation, "an answer to another request"
        return body

    def reconnect(self) -> None:
        self._connection.close()
        self._connection = Connection(self.address)

    def ask(self, key: int, version: int, /, **fields: Any) -> Any:
        """Send a request and note down the comparable form of its answer."""
        answer = self.exchange(key, version, fields)
        self.answers.append(self.comparable(answer))
        return answer

    def send_without_answer(self, key: int, version: int, /, **fields: Any) -> None:
        """Produce with acks=0: note down whether the broker then closes the connection."""
        request = build(messages.request_class(key), fields)
        self._correlation += 1
        head = headers.RequestHeader(key, version, self._correlation, "raw")
        self._connection.send(encode_request(head, request))
        closed = self._connection.closed_within(0.5)
        self.answers.append("closed" if closed else "open, silent")
        self.reconnect()

    def send_raw(self, frame: bytes, *, framed: bool = True) -> bytes | None:
        """Bytes instead of a message; note down what comes back."""
        if framed:
            self._connection.send(frame)
        else:
            self._connection.send_bytes(frame)
        answer = self._connection.receive()
        self.answers.append("closed" if answer is None else answer.hex())
        if answer is None:
            self.reconnect()
        return answer

    def comparable(self, value: Any, name: str = "") -> Any:
        """A message as dicts and lists, without this broker's addresses, ids and times."""
        if isinstance(value, messages.Struct):
            fields = {field: getattr(value, field) for field in value.__slots__}
            kept = {key: part for key, part in fields.items() if key not in LEFT_OUT}
            return {key: self.comparable(part, key) for key, part in kept.items()}
        if isinstance(value, list):
            if name == "responses" and value and hasattr(value[0], "partitions"):
                return self._fetched(value)
            if name == "responses" and value and hasattr(value[0], "partition_responses"):
                return self._produced(value)
            if name in UNORDERED and value and hasattr(value[0], UNORDERED[name]):
                value = sorted(value, key=lambda one: getattr(one, UNORDERED[name]))
            if value and hasattr(value[0], "low_watermark"):
                value = sorted(value, key=lambda one: one.partition_index)
            inner = "node_id" if name in NODE_LISTS else ""
            return [self.comparable(one, inner) for one in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self._number(value, name)
        if name in TEXTS or name == "cluster_id":
            return None if value is None else "a text"
        if isinstance(value, str):
            return value.replace(self.topic, "TOPIC")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value), name)
        return value

    def _fetched(self, topics: list[Any]) -> list[Any]:
        """The partitions of a Fetch answer: Kafka names a topic again for those that failed."""
        found = []
        for topic in topics:
            for partition in topic.partitions:
                place = (self.comparable(topic.topic), self._bytes(topic.topic_id, "topic_id"))
                found.append((*place, partition.partition_index, self.comparable(partition)))
        return sorted(found, key=lambda entry: entry[:3])

    def _produced(self, topics: list[Any]) -> list[Any]:
        """The partitions of a Produce answer: Kafka names a topic once, wherever they stood."""
        found: dict[str, list[Any]] = {}
        for topic in topics:
            found.setdefault(self.comparable(topic.name), []).extend(topic.partition_responses)
        return [
            (name, [self.comparable(one) for one in sorted(some, key=lambda one: one.index)])
            for name, some in sorted(found.items())
        ]

    def _number(self, value: int, name: str) -> Any:
        if name in NODES:
            return "this node" if value == self.node else value
        if name == "producer_id":
            return "assigned" if value >= 0 else value
        if "timestamp" in name or name == "log_append_time_ms":
            return "recent" if abs(value - time.time() * 1000) < RECENT_MS else value
        return value

    def _bytes(self, value: bytes, name: str) -> Any:
        if name == "topic_id":
            return self._ids.setdefault(value, f"id {len(self._ids)}")
        if len(value) <= 100:
            return value.hex()
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()[:16]}"


def build(message: Any, fields: dict[str, Any], struct: str | None = None) -> Any:
    """A message of a class from dicts and lists; `struct` names one of its structs instead."""
    name = struct or message.SCHEMA.name
    types = {field.name: field.type for field in message.SCHEMA.structs[name]}
    plain = {}
    for field, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [build(message, one, types[field]) for one in value]
        elif isinstance(value, dict):
            value = build(message, value, types[field])
        plain[field] = value
    return message._classes[name](**plain)
