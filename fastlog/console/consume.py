r"""Prints the records of a topic to stdout, from the beginning unless told otherwise.

fastlog consume numbers                       (waits for more; -e ends at the end)
fastlog consume pairs -e --format '%p:%o %k=%s\n'
fastlog consume clicks --offset s@1700000000000 --count 10 --json
"""

import argparse
import sys
import time

from fastlog.console.client import (
    TIMEOUT_SECONDS,
    add_client_arguments,
    client_settings,
    confluent,
    describe,
    make,
    not_negative,
    partitions_of,
)
from fastlog.console.errors import CommandError
from fastlog.console.progress import Progress
from fastlog.console.records import compile_format, to_json, unescape

STALL_SECONDS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog consume`."""
    parser.add_argument("topic")
    add_client_arguments(parser)
    add = parser.add_argument
    add("--partition", "-p", type=int, action="append", help="only these (default: all)")
    add(
        "--offset",
        "-o",
        default="beginning",
        help="beginning, end, N, -N (before the end), or s@MILLISECONDS (default beginning)",
    )
    add("--exit", "-e", action="store_true", help="end at the end of what was there at the start")
    add("--count", "-c", type=not_negative, help="end after so many records")
    add("--format", "-f", help="%%s value %%k key %%t %%p %%o %%T time %%h headers %%S %%K lengths")
    add("--key-delimiter", "-K", metavar="TEXT", help="print key, TEXT, value")
    add("--delimiter", "-D", metavar="TEXT", default="\\n", help="after each record (default \\n)")
    add("--json", action="store_true", help="a JSON object a line")
    add("--quiet", "-q", action="store_true", help="no progress")


def formatter(arguments):
    """The function record -> bytes that these options ask for."""
    if arguments.json:
        return to_json
    if arguments.format:
        return compile_format(arguments.format)
    end = unescape(arguments.delimiter)
    if arguments.key_delimiter is None:
        return lambda record: (record.value() or b"") + end
    between = unescape(arguments.key_delimiter)
    return lambda record: (record.key() or b"") + between + (record.value() or b"") + end


class Bounds:
    """The first and the end offset of one partition, asked from the broker."""

    def __init__(self, consumer, topic: str, partition: int) -> None:
        kafka = confluent()
        place = kafka.TopicPartition(topic, partition)
        try:
            self.first, self.end = consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS)
        except kafka.KafkaException as error:
            raise CommandError(f"{topic}-{partition}: {describe(error)}") from None


def start_offset(text: str, bounds: Bounds, by_time) -> int:
    """The offset at which to start; `by_time(ms)` asks the broker. Raises CommandError."""
    if text in ("beginning", "end"):
        return bounds.first if text == "beginning" else bounds.end
    try:
        if text.startswith("s@"):
            found = by_time(int(text[2:]))
            return bounds.end if found < 0 else found
        number = int(text)
    except ValueError:
        raise CommandError(
            f"offset '{text}' is not beginning, end, a number or s@MILLISECONDS"
        ) from None
    return number if number >= 0 else max(bounds.end + number, bounds.first)


def assign(consumer, arguments) -> dict[int, tuple[int, int]]:
    """Assigns the partitions. Returns partition -> (start, end offset at this moment)."""
    kafka = confluent()
    known = partitions_of(consumer, arguments.topic)
    wanted = arguments.partition if arguments.partition is not None else known
    missing = set(wanted) - set(known)
    if missing:
        raise CommandError(f"topic '{arguments.topic}' has no partition {min(missing)}")
    spans = {}
    for partition in wanted:
        bounds = Bounds(consumer, arguments.topic, partition)

        def by_time(milliseconds: int, partition: int = partition) -> int:
            place = kafka.TopicPartition(arguments.topic, partition, milliseconds)
            return consumer.offsets_for_times([place], timeout=TIMEOUT_SECONDS)[0].offset

        spans[partition] = (start_offset(arguments.offset, bounds, by_time), bounds.end)
    if all(start > end for start, end in spans.values()):
        raise CommandError(
            f"offset {arguments.offset} is behind the end of topic '{arguments.topic}', "
            f"{max(end for _, end in spans.values())}"
        )
    consumer.assign(
        [kafka.TopicPartition(arguments.topic, p, start) for p, (start, _) in spans.items()]
    )
    return spans


def run(arguments) -> int:
    """Returns 0 when the end, the count, or an interrupt was reached."""
    write_record = formatter(arguments)
    kafka = confluent()
    settings = client_settings(
        arguments,
        **{
            "group.id": "fastlog-cli",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        },
    )
    consumer = make(kafka.Consumer, settings)
    try:
        spans = assign(consumer, arguments)
        # With -e, a partition is done when its position has reached the end seen at the start;
        # the broker's end-of-partition event tells the position even behind compacted offsets.
        waiting = {p for p, (start, end) in spans.items() if start < end}
        return copy(consumer, arguments, write_record, spans, waiting)
    finally:
        sys.stdout.flush()
        consumer.close()


def copy(consumer, arguments, write_record, spans, waiting: set[int]) -> int:
    """Copies records to stdout until what the options ask for has been printed."""
    out = sys.stdout.buffer
    progress = Progress("consumed", quiet=arguments.quiet or sys.stdout.isatty())
    left = arguments.count if arguments.count is not None else -1
    eof = confluent().KafkaError._PARTITION_EOF
    heard = time.monotonic()
    while left != 0 and (waiting or not arguments.exit):
        batch = consumer.consume(1000 if left < 0 else min(left, 1000), 0.25)
        if not batch:
            out.flush()
            # librdkafka tries again for ever, without a word, where a partition cannot be read.
            if arguments.exit and time.monotonic() - heard > STALL_SECONDS:
                raise CommandError(f"partition {min(waiting)} sends nothing; is its log in order?")
            continue
        heard = time.monotonic()
        for record in batch:
            if record.error() is not None:
                if record.error().code() != eof:
                    raise CommandError(f"{record.error().str()} ({record.error().name()})")
                waiting.discard(record.partition())
                continue
            end = spans[record.partition()][1]
            if arguments.exit and record.offset() >= end:
                waiting.discard(record.partition())
                continue
            out.write(write_record(record))
            progress.add(len(record.value() or b"") + len(record.key() or b""))
            left -= left > 0
            if record.offset() + 1 >= end:
                waiting.discard(record.partition())
    out.flush()
    progress.finish()
    return 0
