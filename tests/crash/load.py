"""Producers and consumers as processes of their own, so that a broker's death is not theirs.

    python -m tests.crash.load produce ADDRESS TOPICS ACKED_FILE SEED
    python -m tests.crash.load consume ADDRESS TOPICS

The producer appends a line to ACKED_FILE for each record that the broker acknowledged: topic,
partition, offset and the digest of the value. Every value begins with the digest of its rest, so
that a consumer can tell a wrong byte. Both run until they are ended, through any outage; an error
that a broker's absence does not explain ends them with a line on standard error and status 1.
"""

import hashlib
import os
import random
import sys
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

DIGEST_SIZE = 16
RATE_PAUSE_S = 0.01
RECONNECT = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}
PRODUCERS = (
    {"acks": "all", "enable.idempotence": True, "compression.type": "none"},
    {"acks": "all", "enable.idempotence": True, "compression.type": "lz4"},
    {"acks": "1", "compression.type": "zstd"},
    {"acks": "all", "compression.type": "gzip"},
)
# what a consumer may see while topics are deleted and brokers restarted
HARMLESS = {
    KafkaError._PARTITION_EOF,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._AUTO_OFFSET_RESET,
}
# a message that the producer gave up: it was never acknowledged
GIVEN_UP = {
    *HARMLESS,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,  # of a topic that was deleted and made again
    KafkaError.UNKNOWN_PRODUCER_ID,
}


def checked_value(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:DIGEST_SIZE] + body


def is_whole(value: bytes) -> bool:
    return checked_value(value[DIGEST_SIZE:]) == value


def digest_of(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


def produce(address: str, topics: list[str], acknowledged: str, seed: int) -> None:
    """Send for ever, at a rate that leaves the broker some of the machine."""
    log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    settings = dict(PRODUCERS[seed % len(PRODUCERS)])
    producer = _producer(address, settings)
    chance = random.Random(seed)
    problems: list[str] = []

    def report(error: KafkaError | None, message: Any) -> None:
        if error is None:
            place = f"{message.topic()} {message.partition()} {message.offset()}"
            os.write(log, f"{place} {digest_of(message.value())}\n".encode())
        elif error.code() not in GIVEN_UP:
            problems.append(f"{error.name()}: {error.str()}")

    number = 0
    while not problems:
        for _ in range(20):
            number += 1
            body = b"%d %d " % (seed, number) + chance.randbytes(chance.randrange(10, 900))
            try:
                producer.produce(chance.choice(topics), checked_value(body), on_delivery=report)
            except BufferError:
                break  # the broker is away and the queue is full
        producer.poll(RATE_PAUSE_S)
        time.sleep(RATE_PAUSE_S)
    sys.exit("producer: " + "; ".join(problems[:5]))


def _producer(address: str, settings: dict[str, Any]) -> Producer:
    # a batch must fit into the smallest segment that a test asks for
    more = {
        "linger.ms": 2,
        "batch.size": 12_000,
        "message.timeout.ms": 60_000,
        "queue.buffering.max.messages": 2000,
    }
    return Producer(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "topic.metadata.refresh.interval.ms": 500,
            **RECONNECT,
            **more,
            **settings,
        }
    )


def consume(address: str, topics: list[str]) -> None:
    """Read for ever from the beginning, over again when a topic is gone; check every value."""
    while True:
        consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "check.crcs": True,
                "log_level": 0,
                "fetch.wait.max.ms": 50,
                "topic.metadata.refresh.interval.ms": 500,
                "topic.metadata.propagation.max.ms": 500,
                **RECONNECT,
            }
        )
        consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for message in consumer.consume(500, 0.1):
                _check(message)
        consumer.close()


def _check(message: Any) -> None:
    error = message.error()
    if error is not None:
        if error.code() not in HARMLESS:
            sys.exit(f"consumer: {error.name()}: {error.str()}")
    elif not is_whole(message.value()):
        place = f"{message.topic()} {message.partition()} {message.offset()}"
        sys.exit(f"consumer: wrong bytes at {place}")


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        produce(sys.argv[2], sys.argv[3].split(","), sys.argv[4], int(sys.argv[5]))
    else:
        consume(sys.argv[2], sys.argv[3].split(","))
