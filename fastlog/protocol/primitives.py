"""Reads and writes the protocol's variable-length values, never beyond the bytes that are there.

A reader takes (view, at, end) and returns (value, position after it); `end` is where its value must
stop. Fixed-size values go through `struct` in the generated code. Formats: Kafka's protocol guide,
the compact ones KIP-482.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import Any

ZERO_UUID = bytes(16)
TAGS_MAX = 64  # tagged fields in one struct; Kafka itself has at most five

ELEMENTS_MAX = (1 << 31) - 1


class _Allowance(threading.local):
    """How many elements of arrays the message that is being read may still have."""

    left = ELEMENTS_MAX


allowance = _Allowance()

_int16 = struct.Struct(">h")
_int32 = struct.Struct(">i")
_uuid = struct.Struct("16s")


class DecodeError(ValueError):
    """The bytes are not a message of that version."""


class EncodeError(ValueError):
    """The values do not fit the message in that version."""


def read_varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """An unsigned integer of at most 32 bits, seven bits a byte, lowest first."""
    value = 0
    for shift in (0, 7, 14, 21, 28):
        if at >= end:
            raise DecodeError("a variable-length integer ends early")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DecodeError("a variable-length integer has more than five bytes")


def _length(view: memoryview, at: int, end: int, size: int) -> tuple[int, int]:
    """The length before a value: 2 or 4 bytes wide, or compact (0). -1 means null."""
    if size == 0:
        length, at = read_varint(view, at, end)
        length -= 1
    else:
        if size > end - at:
            raise DecodeError("a length ends early")
        (length,) = (_int16 if size == 2 else _int32).unpack_from(view, at)
        at += size
    if length > end - at:
        raise DecodeError(f"a length of {length} with {end - at} bytes left")
    return length, at


def _not_null(value: Any, at: int) -> tuple[Any, int]:
    if value is None:
        raise DecodeError("null where the version has no null")
    return value, at


def _text(view: memoryview, at: int, end: int, size: int) -> tuple[str | None, int]:
    length, at = _length(view, at, end, size)
    if length < 0:
        return None, at
    # Kafka replaces what is not UTF-8 instead of refusing it.
    return str(view[at : at + length], "utf-8", "replace"), at + length


def _binary(view: memoryview, at: int, end: int, size: int) -> tuple[bytes | None, int]:
    length, at = _length(view, at, end, size)
    if length < 0:
        return None, at
    return bytes(view[at : at + length]), at + length


def read_string(view: memoryview, at: int, end: int) -> tuple[str, int]:
    return _not_null(*_text(view, at, end, 2))


def read_string_or_null(view: memoryview, at: int, end: int) -> tuple[str | None, int]:
    return _text(view, at, end, 2)


def read_compact_string(view: memoryview, at: int, end: int) -> tuple[str, int]:
    return _not_null(*_text(view, at, end, 0))


def read_compact_string_or_null(view: memoryview, at: int, end: int) -> tuple[str | None, int]:
    return _text(view, at, end, 0)


def read_bytes(view: memoryview, at: int, end: int) -> tuple[bytes, int]:
    return _not_null(*_binary(view, at, end, 4))


def read_bytes_or_null(view: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    return _binary(view, at, end, 4)


def read_compact_bytes(view: memoryview, at: int, end: int) -> tuple[bytes, int]:
    return _not_null(*_binary(view, at, end, 0))


def read_compact_bytes_or_null(view: memoryview, at: int, end: int) -> tuple[bytes | None, int]:
    return _binary(view, at, end, 0)


def read_count(view: memoryview, at: int, end: int, least: int) -> tuple[int, int]:
    """The count of an array whose elements take at least `least` bytes each; -1 means null."""
    return _bounded(*_length(view, at, end, 4), end, least)


def read_compact_count(view: memoryview, at: int, end: int, least: int) -> tuple[int, int]:
    return _bounded(*_length(view, at, end, 0), end, least)


def _bounded(count: int, at: int, end: int, least: int) -> tuple[int, int]:
    if count > 0:
        if count > (end - at) // least:
            raise DecodeError(f"an array of {count} with {end - at} bytes left")
        allowance.left -= count
        if allowance.left < 0:
            raise DecodeError("more elements in arrays than one message may have")
    return count, at


def read_numbers(view: memoryview, at: int, count: int, code: str) -> tuple[list[Any], int]:
    """An array of `count` fixed-size values of the `struct` code `code`."""
    form = f">{count}{code}"
    return list(struct.unpack_from(form, view, at)), at + struct.calcsize(form)


def read_uuids(view: memoryview, at: int, count: int) -> tuple[list[bytes], int]:
    return [bytes(view[at + 16 * i : at + 16 * i + 16]) for i in range(count)], at + 16 * count


def skip_tags(view: memoryview, at: int, end: int) -> int:
    """The position after a section of tagged fields of which none is known."""
    count, at = read_varint(view, at, end)
    check_tag_count(count)
    for _ in range(count):
        _, at = read_varint(view, at, end)
        size, at = read_varint(view, at, end)
        if size > end - at:
            raise DecodeError("a tagged field ends early")
        at += size
    return at


def check_tag_count(count: int) -> None:
    if count > TAGS_MAX:
        raise DecodeError(f"{count} tagged fields in one struct")


def write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def write_string(out: bytearray, value: str) -> None:
    data = value.encode()
    if len(data) > 0x7FFF:
        raise EncodeError(f"a string of {len(data)} bytes")
    out += _int16.pack(len(data))
    out += data


def write_string_or_null(out: bytearray, value: str | None) -> None:
    if value is None:
        out += b"\xff\xff"
    else:
        write_string(out, value)


def write_compact_string(out: bytearray, value: str) -> None:
    data = value.encode()
    if len(data) > 0x7FFF:
        raise EncodeError(f"a string of {len(data)} bytes")
    write_varint(out, len(data) + 1)
    out += data


def write_compact_string_or_null(out: bytearray, value: str | None) -> None:
    if value is None:
        out.append(0)
    else:
        write_compact_string(out, value)


def write_bytes(out: bytearray, value: bytes) -> None:
    out += _int32.pack(len(value))
    out += value


def write_bytes_or_null(out: bytearray, value: bytes | None) -> None:
    if value is None:
        out += b"\xff\xff\xff\xff"
    else:
        write_bytes(out, value)


def write_compact_bytes(out: bytearray, value: bytes) -> None:
    write_varint(out, len(value) + 1)
    out += value


def write_compact_bytes_or_null(out: bytearray, value: bytes | None) -> None:
    if value is None:
        out.append(0)
    else:
        write_compact_bytes(out, value)


def write_count(out: bytearray, count: int) -> None:
    out += _int32.pack(count)


def write_compact_count(out: bytearray, count: int) -> None:
    write_varint(out, count + 1)


def write_numbers(out: bytearray, values: Sequence[Any], code: str) -> None:
    out += struct.pack(f">{len(values)}{code}", *values)


def write_tags(out: bytearray, fields: list[tuple[int, bytearray]]) -> None:
    """The tagged fields that have a value, lowest tag first."""
    write_varint(out, len(fields))
    for tag, data in fields:
        write_varint(out, tag)
        write_varint(out, len(data))
        out += data


def write_uuids(out: bytearray, values: Sequence[bytes]) -> None:
    for value in values:
        out += _uuid.pack(value)
