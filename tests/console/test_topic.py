"""`fastlog topic` against a broker."""

import json

import pytest

from tests.console.command import failure, output


def test_create_list_describe_delete(client, new_name):
    name = new_name()
    assert client("topic", "create", name, "-p", 2).decode() == f"topic '{name}' created\n"
    assert name in client("topic", "list").decode().split()
    told = client("topic", "describe", name).decode()
    assert told.startswith(f"{name}: 2 partitions, 0 offsets\n")
    assert len(told.splitlines()) == 4
    assert client("topic", "delete", name).decode() == f"topic '{name}' deleted\n"
    assert name not in client("topic", "list").decode().split()


def test_json(client, new_name):
    name = new_name()
    created = json.loads(client("topic", "create", name, "-p", 2, "--json"))
    assert created == {"name": name, "created": True}
    assert {"name": name, "partitions": 2} in json.loads(client("topic", "list", "--json"))
    client("produce", name, "-p", 1, stdin=b"a\nb\n")
    [told] = json.loads(client("topic", "describe", name, "--json"))
    assert told["name"] == name
    assert [row["partition"] for row in told["partitions"]] == [0, 1]
    assert [row["end_offset"] for row in told["partitions"]] == [0, 2]
    assert {tuple(row["isr"]) for row in told["partitions"]} == {
        (row["leader"],) for row in told["partitions"]
    }
    deleted = json.loads(client("topic", "delete", name, "--json"))
    assert deleted == {"deleted": 1, "failures": []}


def test_trim(client, topic):
    for partition in (0, 2):
        client("produce", topic, "-p", partition, stdin=b"a\nb\nc\n")
    told = client("topic", "trim", topic, "--before", 2, "-p", 0).decode()
    assert told == f"{topic}-0 starts at 2\n"
    assert client("consume", topic, "-e", "-p", 0, "-f", r"%o %s\n") == b"2 c\n"
    assert "3 partitions: name one" in client.failure("topic", "trim", topic, "--before", 2)
    assert "OUT_OF_RANGE" in client.failure("topic", "trim", topic, "--before", 4, "-p", 2)
    rows = json.loads(client("topic", "trim", topic, "--all", "--json"))["partitions"]
    assert rows == [{"partition": n, "first_offset": first} for n, first in enumerate((3, 0, 3))]
    assert client("consume", topic, "-e") == b""
    assert client.failure("topic", "trim", topic + "-x", "--all").endswith("-x'\n")
    assert topic + "-x" not in client("topic", "list").decode().split()


def test_why_segments_are_kept(client, new_name):
    name = new_name()
    configs = ["segment.bytes=200", "retention.ms=3600000", "retention.bytes=100"]
    options = [word for config in configs for word in ("--config", config)]
    client("topic", "create", name, "-p", 2, *options)
    for value in (b"a", b"b"):
        client("produce", name, "-p", 1, stdin=value * 80 + b"\n")
    lines = client("topic", "describe", name, "--retention").decode().splitlines()
    assert lines[0].startswith(f"{name}-0: from offset 0, 1 segments, 0 bytes; retention.ms=360")
    assert lines[2].split(maxsplit=3) == ["0", "0", "-", "the active segment, empty"]
    assert lines[3].startswith(f"{name}-1: from offset 0, 2 segments")
    assert lines[5].endswith("goes when the log is looked at next")
    assert "or 100 bytes more are written (not older than retention.ms)" in lines[6]
    [told] = json.loads(client("topic", "describe", name, "--retention", "--json"))
    assert (told["name"], told["retention_ms"], told["retention_bytes"]) == (name, 3_600_000, 100)
    first, second = told["partitions"][1]["segments"]
    assert (first["why"], first["until_bytes"]) == ("DUE", 0)
    assert second["why"] == "YOUNG" and second["until_ms"] == second["timestamp"] + 3_600_000
    assert "UNKNOWN_TOPIC" in client.failure("topic", "describe", name + "-x", "--retention")


def test_what_exists_already(client, topic):
    assert "TOPIC_ALREADY_EXISTS" in client.failure("topic", "create", topic)
    assert b"was there already" in client("topic", "create", topic, "--if-not-exists")
    again = json.loads(client("topic", "create", topic, "--if-not-exists", "--json"))
    assert again == {"name": topic, "created": False}


def test_what_is_absent(client, new_name):
    name = new_name()
    assert "UNKNOWN_TOPIC_OR_PART" in client.failure("topic", "delete", name)
    assert client("topic", "delete", name, "--if-exists") == b""
    gone = json.loads(client("topic", "delete", name, "--if-exists", "--json"))
    assert gone == {"deleted": 0, "failures": []}
    assert "UNKNOWN_TOPIC_OR_PART" in client.failure("topic", "describe", name)
    assert name not in client("topic", "list").decode().split(), "a question created the topic"


def test_deletes_the_rest(client, topic, new_name):
    absent = new_name()
    assert absent in client.failure("topic", "delete", absent, topic)
    assert topic not in client("topic", "list").decode().split()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bad/name"], "TOPIC_EXCEPTION"),
        (["x" * 250], "TOPIC_EXCEPTION"),
        (["fine", "-p", "0"], "INVALID_PARTITIONS"),
        (["fine", "-p", "100001"], "1..100000"),
        (["fine", "-r", "3"], "INVALID_REPLICATION_FACTOR"),
        (["fine", "-c", "segment.bytes=abc"], "INVALID_CONFIG"),
        (["fine", "-c", "no.such.setting=1"], "INVALID_CONFIG"),
        (["fine", "-c", "segment.bytes"], "NAME=VALUE"),
    ],
)
def test_refused_creations(client, arguments, told):
    assert told in client.failure("topic", "create", *arguments)


def test_settings_of_a_topic_take_effect(client, new_name):
    name = new_name()
    client("topic", "create", name, "-p", 1, "-c", "segment.bytes=14000")
    for _ in range(3):
        client("produce", name, stdin=b"x" * 9000)
    folder = client.broker.partition_folder(name, 0)
    assert len(list(folder.glob("*.log"))) == 3


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("127.0.0.1:1", "no broker answers at 127.0.0.1:1: Connection refused"),
        ("nowhere", "'nowhere' is not HOST:PORT"),
        ("127.0.0.1:99999", "'127.0.0.1:99999' is not HOST:PORT"),
        ("nosuchhost.invalid:9092", "no broker answers at nosuchhost.invalid:9092"),
    ],
)
@pytest.mark.parametrize("what", [["topic", "list"], ["produce", "t"], ["consume", "t"]])
def test_wrong_address(what, server, told):
    assert told in failure(*what, "-b", server)


def test_one_address_of_several_is_enough(client, topic):
    servers = f"127.0.0.1:1,{client.broker.address}"
    assert topic in output("topic", "list", "-b", servers).decode().split()


def test_unknown_client_setting(client):
    assert "no.such.setting" in client.failure("topic", "list", "-X", "no.such.setting=1")
    assert "NAME=VALUE" in client.failure("topic", "list", "-X", "nothing")
