from typing import Any

from typing_extensions import Buffer

from fastlog_ext.batch_records import BatchHeader as BatchHeader
from fastlog_ext.batch_records import CorruptBatch as CorruptBatch
from fastlog_ext.batch_records import Record as Record
from fastlog_ext.batch_records import build as build
from fastlog_ext.batch_records import records as records

def parse(data: Buffer) -> BatchHeader: ...
def checksum_matches(data: Buffer) -> bool: ...
def validate(
    data: Buffer,
    *,
    max_message_bytes: int = 1048588,
    walk_records: bool = False,
    refuse_null_keys: bool = False,
    log_append_time: bool = False,
    allow_zstd: bool = True,
    timestamp_before_max_ms: int = ...,
    timestamp_after_max_ms: int = ...,
    now_ms: int = 0,
    decoded_max: int = ...,
    every_record: bool = False,
) -> tuple[int, Any, str | None]: ...
def stamp(
    data: Buffer, base_offset: int, leader_epoch: int, append_time_ms: int | None = None
) -> None: ...
def find_timestamp(data: Buffer, target: int | None = None) -> tuple[int, int] | None: ...
