"""Record batches (format v2, KIP-98) made by hand, right and wrong, as no client sends them."""

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, CONTROL_BIT = 0x08, 0x10, 0x20


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    """Zigzag and base 128, as in Protocol Buffers."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@dataclass
class Record:
    value: bytes | None = b"value"
    key: bytes | None = None
    timestamp_delta: int = 0
    offset_delta: int | None = None  # None: its place in the batch
    headers: Sequence[tuple[bytes, bytes | None]] = ()

    def encode(self, place: int) -> bytes:
        delta = place if self.offset_delta is None else self.offset_delta
        out = b"\0" + varint(self.timestamp_delta) + varint(delta)
        for part in (self.key, self.value):
            out += varint(-1) if part is None else varint(len(part)) + part
        out += varint(len(self.headers))
        for name, value in self.headers:
            out += varint(len(name)) + name
            out += varint(-1) if value is None else varint(len(value)) + value
        return varint(len(out)) + out


@dataclass
class Batch:
    """A batch; what is None is filled in as it should be."""

    records: Sequence[Record] = field(default_factory=lambda: [Record()])
    timestamp: int = 1_700_000_000_000
    base_offset: int = 0
    leader_epoch: int = -1
    magic: int = 2
    attributes: int = 0
    last_offset_delta: int | None = None
    max_timestamp: int | None = None
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    count: int | None = None
    body: bytes | None = None  # the records as they go on the wire
    crc_change: int = 0
    length_change: int = 0

    def encode(self) -> bytes:
        plain = b"".join(record.encode(place) for place, record in enumerate(self.records))
        body = self.body
        if body is None:
            body = gzip.compress(plain, mtime=0) if self.attributes & 7 == 1 else plain
        last = len(self.records) - 1 if self.last_offset_delta is None else self.last_offset_delta
        latest = self.max_timestamp
        if latest is None:
            deltas = [record.timestamp_delta for record in self.records]
            latest = self.timestamp + max(deltas, default=0)
        covered = struct.pack(
            ">hiqqqhii",
            self.attributes,
            last,
            self.timestamp,
            latest,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            len(self.records) if self.count is None else self.count,
        )
        covered += body
        crc = crc32c(covered) ^ self.crc_change
        length = 9 + len(covered) + self.length_change
        head = struct.pack(">qiibI", self.base_offset, length, self.leader_epoch, self.magic, crc)
        return head + covered
