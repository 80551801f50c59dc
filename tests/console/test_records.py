"""`fastlog produce` and `fastlog consume`: what goes in comes out, byte for byte."""

import json
import operator
import random
import re
import subprocess
import sys

import pytest

from tests.console.command import ROOT
from tests.peers.processes import require_program

EVERY_BYTE = bytes(range(256))


def consumed(client, topic: str, *arguments: object) -> list[dict]:
    """The records of a topic as `consume --json` tells them."""
    return [
        json.loads(x) for x in client("consume", topic, "-e", "--json", *arguments).splitlines()
    ]


def test_lines(client, topic):
    client("produce", topic, "-p", 0, stdin=b"one\n\nthree")
    assert client("consume", topic, "-e") == b"one\n\nthree\n"


def test_delimiters(client, topic):
    client("produce", topic, "-p", 0, "-D", r"\x00", stdin=b"one\ntwo\0three")
    client("produce", topic, "-p", 0, "-D", "<>", stdin=b"a<b><>c<>")
    assert client("consume", topic, "-e", "-D", ";") == b"one\ntwo;three;a<b>;c;"
    assert "delimiter is empty" in client.failure("produce", topic, "-D", "", stdin=b"a")


def test_a_delimiter_across_reads(client, topic):
    """stdin comes in pieces of 64 KiB: one delimiter lies on the border."""
    first, second = b"x" * 65535, b"y" * 200_000
    client("produce", topic, "-p", 0, "-D", "<>", stdin=first + b"<>" + second)
    assert [len(r["value"]) for r in consumed(client, topic)] == [65535, 200_000]


def test_keys(client, topic):
    client("produce", topic, "-p", 0, "-K", ":", stdin=b"a:1\nb:2:3\nplain\n:empty\n")
    found = [(r["key"], r["value"]) for r in consumed(client, topic)]
    assert found == [("a", "1"), ("b", "2:3"), (None, "plain"), ("", "empty")]
    assert client("consume", topic, "-e", "-K", "=") == b"a=1\nb=2:3\n=plain\n=empty\n"
    client("produce", topic, "-p", 1, "-k", b"\xff\xfe", stdin=b"x\n")
    assert consumed(client, topic, "-p", 1)[0]["key_base64"] == "//4="


def test_keys_choose_the_partition_as_kcat_does(client, topic, new_name):
    other = new_name()
    client("topic", "create", other, "-p", 3)
    lines = b"".join(b"key%d:%d\n" % (n, n) for n in range(50))
    client("produce", topic, "-K", ":", stdin=lines)
    kcat(client, "-P", "-t", other, "-K", ":", stdin=lines)
    ours = {(r["key"], r["partition"]) for r in consumed(client, topic)}
    theirs = {(r["key"], r["partition"]) for r in consumed(client, other)}
    assert ours == theirs
    assert len({partition for _, partition in ours}) == 3


def test_headers(client, topic):
    client("produce", topic, "-p", 0, "-H", "a=1", "-H", "a=2=3", "-H", "empty=", stdin=b"x\n")
    client("produce", topic, "-p", 0, "-H", b"raw=\xff", stdin=b"y\n")
    assert "NAME=VALUE" in client.failure("produce", topic, "-H", "none", stdin=b"x\n")
    first, second = consumed(client, topic)
    assert first["headers"] == [
        {"name": "a", "value": "1"},
        {"name": "a", "value": "2=3"},
        {"name": "empty", "value": ""},
    ]
    assert second["headers"] == [{"name": "raw", "value_base64": "/w=="}]


def test_null(client, topic):
    client("produce", topic, "-p", 0, "-Z", "-K", ":", stdin=b"gone:\n:x\n")
    client("produce", topic, "-p", 0, "-K", ":", stdin=b"there:\n")
    found = [(r["key"], r["value"]) for r in consumed(client, topic)]
    assert found == [("gone", None), (None, "x"), ("there", "")]


def test_files_are_records(client, topic, tmp_path):
    contents = {
        "every": EVERY_BYTE,
        "empty": b"",
        "lines": b"a\nb\r\n\n",
        "large": random.Random(1).randbytes(900_000),
    }
    paths = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    client("produce", topic, "-p", 0, "-z", "lz4", *paths)
    found = client("consume", topic, "-e", "-p", 0, "-f", "%k %R%s")
    for path, content in zip(paths, contents.values(), strict=True):
        head = f"{path} ".encode() + len(content).to_bytes(4, "big")
        assert found.startswith(head + content)
        found = found[len(head) + len(content) :]
    assert found == b""
    absent = tmp_path / "absent"
    assert client.failure("produce", topic, absent) == (
        f"fastlog: {absent}: No such file or directory\n"
    )


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["1", "all"])
def test_codecs(client, topic, codec, acks):
    lines = b"".join(b"%d %s\n" % (n, b"pattern" * (n % 50)) for n in range(3000))
    client("produce", topic, "-p", 2, "-z", codec, "--acks", acks, stdin=lines)
    assert client("consume", topic, "-e", "-q") == lines


def test_idempotent(client, topic):
    lines = b"".join(b"%d\n" % n for n in range(5000))
    client("produce", topic, "-p", 0, "--idempotent", stdin=lines)
    assert client("consume", topic, "-e") == lines
    assert "acks" in client.failure("produce", topic, "--idempotent", "--acks", 1, stdin=lines)


def test_json_carries_everything(client, topic, new_name):
    source = [
        {"key": "k", "value": "plain", "partition": 0, "timestamp": 1_700_000_000_123},
        {"key_base64": "//4=", "value_base64": "AP8=", "partition": 1, "timestamp": 5},
        {"key": None, "value": None, "partition": 2, "headers": [{"name": "h", "value": None}]},
        {"value": {"nested": [1, "ü"]}, "partition": 0, "timestamp": 1},
    ]
    stdin = b"\n".join(json.dumps(one).encode() for one in source) + b"\n\n"
    told = json.loads(client("produce", topic, "--json", "--keep-partition", stdin=stdin))
    assert told == {"acknowledged": 4, "failed": 0}
    copy = new_name()
    client("topic", "create", copy, "-p", 3)
    exported = client("consume", topic, "-e", "--json")
    client("produce", copy, "--json", "--keep-partition", stdin=exported)
    first, second = consumed(client, topic), consumed(client, copy)
    for record in (*first, *second):
        record.pop("topic")
    by_place = operator.itemgetter("partition", "offset")
    assert sorted(first, key=by_place) == sorted(second, key=by_place)
    values = {(r["partition"], r["offset"]): r for r in first}
    assert values[0, 0]["timestamp"] == 1_700_000_000_123
    assert values[1, 0]["value_base64"] == "AP8="
    assert values[2, 0]["value"] is None
    assert values[2, 0]["headers"] == [{"name": "h", "value": None}]
    assert json.loads(values[0, 1]["value"]) == {"nested": [1, "ü"]}


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[1]",
        b"{}",
        b"\xff\xfe",
        b'{"value_base64": "!"}',
        b'{"value": "x", "partition": "1"}',
        b'{"value": "x", "timestamp": 1.5}',
        b'{"value": "x", "headers": [{"value": "x"}]}',
        b'{"value": "x", "headers": 3}',
    ],
)
def test_json_that_is_no_record(client, topic, line):
    stdin = b'{"value": "good"}\n' + line + b"\n"
    said = client.failure("produce", topic, "--json", "--keep-partition", stdin=stdin)
    assert said.startswith("fastlog: line 2 is not a record in JSON: ")
    assert [r["value"] for r in consumed(client, topic)] == ["good"], "what came before is sent"


def test_offsets(client, topic):
    client(
        "produce",
        topic,
        "-p",
        1,
        "--json",
        stdin=b"".join(
            b'{"value": "%d", "timestamp": %d}\n' % (n, 1000 + 10 * n) for n in range(10)
        ).replace(b"}", b', "partition": 1}'),
    )

    def read(offset: object, *more: object) -> str:
        return client(
            "consume", topic, "-e", "-p", 1, f"--offset={offset}", *more, "-D", ""
        ).decode()

    assert read("beginning") == "0123456789"
    assert read("end") == ""
    assert read(7) == "789"
    assert read(-3) == "789"
    assert read(-100) == "0123456789"
    assert read("s@1050") == "56789"
    assert read("s@1051") == "6789"
    assert read("s@0") == "0123456789"
    assert read("s@5000") == ""
    assert read(2, "-c", 3) == "234"
    assert read(0, "-c", 0) == ""
    for wrong in ("zz", "s@now", "1.5"):
        assert f"offset '{wrong}' is not" in client.failure("consume", topic, "-o", wrong)


def test_an_offset_that_is_not_there(client, topic):
    client("produce", topic, "-p", 0, stdin=b"a\n")
    said = client.failure("consume", topic, "-p", 0, "-o", 5)
    assert said == f"fastlog: offset 5 is behind the end of topic '{topic}', 1\n"


def test_a_copy_into_fewer_partitions(client, topic, new_name):
    for partition in range(3):
        client("produce", topic, "-p", partition, stdin=b"%d\n" % partition)
    copy = new_name()
    client("topic", "create", copy, "-p", 1)
    client("produce", copy, "--json", stdin=client("consume", topic, "-e", "--json"))
    assert sorted(client("consume", copy, "-e").split()) == [b"0", b"1", b"2"]


def test_a_full_disk_below_stdout(client, topic):
    client("produce", topic, stdin=b"a\nb\n")
    command = [sys.executable, "-m", "fastlog", "consume", topic, "-e", *client.there]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"fastlog: No space left on device\n")


FORMATS = [
    r"%s\n",
    r"%t %p %o %k %K %s %S %T %h\n",
    r"%R%s|\x41\t\r\n",
    r"100%% %s\x0a",
    r"no tokens\n",
    "%kü%s\n",
    r"\q\\n%s\n",
]


@pytest.mark.parametrize("text", FORMATS)
def test_formats_as_kcat(client, shared_records, text):
    ours = client("consume", shared_records, "-p", 0, "-e", "-f", text)
    assert ours == kcat(client, "-C", "-q", "-e", "-t", shared_records, "-p", "0", "-f", text)


@pytest.fixture(scope="module")
def shared_records(shared_fastlog):
    """A topic with a key, no key, a null, headers, an empty value and every byte."""
    from tests.console.conftest import Client

    client, name = Client(shared_fastlog), "console-formats"
    client("topic", "create", name, "-p", 1)
    client("produce", name, "-K", ":", "-H", "a=1", "-H", "b=", stdin=b"k:v\nplain\n:\n")
    client("produce", name, "-Z", "-K", ":", stdin=b"gone:\n")
    line = b'{"value": "h", "headers": [{"name": "n", "value": null}]}\n'
    client("produce", name, "--json", stdin=line)
    client("produce", name, "-D", "<end>", stdin=EVERY_BYTE)
    return name


def test_a_format_that_kcat_refuses(client, topic):
    assert "there is no %q" in client.failure("consume", topic, "-f", "%q")


def test_partitions_that_are_not_there(client, topic):
    assert "not 7" in client.failure("produce", topic, "-p", 7, stdin=b"x\n")
    assert "no partition 7" in client.failure("consume", topic, "-p", 7)
    assert "no partition -2" in client.failure("consume", topic, "-p", -2)


def test_a_topic_that_is_not_there(client, new_name):
    name = new_name()
    assert "UNKNOWN_TOPIC_OR_PART" in client.failure("consume", name, "-e")
    client("produce", name, stdin=b"x\n")  # as with kcat, the broker creates it
    assert client("consume", name, "-e") == b"x\n"
    assert "TOPIC_EXCEPTION" in client.failure("consume", "no/good", "-e")


def test_a_record_that_is_too_large(client, topic, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b"x" * 2_000_000)
    assert "MSG_SIZE_TOO_LARGE" in client.failure("produce", topic, large)
    assert "MSG_SIZE_TOO_LARGE" in client.failure("produce", topic, stdin=b"x" * 2_000_000)


def test_waits_for_more_until_the_count(client, topic):
    command = [sys.executable, "-m", "fastlog", "consume", topic, "-c", "2", *client.there]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as waiting:
        client("produce", topic, "-p", 0, stdin=b"one\n")
        assert waiting.stdout.readline() == b"one\n"
        client("produce", topic, "-p", 0, stdin=b"two\nthree\n")
        assert waiting.stdout.read() == b"two\n"
    assert waiting.returncode == 0


def kcat(client, *arguments: str, stdin: bytes = b"") -> bytes:
    """kcat's output for the same broker."""
    command = [require_program("kcat", "kcat"), "-b", client.broker.address, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
    said = re.sub(rb"%.*\n", b"", done.stderr)
    assert done.returncode == 0, said
    return done.stdout
