"""Java's properties syntax; expected is what java.util.Properties.load gives for the same bytes."""

import pytest

from fastlog.config.properties import Malformed, parse


def pairs(content: bytes) -> list[tuple[str, str]]:
    return [(key, value) for _, key, value in parse(content)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a=1", [("a", "1")]),
        (b"a:1", [("a", "1")]),
        (b"a 1", [("a", "1")]),
        (b"a\t= 1 ", [("a", "1 ")]),
        (b"a = = 1", [("a", "= 1")]),
        (b"a\n", [("a", "")]),
        (b"  a=b=c:d", [("a", "b=c:d")]),
        (b"# no\n! no\n  # no\na=1", [("a", "1")]),
        (b"a=1\\\n   2\\\n3", [("a", "123")]),
        (b"a=1\\\\\nb=2", [("a", "1\\"), ("b", "2")]),
        (b"a=1\\\n# part", [("a", "1# part")]),
        (b"a=1\\\n\nb=2", [("a", "1"), ("b", "2")]),
        (b"a=1\r\nb=2\rc=3", [("a", "1"), ("b", "2"), ("c", "3")]),
        (rb"a\=b\:c\ d=e", [("a=b:c d", "e")]),
        (rb"a=\t\n\r\f\q\\\"", [("a", '\t\n\r\fq\\"')]),
        (rb"a=\u00e9\uD83D\uDE00", [("a", "\u00e9\U0001f600")]),
        (b"a=\xe9", [("a", "\u00e9")]),
        (b"=1", [("", "1")]),
        (b"a=1\\", [("a", "1")]),
        (b"\\\na=1", [("a", "1")]),
    ],
)
def test_as_java_reads_it(content, expected):
    assert pairs(content) == expected


def test_line_numbers_are_where_a_setting_begins():
    assert [line for line, _, _ in parse(b"\n# x\na=1\\\n2\n\nb=2")] == [3, 6]


@pytest.mark.parametrize("content", [rb"a=\u12", rb"a=\u12g4", rb"a=\u"])
def test_a_malformed_escape_names_its_line(content):
    with pytest.raises(Malformed) as caught:
        list(parse(b"x=1\n" + content))
    assert caught.value.line == 2
