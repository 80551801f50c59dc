"""Decoders of gzip, snappy and lz4 in plain Python, written from their format descriptions."""

import struct
import zlib


def gunzip(data: bytes) -> bytes:
    out = b""
    while data[:2] == b"\x1f\x8b":
        member = zlib.decompressobj(wbits=31)
        out += member.decompress(data)
        if not member.eof:
            raise ValueError("truncated gzip member")
        data = member.unused_data
    return out


def _copy(out: bytearray, distance: int, length: int) -> None:
    if not 0 < distance <= len(out):
        raise ValueError("a copy from before the start")
    for _ in range(length):
        out.append(out[-distance])


def snappy_block(data: bytes) -> bytes:
    """One raw block: an unsigned varint of the length, then literals and copies."""
    at = shift = length = 0
    while True:
        length |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            break
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, size = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if size > 60:
                extra = size - 60
                size = int.from_bytes(data[at : at + extra], "little") + 1
                at += extra
            out += data[at : at + size]
            at += size
        elif kind == 1:
            _copy(out, (tag >> 5) << 8 | data[at], ((tag >> 2) & 7) + 4)
            at += 1
        else:
            width = 2 if kind == 2 else 4
            _copy(out, int.from_bytes(data[at : at + width], "little"), size)
            at += width
    if len(out) != length:
        raise ValueError("the block does not have its declared length")
    return bytes(out)


def unsnappy(data: bytes) -> bytes:
    """Xerial's framing when its magic leads, a raw block otherwise."""
    if data[:8] != b"\x82SNAPPY\0":
        return snappy_block(data)
    out, at = b"", 16
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        out += snappy_block(data[at + 4 : at + 4 + size])
        at += 4 + size
    return out


def _lz4_length(data: bytes, at: int, nibble: int) -> tuple[int, int]:
    if nibble == 15:
        while True:
            nibble += data[at]
            at += 1
            if data[at - 1] != 255:
                break
    return nibble, at


def lz4_block(data: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        token = data[at]
        literals, at = _lz4_length(data, at + 1, token >> 4)
        out += data[at : at + literals]
        at += literals
        if at >= len(data):
            break
        distance = int.from_bytes(data[at : at + 2], "little")
        match, at = _lz4_length(data, at + 2, token & 15)
        _copy(out, distance, match + 4)
    return bytes(out)


def unlz4(data: bytes) -> bytes:
    """One frame of independent blocks; its checksums are not looked at."""
    if data[:4] != b"\x04\x22\x4d\x18":
        raise ValueError("not an lz4 frame")
    flags, at, out = data[4], 7 + (8 if data[4] & 8 else 0), b""
    while True:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size == 0:
            return out
        block = data[at : at + (size & 0x7FFFFFFF)]
        out += block if size >> 31 else lz4_block(block)
        at += len(block) + (4 if flags & 0x10 else 0)
