"""`fastlog topic describe --retention`: each segment of a topic, why it is kept, and until when."""

import json
import socket
import struct
import time
from typing import Any

from fastlog.console.client import TIMEOUT_SECONDS, split_address
from fastlog.console.errors import CommandError
from fastlog.logs.retention import Why
from fastlog.protocol import ErrorCode, RequestHeader, decode_response, encode_request, messages

API = 30001


def run(arguments) -> int:
    """Prints what the broker tells of the topics that are named."""
    found = {name: ask(arguments.bootstrap_server, name) for name in arguments.names}
    for name, answer in found.items():
        if answer.error_code:
            raise CommandError(f"topic '{name}': {ErrorCode(answer.error_code).name}")
    if arguments.json:
        print(json.dumps([{"name": name, **as_data(answer)} for name, answer in found.items()]))
        return 0
    for name, answer in found.items():
        for partition in answer.partitions:
            tell(name, answer, partition)
    return 0


def ask(servers: str, topic: str) -> Any:
    """The answer of the first server that has one. Raises CommandError."""
    request = messages.request_class(API)(topic=topic)
    frame = encode_request(RequestHeader(API, 0, 1, "fastlog-cli"), request)
    failures = []
    for server in servers.split(","):
        try:
            with socket.create_connection(split_address(server), TIMEOUT_SECONDS) as connection:
                connection.sendall(struct.pack(">i", len(frame)) + frame)
                with connection.makefile("rb") as stream:
                    head = stream.read(4)
                    answer = stream.read(struct.unpack(">i", head)[0]) if len(head) == 4 else b""
            if answer:
                return decode_response(API, 0, answer)[1]
            failures.append(f"{server.strip()}: does not answer this; only fastlog does")
        except OSError as error:
            failures.append(f"{server.strip()}: {error.strerror or error}")
    raise CommandError(f"no answer from {'; '.join(failures)}")


def as_data(value: Any) -> Any:
    """A message as JSON's types."""
    if isinstance(value, messages.Struct):
        return {name: as_data(getattr(value, name)) for name in value.__slots__}
    return [as_data(one) for one in value] if isinstance(value, list) else value


def tell(name: str, answer: Any, partition: Any) -> None:
    """One partition for people."""
    title = f"{name}-{partition.partition_index}"
    if partition.error_code:
        print(f"{title}: {ErrorCode(partition.error_code).name}")
        return
    print(
        f"{title}: from offset {partition.log_start_offset}, {len(partition.segments)} segments, "
        f"{sum(one.size_bytes for one in partition.segments):,} bytes; "
        f"retention.ms={answer.retention_ms}, retention.bytes={answer.retention_bytes}"
    )
    print("  base offset      bytes            latest record        kept until")
    for one in partition.segments:
        latest = moment(one.timestamp) if one.size_bytes else "-"
        print(f"  {one.base_offset:<15}  {one.size_bytes:<15,}  {latest:<19}  {until(one)}")


def until(segment: Any) -> str:
    """When it goes, and why it is there."""
    ends = [moment(segment.until_ms)] if segment.until_ms >= 0 else []
    if segment.until_bytes >= 0:
        ends.append(f"{segment.until_bytes:,} bytes more are written")
    why = Why[segment.why]
    if why is Why.DUE or not ends:
        return why.value
    return f"{' or '.join(ends)} ({why.value})"


def moment(timestamp_ms: int) -> str:
    """Local time to the second; what no calendar has, as milliseconds."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_ms} ms"
