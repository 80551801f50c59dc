"""Records as text: kcat's format strings, and JSON lines that can hold any bytes."""

import base64
import functools
import json
import operator
import os
import re
from collections.abc import Callable
from typing import Any

from fastlog.console.errors import CommandError

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0"}


def unescape(text: str) -> bytes:
    r"""Resolves \n, \t, \r, \0, \\ and \xHH as kcat does in formats and delimiters.

    Before any other sign the backslash goes.
    """
    pattern = r"\\(x[0-9a-fA-F]{2}|.)"
    pieces = re.split(pattern, text, flags=re.DOTALL)
    out = bytearray()
    for index, piece in enumerate(pieces):
        if index % 2:
            out += bytes([int(piece[1:], 16)]) if len(piece) == 3 else other(piece)
        else:
            out += os.fsencode(piece)
    return bytes(out)


def other(sign: str) -> bytes:
    """What a backslash and this sign stand for."""
    return os.fsencode(ESCAPES.get(sign, sign))


def length(value: bytes | None) -> bytes:
    """A value's length as kcat prints it: -1 for null."""
    return b"-1" if value is None else str(len(value)).encode()


def header_text(record) -> bytes:
    """name=value,name=value"""
    pairs = record.headers() or []
    return b",".join(
        name.encode() + b"=" + (b"NULL" if value is None else value) for name, value in pairs
    )


TOKENS = {
    "s": lambda record: record.value() or b"",
    "S": lambda record: length(record.value()),
    "R": lambda record: (-1 if record.value() is None else len(record.value())).to_bytes(
        4, "big", signed=True
    ),
    "k": lambda record: record.key() or b"",
    "K": lambda record: length(record.key()),
    "t": lambda record: record.topic().encode(),
    "p": lambda record: str(record.partition()).encode(),
    "o": lambda record: str(record.offset()).encode(),
    "T": lambda record: str(record.timestamp()[1] if record.timestamp()[0] else -1).encode(),
    "h": header_text,
    "%": lambda record: b"%",
}


def constant(text: bytes, record) -> bytes:
    """What a format has between its tokens."""
    return text


def compile_format(text: str):
    """A function record -> bytes for a format string as kcat takes it.

    %s value, %S its length, %R its length as big-endian int32, %k key, %K its length, %t topic,
    %p partition, %o offset, %T timestamp in ms, %h headers, %% a percent sign.
    Raises CommandError for any other letter.
    """
    parts: list[Callable[[Any], bytes]] = []
    for index, piece in enumerate(re.split(r"%(.)", text, flags=re.DOTALL)):
        if index % 2 == 0:
            literal = unescape(piece)
            parts.append(functools.partial(constant, literal))
        elif piece in TOKENS:
            parts.append(TOKENS[piece])
        else:
            raise CommandError(f"format: there is no %{piece}; there are %{' %'.join(TOKENS)}")
    return lambda record: b"".join([part(record) for part in parts])


def put_bytes(target: dict, name: str, value: bytes | None) -> None:
    """Sets `name` to text when the bytes are UTF-8, and NAME_base64 otherwise."""
    try:
        target[name] = None if value is None else value.decode()
    except UnicodeDecodeError:
        target[f"{name}_base64"] = base64.b64encode(value or b"").decode()


def get_bytes(source: dict, name: str) -> bytes | None:
    """The inverse of put_bytes. A value that is no string is taken as its own JSON text."""
    if f"{name}_base64" in source:
        return base64.b64decode(source[f"{name}_base64"], validate=True)
    value = source.get(name)
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def to_json(record) -> bytes:
    """One line of JSON for a consumed record; `fastlog produce --json` reads it back."""
    kind, timestamp = record.timestamp()
    out: dict = {
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": timestamp if kind else None,
        "timestamp_type": {1: "CreateTime", 2: "LogAppendTime"}.get(kind),
        "headers": [],
    }
    for name, value in record.headers() or []:
        header = {"name": name}
        put_bytes(header, "value", value)
        out["headers"].append(header)
    put_bytes(out, "key", record.key())
    put_bytes(out, "value", record.value())
    return json.dumps(out, ensure_ascii=False).encode() + b"\n"


RECORD_FIELDS = {"key", "key_base64", "value", "value_base64"}


def from_json(line: bytes, number: int, keep_partition: bool) -> dict:
    """Arguments for a producer from one line of JSON. Raises CommandError naming the line."""
    try:
        source = json.loads(line)
        if not isinstance(source, dict) or not source.keys() & RECORD_FIELDS:
            raise ValueError("it is no object with a key or a value")
        headers = [(h["name"], get_bytes(h, "value")) for h in source.get("headers") or []]
        out: dict[str, object] = {
            "key": get_bytes(source, "key"),
            "value": get_bytes(source, "value"),
            "headers": headers,
        }
        names = ["partition"] if keep_partition else []
        if source.get("timestamp_type") != "LogAppendTime":
            names.append("timestamp")
        for name in names:
            if source.get(name) is not None:
                out[name] = operator.index(source[name])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"line {number} is not a record in JSON: {error}") from None
    return out
