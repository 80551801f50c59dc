"""What a hostile peer sends, and what it must get: one error code, or the end of the connection.

The answers are those of Kafka 3.9 (test_as_kafka.py compares each), except where `ours` says why.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from fastlog_ext import codecs
from tests.dataplane.wire import batch, crc32c, fetch, produce, uvarint, zigzag

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19
NONE, OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC, TOO_LARGE = 0, 1, 2, 3, 10
INVALID_TOPIC, UNSUPPORTED_VERSION, INVALID_RECORD = 17, 35, 87
TOPIC, BIG_TOPIC = "hostile", "hostile-big"
BOMB_BYTES = 200 << 20
BOMB_WEIGHT = 0.01  # each costs the broker milliseconds, whatever it sends

READ, HALF, RESET, RESET_AMID = "read", "half-close", "reset", "reset amid the answer"
DRIP = "a byte now and then"
LORIS_WEIGHT = 0.02  # each holds a place of the generator for seconds


@dataclass(frozen=True)
class Attack:
    """One request, or what looks like one.

    `error`: the code that is answered, an int16 that stands `at` bytes into the response; None:
    the connection is closed without an answer. `end`: what the peer does once it is sent.
    `weight`: how often it is chosen, compared with others.
    """

    name: str
    make: Callable[[random.Random], bytes]  # with the length prefix
    error: int | None = None
    at: int = 0
    end: str = READ
    weight: float = 1
    ours: str = ""  # why Kafka's answer is another one


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def head(key: int, version: int) -> bytes:
    return struct.pack(">hhih", key, version, 1, -1)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">h", len(data)) + data


def fixed(data: bytes) -> Callable[[random.Random], bytes]:
    return lambda chance: data


def compressed(codec: int, body: bytes) -> bytes:
    """A sound batch of one record around compressed bytes."""
    checked = struct.pack(">hiqqqhii", codec, 0, 0, 0, -1, -1, -1, 1) + body
    tail = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def bomb(codec: int) -> Callable[[random.Random], bytes]:
    """One record of zeros, hundreds of times its size on the wire; made on its first use."""
    made: list[bytes] = []

    def make(chance: random.Random) -> bytes:
        if not made:
            inside = b"\0\0\0" + zigzag(-1) + zigzag(BOMB_BYTES)
            start = zigzag(len(inside) + BOMB_BYTES + 1) + inside
            if codec == 1:
                packer = zlib.compressobj(9, wbits=31)
                parts = [packer.compress(start)]
                parts += [packer.compress(bytes(1 << 20)) for _ in range(BOMB_BYTES >> 20)]
                body = b"".join([*parts, packer.compress(b"\0"), packer.flush()])
            else:
                body = codecs.compress(codec, start + bytes(BOMB_BYTES + 1))
            made.append(framed(produce({TOPIC: [(0, compressed(codec, body))]}, version=7)))
        return made[0]

    return make


GOOD = batch(b"x" * 50, timestamp=1_700_000_000_000)
LONG = "n" * 30000


def corrupt(chance: random.Random) -> bytes:
    place = chance.randrange(23, len(GOOD))  # behind the attributes, which are looked at first
    bad = GOOD[:place] + bytes([GOOD[place] ^ (1 << chance.randrange(8))]) + GOOD[place + 1 :]
    return framed(produce({TOPIC: [(0, bad)]}))


def topic_error_at(topic: str) -> int:
    """Where a Produce response up to version 8 has its first error code."""
    return 4 + 4 + len(text(topic)) + 4 + 4


def metadata(name: str) -> bytes:
    """Version 4, creating nothing."""
    return framed(head(METADATA, 4) + struct.pack(">i", 1) + text(name) + b"\0")


def garbage(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 400))


def cut(chance: random.Random) -> bytes:
    """A good request that ends early."""
    whole = framed(produce({TOPIC: [(0, GOOD)]}))
    return whole[: chance.randrange(1, len(whole))]


def short_frame(chance: random.Random) -> bytes:
    """A whole frame whose content ends early."""
    version = chance.randrange(3, 9)
    body = produce({TOPIC: [(0, GOOD)]}, version=version)
    return framed(body[: chance.randrange(10, len(body) - len(GOOD))])


def unknown_api(chance: random.Random) -> bytes:
    key = chance.choice((-1, -32768, 1000, 32767, 93, 200))
    return framed(head(key, 0) + chance.randbytes(20))


def unknown_version(chance: random.Random) -> bytes:
    key, version = chance.choice(((0, 99), (1, 99), (2, 99), (3, 99), (19, -1), (1, 32767)))
    return framed(head(key, version) + bytes(40))


def huge_count(chance: random.Random) -> bytes:
    """An array that the frame has no room for."""
    count = struct.pack(">i", chance.choice((0x7FFFFFFF, 0x10000000, 1_000_000)))
    start = chance.choice(
        (
            head(PRODUCE, 7) + struct.pack(">hhi", -1, 1, 1000),
            head(FETCH, 4) + struct.pack(">iiiib", -1, 0, 0, 1000, 0),
            head(LIST_OFFSETS, 1) + struct.pack(">i", -1),
            head(METADATA, 4),
            head(CREATE_TOPICS, 1),
        )
    )
    return framed(start + count + bytes(30))


def impossible_length(chance: random.Random) -> bytes:
    size = chance.choice((0x7FFFFFFF, 0x7FFFFFFE, -1, -(1 << 31), 200_000_000))
    return struct.pack(">i", size) + bytes(chance.randrange(60))


ANSWERED = (
    Attack("corrupt CRC", corrupt, CORRUPT, topic_error_at(TOPIC)),
    Attack(
        "no batch at all",
        fixed(framed(produce({TOPIC: [(0, b"\xff" * 70)]}))),
        CORRUPT,
        topic_error_at(TOPIC),
    ),
    Attack(
        "records of garbage",
        lambda chance: framed(
            produce({TOPIC: [(0, compressed(chance.choice((1, 3)), chance.randbytes(80)))]})
        ),
        -1,
        topic_error_at(TOPIC),
    ),
    Attack(
        "a topic that is not there",
        fixed(framed(produce({"none": [(0, GOOD)]}))),
        UNKNOWN_TOPIC,
        topic_error_at("none"),
    ),
    Attack("a name that is too long", fixed(metadata(LONG)), INVALID_TOPIC, at=-1),
    Attack("a name that is none", fixed(metadata("\0/../")), INVALID_TOPIC, at=-1),
    Attack(
        "a version of the future",
        fixed(framed(head(API_VERSIONS, 99) + b"\0\1\1\0")),
        UNSUPPORTED_VERSION,
        4,
    ),
    Attack(
        "an offset beyond the end",
        fixed(framed(fetch({TOPIC: [(0, 1 << 40)]}))),
        OUT_OF_RANGE,
        4 + 4 + 2 + 4 + 4 + len(text(TOPIC)) + 4 + 4,
    ),
    Attack(
        "limits of nonsense",
        fixed(framed(fetch({TOPIC: [(0, 1 << 40)]}, max_wait=-5, min_bytes=-7, partition_max=-9))),
        OUT_OF_RANGE,
        4 + 4 + 2 + 4 + 4 + len(text(TOPIC)) + 4 + 4,
    ),
)

LAST = (
    Attack("random bytes", garbage, end=HALF),
    Attack("an impossible length", impossible_length),
    Attack("a request that ends early", cut, end=HALF),
    Attack("a frame that ends early", short_frame),
    Attack("a huge count", huge_count),
    Attack("an unknown API", unknown_api),
    Attack("an unknown version", unknown_version),
    Attack(
        "a string of negative length",
        fixed(framed(head(METADATA, 4) + struct.pack(">ih", 1, -9) + bytes(20))),
    ),
    Attack(
        "a half-closed connection",
        fixed(framed(fetch({TOPIC: [(0, 1 << 40)]}))),
        OUT_OF_RANGE,
        4 + 4 + 2 + 4 + 4 + len(text(TOPIC)) + 4 + 4,
        end=HALF,
    ),
    Attack(
        "a slow loris",
        lambda chance: framed(produce({TOPIC: [(0, batch(b"x" * 5000))]}))[:100],
        end=DRIP,
        weight=LORIS_WEIGHT,
        ours="Kafka waits for its bytes",
    ),
    Attack("a reset", fixed(framed(produce({TOPIC: [(0, GOOD)]}))[:-20]), end=RESET),
    Attack(
        "a reset amid an answer",
        fixed(framed(fetch({BIG_TOPIC: [(0, 0)]}, partition_max=1 << 26))),
        end=RESET_AMID,
    ),
    Attack(
        "tagged fields without end",
        fixed(framed(head(METADATA, 12) + uvarint(1000) + b"\1\0" * 1000 + b"\1\0\0\0")),
        ours="Kafka keeps them all",
    ),
    Attack(
        "a Metadata request of 60 MB",
        fixed(struct.pack(">i", 60_000_000) + head(METADATA, 4) + bytes(100)),
        ours="Kafka waits for its bytes",
    ),
    *(
        Attack(
            f"a bomb of {name}",
            bomb(codec),
            TOO_LARGE,
            topic_error_at(TOPIC),
            end=HALF,
            weight=BOMB_WEIGHT,
            ours="Kafka expands all of it",
        )
        for codec, name in ((1, "gzip"), (3, "lz4"), (4, "zstd"))
    ),
)
