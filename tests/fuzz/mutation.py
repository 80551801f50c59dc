"""Breaks bytes, each time in another way, and always the same way for the same seed."""

import random
import struct

# Lengths and counts at which arithmetic goes wrong, in the widths that the formats use.
EDGES = [0, 1, -1, 2, 60, 61, 127, 128, 255, 256, 2**15 - 1, -(2**15), 2**16, 2**24]
EDGES += [2**31 - 1, -(2**31), 2**31 - 62, 2**32 - 1]
EDGES += [2**62, 2**63 - 1, -(2**63)]
VARINTS = [b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80\x01", b"\xff" * 4 + b"\x0f", b"\xff" * 5]
VARINTS += [b"\xfe\xff\xff\xff\x0f", b"\x80" * 9 + b"\x01", b"\xff" * 10, b"\x80" * 12]


def flip(data: bytearray, rng: random.Random) -> None:
    """A few bits."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def edge(data: bytearray, rng: random.Random) -> None:
    """A number of an interesting value, big-endian, somewhere; more often near the start."""
    value, width = rng.choice(EDGES), rng.choice([1, 2, 4, 4, 4, 8])
    packed = struct.pack(">Q", value & (2**64 - 1))[-width:]
    limit = len(data) if rng.random() < 0.5 else min(len(data), 96)
    at = rng.randrange(limit)
    data[at : at + width] = packed


def varint(data: bytearray, rng: random.Random) -> None:
    """A varint of an interesting value, over or between what is there."""
    at, put = rng.randrange(len(data)), rng.choice(VARINTS)
    data[at : at + (len(put) if rng.random() < 0.5 else 0)] = put


def cut(data: bytearray, rng: random.Random) -> None:
    """An end that is missing, or a hole."""
    at = rng.randrange(len(data))
    del data[at : None if rng.random() < 0.5 else at + rng.randint(1, 16)]


def repeat(data: bytearray, rng: random.Random) -> None:
    """A piece twice."""
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randint(1, 64)]
    to = rng.randrange(len(data))
    data[to:to] = piece


def noise(data: bytearray, rng: random.Random) -> None:
    """A piece of chance."""
    at = rng.randrange(len(data))
    size = rng.randint(1, 24)
    data[at : at + size] = rng.randbytes(size)


MUTATIONS = [flip, flip, edge, edge, edge, varint, varint, cut, repeat, noise]


def mutate(original: bytes, rng: random.Random) -> bytes:
    """`original` with one to four breaks."""
    data = bytearray(original)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        if not data:
            data += rng.randbytes(rng.randint(1, 80))
        rng.choice(MUTATIONS)(data, rng)
    return bytes(data)
