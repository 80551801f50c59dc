"""confluent-kafka (librdkafka) performing the steps of a scenario."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.clients.drivers import Step

DEADLINE_S = 20
STARTS = {"beginning": OFFSET_BEGINNING, "end": OFFSET_END}
TIMESTAMP_TYPES = {
    TIMESTAMP_CREATE_TIME: "CreateTime",
    TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime",
}


def named(error: KafkaError) -> dict[str, str]:
    return {"error": error.name()}


class ConfluentDriver:
    """The newest librdkafka."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._admin = AdminClient({"bootstrap.servers": address, "socket.timeout.ms": 10000})

    def close(self) -> None:
        del self._admin

    def perform(self, step: Step) -> Any:
        try:
            return getattr(self, step["op"])(step)
        except KafkaException as problem:
            return named(problem.args[0])
        except ValueError:
            return {"error": "refused by the client itself"}

    def create(self, step: Step) -> Any:
        topic = NewTopic(
            step["topic"],
            step.get("partitions", 1),
            step.get("replication", 1),
            config={key: str(value) for key, value in step.get("configs", {}).items()},
        )
        for future in self._admin.create_topics([topic], request_timeout=15).values():
            future.result()
        return {"created": True}

    def delete(self, step: Step) -> Any:
        for future in self._admin.delete_topics([step["topic"]], request_timeout=15).values():
            future.result()
        return {"deleted": True}

    def produce(self, step: Step) -> Any:
        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "acks": step.get("acks", "all"),
                "compression.type": step.get("codec", "none"),
                "enable.idempotence": step.get("idempotent", False),
                "linger.ms": 5,
                "batch.size": step.get("batch_size", 16384),
                "message.max.bytes": 20_000_000,
                "message.timeout.ms": 8000,
                "topic.metadata.propagation.max.ms": 2000,
                # gapless answers in the order sent need one request in flight
                "max.in.flight.requests.per.connection": 5 if step.get("idempotent") else 1,
            }
        )
        answers: list[Any] = [{"error": "no report"}] * len(step["records"])

        def keep(position: int) -> Any:
            def report(error: KafkaError | None, message: Any) -> None:
                answers[position] = named(error) if error is not None else delivered(message)

            return report

        for position, record in enumerate(step["records"]):
            more = {"timestamp": record["timestamp"]} if "timestamp" in record else {}
            producer.produce(
                step["topic"],
                value=record["value"],
                key=record["key"],
                partition=record.get("partition", 0),
                headers=[tuple(header) for header in record.get("headers", [])],
                on_delivery=keep(position),
                **more,
            )
        producer.flush(DEADLINE_S)
        return answers

    @contextlib.contextmanager
    def _consumer(self, step: Step) -> Iterator[Consumer]:
        settings = {
            "bootstrap.servers": self.address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 100,
            "allow.auto.create.topics": step.get("auto_create", False),
        }
        if "fetch_bytes" in step:
            settings["fetch.message.max.bytes"] = step["fetch_bytes"]
        consumer = Consumer(settings)
        try:
            yield consumer
        finally:
            consumer.close()

    def consume(self, step: Step) -> Any:
        start = STARTS.get(step["start"], step["start"])
        received: list[Any] = []
        with self._consumer(step) as consumer:
            consumer.assign([TopicPartition(step["topic"], step.get("partition", 0), start)])
            deadline = time.monotonic() + DEADLINE_S
            while time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    received.append(received_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    return received
                else:
                    return [*received, named(error)]
        return [*received, {"error": "nothing more came"}]

    def consume_all(self, step: Step) -> Any:
        """All partitions of a topic at once, until `count` records have come."""
        values: dict[int, dict[int, str]] = {}
        left = step["count"]
        with self._consumer(step) as consumer:
            partitions = consumer.list_topics(step["topic"], timeout=10).topics[step["topic"]]
            places = sorted(partitions.partitions)
            consumer.assign(
                [TopicPartition(step["topic"], one, OFFSET_BEGINNING) for one in places]
            )
            deadline = time.monotonic() + DEADLINE_S
            while left and time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    offsets = values.setdefault(message.partition(), {})
                    offsets[message.offset()] = message.value().decode()
                    left -= 1
        return {"left": left, "values": str({key: values[key] for key in sorted(values)})}

    def times(self, step: Step) -> Any:
        answers: list[Any] = []
        with self._consumer(step) as consumer:
            for wanted in step["times"]:
                asked = TopicPartition(step["topic"], step.get("partition", 0), wanted)
                found = consumer.offsets_for_times([asked], timeout=10)[0]
                if found.error is not None:
                    answers.append(named(found.error))
                else:
                    answers.append(None if found.offset == OFFSET_END else {"offset": found.offset})
        return answers

    def watermarks(self, step: Step) -> Any:
        with self._consumer(step) as consumer:
            partition = TopicPartition(step["topic"], step.get("partition", 0))
            begin, end = consumer.get_watermark_offsets(partition, timeout=10, cached=False)
        return {"begin": begin, "end": end}

    def partitions(self, step: Step) -> Any:
        with self._consumer(step) as consumer:
            found = consumer.list_topics(step["topic"], timeout=10).topics[step["topic"]]
        if found.error is not None:
            return named(found.error)
        parts = found.partitions.values()
        replicas = [f"{len(one.replicas)}/{len(one.isrs)}" for one in parts]
        return {"count": len(found.partitions), "replicas": replicas}


def delivered(message: Any) -> dict[str, Any]:
    kind, timestamp = message.timestamp()
    answer = {"partition": message.partition(), "offset": message.offset()}
    return {**answer, "timestamp": timestamp, "timestamp_type": TIMESTAMP_TYPES.get(kind, kind)}


def received_record(message: Any) -> dict[str, Any]:
    kind, timestamp = message.timestamp()
    return {
        "offset": message.offset(),
        "timestamp": timestamp,
        "timestamp_type": TIMESTAMP_TYPES.get(kind, kind),
        "key": message.key(),
        "value": message.value(),
        "headers": [list(header) for header in message.headers() or []],
        "leader_epoch": message.leader_epoch(),
    }
