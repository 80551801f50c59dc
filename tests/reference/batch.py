"""Record batches v2 in plain Python: the reference that the native code is compared with.

The layout is that of the protocol's documentation ("Record Batch"). Clarity before speed.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.reference import codecs, crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")
CRC_AT, COVERED_FROM = 17, 21
NO_LIMIT = 2**63 - 1

DECODERS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: codecs.gunzip,
    2: codecs.unsnappy,
    3: codecs.unlz4,
}


class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Header(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int


def varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63) if value >= 0 else ((-value - 1) << 1) | 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def encode_record(delta: int, timestamp_delta: int, record: Record) -> bytes:
    body = b"\0" + varint(timestamp_delta) + varint(delta) + field(record.key) + field(record.value)
    body += varint(len(record.headers))
    for name, content in record.headers:
        body += field(name.encode()) + field(content)
    return varint(len(body)) + body


def seal(batch: bytes) -> bytes:
    """The batch with the length and checksum that its bytes ask for."""
    batch = batch[:8] + struct.pack(">i", len(batch) - 12) + batch[12:]
    crc = crc32c.checksum(batch[COVERED_FROM:])
    return batch[:CRC_AT] + struct.pack(">I", crc) + batch[COVERED_FROM:]


def build(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    leader_epoch: int = -1,
    attributes: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
) -> bytes:
    """An uncompressed batch."""
    first = records[0].timestamp
    head = HEADER.pack(
        base_offset,
        0,
        leader_epoch,
        2,
        0,
        attributes,
        records[-1].offset - base_offset,
        first,
        max(record.timestamp for record in records),
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    )
    body = [encode_record(r.offset - base_offset, r.timestamp - first, r) for r in records]
    return seal(head + b"".join(body))


class Reader:
    """Raises IndexError past the end, ValueError for what is malformed."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def varint(self, most: int = 5) -> int:
        value = 0
        for i in range(most):
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                bits = 32 if most == 5 else 64
                value &= (1 << bits) - 1
                return (value >> 1) ^ -(value & 1)
        raise ValueError("a varint of too many bytes")

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise IndexError("past the end")
        self.at += size
        return self.data[self.at - size : self.at]

    def field(self) -> bytes | None:
        size = self.varint()
        return None if size < 0 else self.take(size)


def read_record(reader: Reader, header: Header) -> Record:
    length = reader.varint()
    stop = reader.at + length
    reader.take(1)
    timestamp = header.first_timestamp + reader.varint(10)
    timestamp = (timestamp + 2**63) % 2**64 - 2**63
    offset = header.base_offset + reader.varint()
    if header.attributes & 8:
        timestamp = header.max_timestamp
    key, value = reader.field(), reader.field()
    count = reader.varint()
    if count < 0:
        raise ValueError("a negative number of headers")
    headers = []
    for _ in range(count):
        name = reader.field()
        if name is None:
            raise ValueError("a header without a key")
        headers.append((name.decode(errors="replace"), reader.field()))
    if reader.at != stop:
        raise ValueError("a record of another length")
    return Record(offset, timestamp, key, value, tuple(headers))


def parse(data: bytes) -> Header:
    return Header._make(HEADER.unpack_from(data))


def records(data: bytes) -> list[Record]:
    header = parse(data)
    body = DECODERS[header.attributes & 7](data[HEADER.size : 12 + header.length])
    reader = Reader(body)
    result = [read_record(reader, header) for _ in range(header.record_count)]
    if reader.at != len(body):
        raise ValueError("bytes left behind the last record")
    return result


def _frame_error(data: bytes, max_message_bytes: int) -> int:
    """Of the field as a whole, for bytes that hold one batch of magic 2 or fewer."""
    if len(data) < 12:
        return 87
    (length,) = struct.unpack_from(">i", data, 8)
    if length < 14:
        return 2
    if len(data) < 17:
        return 87
    if data[16] > 2:
        return 2
    if len(data) < 12 + length or data[16] != 2:
        return 87
    rest = data[12 + length :]
    if len(rest) >= 12:
        following = _frame_error(rest, NO_LIMIT)
        if following == 2 and (struct.unpack_from(">i", rest, 8)[0] < 14 or rest[16] > 2):
            return 2
        if len(rest) >= 12 + struct.unpack_from(">i", rest, 8)[0]:
            return 87
    if struct.unpack_from(">q", data)[0] != 0:
        return 87
    if 12 + length > max_message_bytes:
        return 10
    if length < 49 or crc32c.checksum(data[21 : 12 + length]) != parse(data).crc:
        return 2
    return 0


def _header_error(header: Header) -> tuple[int, int]:
    if header.attributes & 7 > 4:
        return -1, -1
    if header.last_offset_delta < 0 or header.record_count != header.last_offset_delta + 1:
        return 87, -1
    if header.attributes & 0x20 or (header.producer_id >= 0 and header.base_sequence < 0):
        return 87, -1
    return 0, -1


def validate(
    data: bytes,
    *,
    max_message_bytes: int = 1048588,
    refuse_null_keys: bool = False,
    log_append_time: bool = False,
    before_max_ms: int = NO_LIMIT,
    after_max_ms: int = NO_LIMIT,
    now_ms: int = 0,
) -> tuple[int, int]:
    """(error, first offending record) with every record walked, for codecs that `DECODERS` has."""
    error = _frame_error(data, max_message_bytes)
    if error:
        return error, -1
    header = parse(data)
    error, index = _header_error(header)
    if error:
        return error, index
    try:
        found = records(data)
    except (ValueError, IndexError):
        return 87, -1
    errors: dict[int, int] = {}
    for i, record in enumerate(found):
        age = now_ms - record.timestamp
        if refuse_null_keys and record.key is None:
            errors[i] = 87
        elif log_append_time or record.timestamp == -1:
            if header.attributes & 8:
                errors[i] = 32
        elif age > before_max_ms or -age > after_max_ms:
            errors[i] = 32
    if errors:
        return (32 if 32 in errors.values() else 87), min(errors)
    if header.attributes & 7 and [one.offset for one in found] != list(range(len(found))):
        return -1, -1  # Kafka cannot write these anew; uncompressed, it takes them for consecutive
    return 0, -1
