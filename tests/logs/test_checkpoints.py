"""Checkpoint files, partition.metadata and the names of folders, byte for byte as Kafka's."""

import logging
import os

import pytest

from fastlog.logs import partition
from fastlog.logs.checkpoints import Checkpoint, MalformedCheckpoint, encode, parse

OFFSETS = {("clicks", 0): 1234, ("clicks", 10): 0, ("a.b_c-d", 3): 2**63 - 1}
TEXT = "0\n3\na.b_c-d 3 9223372036854775807\nclicks 0 1234\nclicks 10 0\n"


def test_the_text_is_kafkas():
    assert encode(OFFSETS) == TEXT
    assert parse(TEXT) == OFFSETS
    assert encode({}) == "0\n0\n"


@pytest.mark.parametrize("text", ["", "0", "0\n", "0\n0\n"])
def test_no_offsets(text):
    assert parse(text) == {}


@pytest.mark.parametrize(
    "text, reason",
    [
        ("1\n0\n", "line 1"),
        ("x", "line 1"),
        ("0\nx\n", "line 2"),
        ("0\n-1\n", "line 2"),
        ("0\n1\nclicks 0\n", "line 3"),
        ("0\n1\nclicks x 1\n", "line 3"),
        ("0\n1\nclicks 0 -1\n", "line 3"),
        ("0\n2\nclicks 0 1\n", "1 entries where line 2 says 2"),
        ("0\n1\nclicks 0 1\nclicks 1 1\n", "2 entries where line 2 says 1"),
    ],
)
def test_malformed_text_says_where(text, reason):
    with pytest.raises(MalformedCheckpoint, match=reason):
        parse(text)


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path):
    checkpoint = Checkpoint(tmp_path, "some-checkpoint")
    assert checkpoint.read() == {}
    assert checkpoint.write(OFFSETS)
    assert os.listdir(tmp_path) == ["some-checkpoint"]
    assert checkpoint.path.read_text() == TEXT
    assert not checkpoint.write(dict(OFFSETS))
    assert checkpoint.write({})
    assert Checkpoint(tmp_path, "some-checkpoint").read() == {}


@pytest.mark.parametrize("content", [b"nonsense", b"\xff\xfe", b"\x00" * 64])
def test_a_malformed_file_counts_as_absent(tmp_path, caplog, content):
    (tmp_path / "some-checkpoint").write_bytes(content)
    with caplog.at_level(logging.WARNING, "fastlog.logs"):
        assert Checkpoint(tmp_path, "some-checkpoint").read() == {}
    assert "some-checkpoint is not used" in caplog.text


# --- partition.metadata ---

TOPIC_ID = bytes.fromhex("85451f65187d4e65a70149a718551774")


def test_the_topic_id_is_written_as_kafka_writes_it(tmp_path):
    partition.write_topic_id(tmp_path, TOPIC_ID)
    written = (tmp_path / "partition.metadata").read_bytes()
    assert written == b"version: 0\ntopic_id: hUUfZRh9TmWnAUmnGFUXdA"
    assert partition.read_topic_id(tmp_path) == TOPIC_ID


def test_no_topic_id(tmp_path):
    assert partition.read_topic_id(tmp_path) == bytes(16)


@pytest.mark.parametrize(
    "text", ["", "version: 0\n", "version: 1\ntopic_id: hUUfZRh9TmWnAUmnGFUXdA", "topic_id: x"]
)
def test_malformed_metadata_is_named(tmp_path, text):
    (tmp_path / "partition.metadata").write_text(text)
    with pytest.raises(ValueError, match="partition.metadata is malformed"):
        partition.read_topic_id(tmp_path)


# --- names ---


@pytest.mark.parametrize(
    "name, found",
    [
        ("clicks-0", ("clicks", 0)),
        ("a-b.c_d-12", ("a-b.c_d", 12)),
        ("-0", None),
        ("clicks", None),
        ("clicks-", None),
        ("clicks-x", None),
        ("clicks-01", None),
        ("lost+found", None),
        ("with space-0", None),
        ("clicks-0.0123-delete", None),
        ("clicks-0.0123-future", None),
        ("clicks-0.0123-stray", None),
    ],
)
def test_partition_folders(name, found):
    assert partition.parse_folder_name(name) == found


@pytest.mark.parametrize("fate", ["delete", "stray"])
@pytest.mark.parametrize("topic", ["clicks", "x" * 249])
def test_folders_that_are_set_aside(topic, fate):
    name = partition.set_aside_name(topic, 7, fate)
    assert len(name) <= 255
    assert name != partition.set_aside_name(topic, 7, fate)
    assert partition.parse_folder_name(name) is None
    assert partition.fate_of(name) == fate
    assert partition.fate_of(partition.folder_name(topic, 7)) is None
