"""`fastlog log dump`: prints what the files of a log hold, one line an entry."""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

from fastlog.console.errors import CommandError
from fastlog.console.records import put_bytes

TEXT_MAX = 120  # bytes of a key or a value that a readable line shows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog log dump`."""
    parser.add_argument("path", type=Path, help="one file, or a folder with all its files")
    parser.add_argument("--records", action="store_true", help="print the records of each batch")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")


def run(arguments) -> int:
    """Returns 1 when a file is malformed: what stands before that place was printed."""
    path: Path = arguments.path
    if not path.exists():
        raise CommandError(f"{path}: no such file or folder")
    files = sorted(found_in(path)) if path.is_dir() else [path]
    if not files:
        raise CommandError(f"{path} holds no file of a log")
    failed = False
    for file in files:
        failed |= not dump(file, arguments)
    return 1 if failed else 0


def found_in(folder: Path) -> Iterator[Path]:
    """The files that are understood, here and in the partitions' folders."""
    for path in folder.iterdir():
        if path.is_dir():
            yield from (inner for inner in path.iterdir() if reader_of(inner))
        elif reader_of(path):
            yield path


def reader_of(path: Path):
    """What reads files of this name: a generator function of (path, with records)."""
    return READERS.get(path.name) or READERS.get(path.suffix)


def dump(path: Path, arguments) -> bool:
    """Prints one file. Whether all of it could be read."""
    from fastlog.logs.formats import Malformed

    reader = reader_of(path)
    if reader is None:
        raise CommandError(f"{path}: what this file holds cannot be told by its name")
    if not arguments.json:
        print(f"{path}")
    problem = None
    try:
        for entry in reader(path, arguments.records):
            tell(path, entry, arguments.json)
    except Malformed as error:
        problem = {"kind": "malformed", "position": error.position, "message": str(error)}
    except (ValueError, UnicodeDecodeError) as error:
        problem = {"kind": "malformed", "position": 0, "message": str(error)}
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if problem:
        tell(path, problem, arguments.json)
    return problem is None


# --- one generator for each kind of file: dicts that begin with `kind` ---


def log_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """Batches, with their records if asked for. A batch's CRC is told, not insisted on."""
    from fastlog.logs import formats
    from fastlog_ext import batch as batches

    for position, data in formats.batches_of(path):
        header = formats.header_of(position, data)
        good = batches.checksum_matches(data)
        control = bool(header.attributes & formats.CONTROL)
        codec = header.attributes & 7
        yield {
            "kind": "batch",
            "base_offset": header.base_offset,
            "last_offset": header.base_offset + header.last_offset_delta,
            "position": position,
            "size": header.size,
            "records": header.record_count,
            "codec": formats.CODECS[codec] if codec < len(formats.CODECS) else str(codec),
            "timestamp_type": "LogAppendTime" if header.attributes & 8 else "CreateTime",
            "first_timestamp": header.first_timestamp,
            "max_timestamp": header.max_timestamp,
            "leader_epoch": header.leader_epoch,
            "producer_id": header.producer_id,
            "producer_epoch": header.producer_epoch,
            "base_sequence": header.base_sequence,
            "transactional": bool(header.attributes & formats.TRANSACTIONAL),
            "control": control,
            "crc": header.crc,
            "crc_ok": good,
        }
        if (with_records or control) and good:
            try:
                records = batches.records(data)
            except batches.CorruptBatch as error:
                raise formats.Malformed(position, f"malformed records: {error}") from None
            if control:
                yield {"kind": "marker", "type": formats.marker_of(records)}
            if with_records:
                yield from map(record_entry, records)


def record_entry(record) -> dict:
    """As `fastlog consume --json` has it: text, or base64 for what is no UTF-8."""
    entry: dict = {"kind": "record", "offset": record.offset, "timestamp": record.timestamp}
    put_bytes(entry, "key", record.key)
    put_bytes(entry, "value", record.value)
    if record.headers:
        entry["headers"] = []
        for name, value in record.headers:
            header = {"name": name}
            put_bytes(header, "value", value)
            entry["headers"].append(header)
    return entry


def index_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """offset -> position"""
    from fastlog.logs import formats

    for _, offset, position in formats.offset_entries(path):
        yield {"kind": "index entry", "offset": offset, "position": position}


def time_index_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """timestamp -> offset"""
    from fastlog.logs import formats

    for _, timestamp, offset in formats.time_entries(path):
        yield {"kind": "time index entry", "timestamp": timestamp, "offset": offset}


def transaction_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """Aborted transactions."""
    from fastlog.logs import formats

    for _, entry in formats.aborted_transactions(path):
        yield {"kind": "aborted", **entry._asdict()}


def snapshot_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """Idempotent producers."""
    from fastlog.logs import formats

    for entry in formats.producers_of(path):
        yield {"kind": "producer", **entry._asdict()}


def epoch_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """Leader epochs."""
    from fastlog.logs import formats

    for epoch, offset in formats.epochs_of(path):
        yield {"kind": "leader epoch", "epoch": epoch, "start_offset": offset}


def checkpoint_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """Offsets by partition."""
    from fastlog.logs import checkpoints

    text = path.read_bytes().decode("utf-8")
    for (topic, partition), offset in sorted(checkpoints.parse(text).items()):
        yield {"kind": "checkpoint", "topic": topic, "partition": partition, "offset": offset}


def metadata_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """The topic's id."""
    from fastlog.logs.partition import encode_topic_id, read_topic_id

    yield {"kind": "topic", "topic_id": encode_topic_id(read_topic_id(path.parent))}


def property_entries(path: Path, with_records: bool) -> Iterator[dict]:
    """meta.properties"""
    from fastlog.config.properties import parse

    for _, name, value in parse(path.read_bytes()):
        yield {"kind": "property", "name": name, "value": value}


READERS = {
    ".log": log_entries,
    ".index": index_entries,
    ".timeindex": time_index_entries,
    ".txnindex": transaction_entries,
    ".snapshot": snapshot_entries,
    "leader-epoch-checkpoint": epoch_entries,
    "recovery-point-offset-checkpoint": checkpoint_entries,
    "replication-offset-checkpoint": checkpoint_entries,
    "log-start-offset-checkpoint": checkpoint_entries,
    "cleaner-offset-checkpoint": checkpoint_entries,
    "partition.metadata": metadata_entries,
    "meta.properties": property_entries,
}


# --- printing ---


def tell(path: Path, entry: dict, as_json: bool) -> None:
    """One line."""
    if as_json:
        print(json.dumps({"file": str(path), **entry}, ensure_ascii=False))
        return
    fields = dict(entry)
    kind = fields.pop("kind")
    line = batch_line(fields) if kind == "batch" else plain_line(kind, fields)
    print(f"    {line}" if kind in ("record", "marker") else f"  {line}")


def batch_line(fields: dict) -> str:
    """The fields of a batch that say something."""
    parts = [
        f"batch {fields['base_offset']}-{fields['last_offset']}",
        f"at {fields['position']}, {fields['size']} bytes",
        f"{fields['records']} records",
        moment(fields["max_timestamp"]),
        f"codec {fields['codec']}",
        f"leader epoch {fields['leader_epoch']}",
    ]
    if fields["timestamp_type"] != "CreateTime":
        parts.append(fields["timestamp_type"])
    if fields["producer_id"] >= 0:
        producer = f"producer {fields['producer_id']}/{fields['producer_epoch']}"
        parts.append(f"{producer} sequence {fields['base_sequence']}")
    parts += [name for name in ("transactional", "control") if fields[name]]
    parts.append("crc ok" if fields["crc_ok"] else "CRC WRONG")
    return ", ".join(parts)


def plain_line(kind: str, fields: dict) -> str:
    """`kind name value, name value`"""
    shown = []
    for name, value in fields.items():
        if name in ("timestamp", "max_timestamp"):
            value = moment(value)
        elif isinstance(value, str) and len(value) > TEXT_MAX:
            value = f"{value[:TEXT_MAX]!r}... ({len(value)} characters)"
        elif name in ("key", "value") and isinstance(value, str):
            value = repr(value)
        shown.append(f"{name.replace('_', ' ')} {'null' if value is None else value}")
    return f"{kind}: " + ", ".join(shown)


def moment(timestamp_ms: int) -> str:
    """UTC, to the millisecond; the number itself where it is no date."""
    try:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(timestamp_ms // 1000))
    except (OverflowError, ValueError, OSError):
        return str(timestamp_ms)
    return f"{text}.{timestamp_ms % 1000:03d}Z" if timestamp_ms >= 0 else str(timestamp_ms)
