"""The codecs: round trips, independent decoders, limits, and input that was damaged."""

import contextlib
import gzip
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlog_ext import codecs
from tests.reference import codecs as reference

COMPRESSED = ["gzip", "snappy", "lz4", "zstd"]
SAMPLES = {
    "empty": b"",
    "one": b"x",
    "text": b"the quick brown fox jumps over the lazy dog. " * 400,
    "noise": random.Random(7).randbytes(200_000),
    "zeros": bytes(1_000_000),
}
DECODERS = {"gzip": reference.gunzip, "snappy": reference.unsnappy, "lz4": reference.unlz4}


@pytest.mark.parametrize("codec", ["none", *COMPRESSED])
@pytest.mark.parametrize("sample", SAMPLES)
def test_round_trip(codec: str, sample: str) -> None:
    data = SAMPLES[sample]
    assert codecs.decompress(codec, codecs.compress(codec, data), len(data)) == data


@given(codec=st.sampled_from(COMPRESSED), data=st.binary(max_size=5000))
def test_round_trip_of_anything(codec: str, data: bytes) -> None:
    packed = codecs.compress(codec, data)
    assert codecs.decompress(codec, packed) == data
    if codec in DECODERS:
        assert DECODERS[codec](packed) == data


@pytest.mark.parametrize("codec", DECODERS)
@pytest.mark.parametrize("sample", ["text", "noise"])
def test_other_decoders_read_it(codec: str, sample: str) -> None:
    assert DECODERS[codec](codecs.compress(codec, SAMPLES[sample])) == SAMPLES[sample]


def test_known_bytes() -> None:
    """Hand-made from the format descriptions, so that a mistake cannot cancel out."""
    literal = b"\x05\x10hello"
    framed = b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(literal)) + literal
    assert codecs.decompress("snappy", literal) == b"hello"
    assert codecs.decompress("snappy", framed) == b"hello"
    assert codecs.decompress("snappy", framed + framed) == b"hellohello"
    lz4 = b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", 5 | 1 << 31) + b"hello" + bytes(4)
    assert codecs.decompress("lz4", lz4) == b"hello"
    assert codecs.decompress("gzip", gzip.compress(b"hel") + gzip.compress(b"lo")) == b"hello"
    zstd = b"\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello"
    assert codecs.decompress("zstd", zstd) == b"hello"
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 3) + b"abc"
    assert codecs.decompress("zstd", skippable + zstd + zstd) == b"hellohello"


def test_raw_snappy() -> None:
    for data in SAMPLES.values():
        packed = codecs.compress("snappy", data, raw=True)
        assert codecs.decompress("snappy", packed) == data


@pytest.mark.parametrize("codec", ["none", *COMPRESSED])
@pytest.mark.parametrize("sample", ["one", "text", "zeros"])
def test_limit_is_exact(codec: str, sample: str) -> None:
    data = SAMPLES[sample]
    with pytest.raises(ValueError, match="more than"):
        codecs.decompress(codec, codecs.compress(codec, data), len(data) - 1)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_bomb_is_capped(codec: str) -> None:
    bomb = codecs.compress(codec, bytes(64 << 20))
    with pytest.raises(ValueError, match="more than"):
        codecs.decompress(codec, bomb, 1 << 20)


def test_snappy_declared_length_is_not_believed() -> None:
    """A block that declares a gigabyte which its few bytes cannot hold."""
    with pytest.raises(ValueError, match="corrupt"):
        codecs.decompress("snappy", b"\xff\xff\xff\xff\x03\x00a")


@pytest.mark.parametrize("codec", COMPRESSED)
def test_truncation_is_refused(codec: str) -> None:
    data = SAMPLES["text"]
    packed = codecs.compress(codec, data)
    for cut in range(1, len(packed)):
        try:
            got = codecs.decompress(codec, packed[:cut])
        except ValueError:
            continue
        assert codec == "snappy" and got == b"" and cut == 16  # xerial's header alone


@pytest.mark.parametrize("codec", COMPRESSED)
def test_damage_never_crashes(codec: str) -> None:
    chance = random.Random(1)
    packed = codecs.compress(codec, SAMPLES["text"] + SAMPLES["noise"][:3000])
    for _ in range(1500):
        damaged = bytearray(packed)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(min(len(damaged), 400))] = chance.randrange(256)
        with contextlib.suppress(ValueError):
            assert len(codecs.decompress(codec, damaged, 1 << 20)) <= 1 << 20


@given(codec=st.sampled_from(COMPRESSED), data=st.binary(max_size=300))
def test_garbage_never_crashes(codec: str, data: bytes) -> None:
    with contextlib.suppress(ValueError):
        codecs.decompress(codec, data, 1 << 16)


def test_linked_lz4_blocks_are_refused() -> None:
    """As Kafka refuses them: its Java clients cannot read them."""
    linked = b"\x04\x22\x4d\x18\x40\x40\xc0" + struct.pack("<I", 5 | 1 << 31) + b"hello" + bytes(4)
    with pytest.raises(ValueError, match="corrupt"):
        codecs.decompress("lz4", linked)


@pytest.mark.parametrize("codec", ["brotli", 5, -1])
def test_unknown_codec(codec: object) -> None:
    with pytest.raises(ValueError, match="unknown codec"):
        codecs.compress(codec, b"")
    with pytest.raises(ValueError, match="unknown codec"):
        codecs.decompress(codec, b"")


@pytest.mark.parametrize(("codec", "level"), [("gzip", 1), ("gzip", 9), ("lz4", 9), ("zstd", 10)])
def test_levels(codec: str, level: int) -> None:
    packed = codecs.compress(codec, SAMPLES["text"], level=level)
    assert codecs.decompress(codec, packed) == SAMPLES["text"]
