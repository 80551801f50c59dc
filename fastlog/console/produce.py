r"""Sends records to a topic: one a line of stdin, or one a file when files are named.

seq 1000 | fastlog produce numbers
printf 'a:1\nb:2\n' | fastlog produce pairs --key-delimiter :
fastlog produce sources $(find . -name '*.py')    (each file is one record, its path the key)
fastlog consume old -e --json | fastlog produce new --json
"""

import argparse
import json
import os
import sys

from fastlog.console.client import (
    add_client_arguments,
    client_settings,
    confluent,
    describe,
    make,
    pair,
    partitions_of,
)
from fastlog.console.errors import CommandError
from fastlog.console.progress import Progress
from fastlog.console.records import from_json, unescape

FLUSH_SECONDS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog produce`."""
    parser.add_argument("topic")
    parser.add_argument("files", nargs="*", metavar="FILE", help="each file is one record")
    add_client_arguments(parser)
    add = parser.add_argument
    add("--key", "-k", help="the key of every record (for files: instead of the path)")
    add("--key-delimiter", "-K", metavar="TEXT", help="splits each line into key and value")
    add("--delimiter", "-D", metavar="TEXT", default="\\n", help="ends a record (default \\n)")
    add("--header", "-H", metavar="NAME=VALUE", action="append", default=[])
    add("--partition", "-p", type=int, help="the partition (default: by key, else spread)")
    add("--compression", "-z", choices=["none", "gzip", "snappy", "lz4", "zstd"])
    add("--acks", choices=["0", "1", "all"], default="all")
    add("--idempotent", action="store_true", help="no duplicates when a request is retried")
    add("--null-empty", "-Z", action="store_true", help="an empty value or key is sent as null")
    add("--json", action="store_true", help="stdin holds a JSON object a line, as consume --json")
    add("--keep-partition", action="store_true", help="with --json: into the partitions it names")
    add("--quiet", "-q", action="store_true", help="no progress")


def lines(stream, delimiter: bytes):
    """The pieces of a binary stream between delimiters; the last may lack its own."""
    rest = bytearray()
    while block := stream.read1(1 << 16):
        # Only where a delimiter can have become whole: a record may be far larger than a block.
        unseen = max(len(rest) - len(delimiter) + 1, 0)
        rest += block
        if rest.find(delimiter, unseen) >= 0:
            *pieces, tail = bytes(rest).split(delimiter)
            yield from pieces
            rest = bytearray(tail)
    if rest:
        yield bytes(rest)


def file_records(arguments):
    """One record a file, keyed by its path."""
    for path in arguments.files:
        try:
            with open(path, "rb") as file:
                value = file.read()
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        key = path if arguments.key is None else arguments.key
        yield {"key": os.fsencode(key), "value": value}


def line_records(arguments):
    """One record for each delimited piece of stdin."""
    key_delimiter = unescape(arguments.key_delimiter) if arguments.key_delimiter else None
    fixed = None if arguments.key is None else os.fsencode(arguments.key)
    delimiter = unescape(arguments.delimiter)
    if not delimiter:
        raise CommandError("the delimiter is empty; name a file to send it as one record")
    for line in lines(sys.stdin.buffer, delimiter):
        key, value = fixed, line
        if key_delimiter:
            head, found, tail = line.partition(key_delimiter)
            if found:
                key, value = head, tail
        yield {"key": key, "value": value}


def records(arguments):
    """The arguments of Producer.produce for every record asked for."""
    if arguments.json:
        for number, line in enumerate(lines(sys.stdin.buffer, b"\n"), 1):
            if line.strip():
                yield from_json(line, number, arguments.keep_partition)
        return
    headers = [
        (name, os.fsencode(value)) for name, value in (pair(h, "header") for h in arguments.header)
    ]
    for record in file_records(arguments) if arguments.files else line_records(arguments):
        if arguments.null_empty:
            record = {name: value or None for name, value in record.items()}
        if headers:
            record["headers"] = headers
        yield record


class Delivery:
    """Counts what the broker acknowledged, and keeps the first refusal."""

    def __init__(self, quiet: bool, named: bool) -> None:
        self.named = named
        self.progress = Progress("produced", quiet=quiet)
        self.failed = 0
        self.first_error: str | None = None

    def __call__(self, error, record) -> None:
        if error is None:
            self.progress.add(len(record.value() or b"") + len(record.key() or b""))
            return
        self.failed += 1
        if self.first_error is None:
            self.first_error = f"{error.str()} ({error.name()})"
            if self.named:  # a file: its key is its path
                self.first_error += f": {os.fsdecode(record.key() or b'')}"


def send(producer, topic: str, record: dict, delivery: Delivery) -> None:
    """Queues one record, waiting while librdkafka's queue is full."""
    kafka = confluent()
    while True:
        try:
            producer.produce(topic, on_delivery=delivery, **record)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)
        except (kafka.KafkaException, ValueError, TypeError, OverflowError) as error:
            raise CommandError(f"a record cannot be sent: {describe(error)}") from None


def run(arguments) -> int:
    """Returns 0 when every record was acknowledged."""
    settings = client_settings(
        arguments,
        **{"acks": arguments.acks, "enable.idempotence": arguments.idempotent},
    )
    if arguments.compression:
        settings["compression.codec"] = arguments.compression
    if arguments.files:
        # A file is one record: let the broker's own limit decide, not the client's.
        settings.setdefault("message.max.bytes", 100_000_000)
    producer = make(confluent().Producer, settings)
    if arguments.partition is not None:
        check_partition(producer, arguments)
    delivery = Delivery(arguments.quiet, named=bool(arguments.files) and arguments.key is None)
    try:
        for record in records(arguments):
            if arguments.partition is not None:
                record["partition"] = arguments.partition
            send(producer, arguments.topic, record, delivery)
    finally:
        # What was read before a bad line, or before an interrupt, was meant to be sent.
        left = producer.flush(FLUSH_SECONDS)
        delivery.progress.finish()
    if arguments.json and not sys.stdout.isatty():
        print(json.dumps({"acknowledged": delivery.progress.records, "failed": delivery.failed}))
    if delivery.failed or left:
        why = delivery.first_error or "no answer in time"
        count = delivery.failed + left
        what = "1 record was" if count == 1 else f"{count:,} records were"
        raise CommandError(f"{what} not acknowledged: {why}")
    return 0


def check_partition(producer, arguments) -> None:
    """librdkafka would queue for a partition that does not exist until the record times out."""
    known = partitions_of(producer, arguments.topic)
    if arguments.partition not in known:
        raise CommandError(
            f"topic '{arguments.topic}' has partitions 0 to {len(known) - 1}, "
            f"not {arguments.partition}"
        )
