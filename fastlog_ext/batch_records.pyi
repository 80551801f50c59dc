from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import Buffer

Content = Buffer | str | None
Headers = Iterable[tuple[Buffer | str, Content]]

class BatchHeader(NamedTuple):
    base_offset: int
    size: int
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

class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

class CorruptBatch(ValueError): ...

def records(data: Buffer, limit: int = ...) -> list[Record]: ...
def build(
    records: Iterable[
        Record | tuple[int, Content, Content] | tuple[int, Content, Content, Headers]
    ],
    *,
    codec: int = 0,
    base_offset: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    timestamp_type: int = 0,
    leader_epoch: int = -1,
    transactional: bool = False,
    control: bool = False,
    level: int | None = None,
    last_offset_delta: int | None = None,
    max_timestamp: int | None = None,
) -> bytes: ...
