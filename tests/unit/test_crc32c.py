"""CRC-32C: the vectors of RFC 3720 B.4, and every implementation against the definition."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlog_ext import crc32c
from tests.reference import crc32c as reference

ISCSI_READ = bytes.fromhex(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000"
    "0200000000000000"
)
VECTORS = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (ISCSI_READ, 0xD9963A56),
]


@pytest.fixture(params=["best", "portable"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    crc32c.force_portable(request.param == "portable")
    yield request.param
    crc32c.force_portable(False)


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_vectors(implementation: str, data: bytes, expected: int) -> None:
    assert crc32c.checksum(data) == expected


def test_forcing_is_visible() -> None:
    best = crc32c.implementation()
    crc32c.force_portable()
    assert crc32c.implementation() == "portable"
    crc32c.force_portable(False)
    assert crc32c.implementation() == best


@pytest.mark.parametrize("size", [1, 7, 8, 255, 767, 768, 769, 12287, 12288, 12289, 14000])
@pytest.mark.parametrize("shift", [0, 1, 5])
def test_block_boundaries(implementation: str, size: int, shift: int) -> None:
    """The sizes at which the code changes its stride, at several alignments."""
    data = bytes((i * i + 13 * i) & 0xFF for i in range(size + shift))
    assert crc32c.checksum(memoryview(data)[shift:]) == reference.checksum(data[shift:])


@given(st.binary(max_size=2000), st.integers(0, 2**32 - 1))
def test_equals_the_definition(data: bytes, start: int) -> None:
    expected = reference.checksum(data, start)
    assert crc32c.checksum(data, start) == expected
    crc32c.force_portable()
    try:
        assert crc32c.checksum(data, start) == expected
    finally:
        crc32c.force_portable(False)


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_continues(data: bytes, cut: int) -> None:
    assert crc32c.checksum(data[cut:], crc32c.checksum(data[:cut])) == crc32c.checksum(data)
