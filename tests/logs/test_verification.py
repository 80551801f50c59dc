"""`fastlog log dump` and `fastlog log verify` on the files of a log, whole and damaged."""

import json
import struct

import pytest

from fastlog.console.main import main
from fastlog.logs.partition import write_topic_id
from fastlog_ext.batch import build, parse
from fastlog_ext.partition_log import Log

FIRST = "00000000000000000000"
MARKER = [(1100, struct.pack(">hh", 0, 0), struct.pack(">hi", 0, 5))]


def batch(number, **more):
    return build([(1000 + number, f"k{number}", b"v" * 90), (1000, None, b"\xff")], **more)


@pytest.fixture
def folder(tmp_path):
    """A partition of three segments, its index entries close together."""
    path = tmp_path / "clicks-0"
    log = Log.open(
        str(path),
        topic="clicks",
        partition=0,
        topic_id=bytes(16),
        settings={"segment_bytes": 1500, "index_interval_bytes": 300},
        clean=True,
    )
    log.become_leader(4)
    for number in range(30):
        error, _, _ = log.append(
            batch(
                number, codec=number % 5, producer_id=9, producer_epoch=0, base_sequence=number * 2
            )
        )
        assert error == 0
    log.close()
    write_topic_id(path, bytes(range(16)))
    return path


def findings(capsys, *arguments):
    """(exit code, [[file name, position, message], ...], last line)"""
    capsys.readouterr()
    code = main(["log", "verify", *map(str, arguments)])
    *lines, last = capsys.readouterr().out.splitlines()
    found = []
    for line in lines:
        path, position, message = line.split(":", 2)
        found.append([path.rpartition("/")[2], int(position), message.strip()])
    return code, found, last


def segment_files(folder, suffix):
    return sorted(folder.glob(f"*.{suffix}"))


def positions(path):
    data, position, found = path.read_bytes(), 0, []
    while position < len(data):
        found.append(position)
        position += parse(data[position:]).size
    return found


def patch(path, position, content):
    data = bytearray(path.read_bytes())
    data[position : position + len(content)] = content
    path.write_bytes(data)


def test_a_whole_log_has_no_findings(folder, capsys):
    assert len(segment_files(folder, "log")) > 2
    code, found, last = findings(capsys, folder)
    assert (code, found) == (0, [])
    assert "30 batches, 60 records" in last and last.endswith(": nothing is wrong")


def test_a_folder_of_logs_is_searched(folder, capsys):
    (folder.parent / "recovery-point-offset-checkpoint").write_text("0\n1\nclicks 0 60\n")
    code, found, last = findings(capsys, folder.parent)
    assert (code, found) == (0, [])
    assert last.startswith("1 partitions")
    (folder.parent / "replication-offset-checkpoint").write_text("0\n2\nclicks 0 60\n")
    code, found, _ = findings(capsys, folder.parent)
    assert code == 1
    assert found[0][0] == "replication-offset-checkpoint"


def test_a_flipped_bit_is_found(folder, capsys):
    path = segment_files(folder, "log")[1]
    position = positions(path)[2]
    patch(path, position + 80, bytes([path.read_bytes()[position + 80] ^ 1]))
    assert findings(capsys, folder)[:2] == (1, [[path.name, position, "the batch's CRC is wrong"]])


def test_a_torn_end_is_found(folder, capsys):
    path = segment_files(folder, "log")[-1]
    last = positions(path)[-1]
    path.write_bytes(path.read_bytes()[:-5])
    code, found, _ = findings(capsys, folder)
    assert code == 1
    assert found[0] == [path.name, last, "the file ends 5 bytes before its last batch"]


def test_zeros_at_the_end_are_found(folder, capsys):
    path = segment_files(folder, "log")[-1]
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(100))
    _, found, _ = findings(capsys, folder)
    assert found == [[path.name, size, "zeros where a batch should be"]]


def test_a_gap_is_found_unless_allowed(folder, capsys):
    path = segment_files(folder, "log")[1]
    starts = positions(path)
    for place in starts:  # every later batch moves by one offset
        base = int.from_bytes(path.read_bytes()[place : place + 8], "big")
        if place >= starts[2]:
            patch(path, place, struct.pack(">q", base + 1))
    _, found, _ = findings(capsys, folder)
    assert found[0][:2] == [path.name, starts[2]]
    assert found[0][2].endswith("are missing")
    assert any(message.startswith("the segment starts at") for _, _, message in found)
    _, found, _ = findings(capsys, folder, "--allow-gaps")
    assert not any(message.endswith("are missing") for _, _, message in found)


def test_a_missing_segment_is_found(folder, capsys):
    segment_files(folder, "log")[1].unlink()
    _, found, _ = findings(capsys, folder)
    messages = [message for _, _, message in found]
    assert any(message.startswith("the segment starts at") for message in messages)
    assert "there is no .log of this segment" in messages


@pytest.mark.parametrize(
    "suffix, entry, content, message",
    [
        ("index", 0, struct.pack(">ii", 1000, 2), "no batch starts at 2"),
        ("index", 0, struct.pack(">ii", -3, 0), "does not ascend"),
        ("timeindex", 12, struct.pack(">qi", 1, 10), "does not ascend"),
        ("timeindex", 12, struct.pack(">qi", 9999, 10_000), "is not in the segment"),
        ("timeindex", 0, struct.pack(">qi", 1, 8), "later than 1"),
    ],
)
def test_a_wrong_index_entry_is_found(folder, capsys, suffix, entry, content, message):
    path = segment_files(folder, suffix)[0]
    patch(path, entry, content)
    code, found, _ = findings(capsys, folder)
    assert code == 1
    assert [path.name, entry] in [each[:2] for each in found]
    assert any(message in each[2] for each in found)


def test_other_files_are_checked(folder, capsys):
    patch(segment_files(folder, "snapshot")[0], 20, b"\xff")
    segment_files(folder, "index")[0].unlink()
    (folder / "leader-epoch-checkpoint").write_text("0\n2\n4 0\n3 5\n")
    (folder / "partition.metadata").write_text("?")
    (folder / f"{FIRST}.txnindex").write_bytes(struct.pack(">hqqqq", 0, 9, 50, 20, 0) + b"x")
    _, found, _ = findings(capsys, folder)
    messages = {name: message for name, _, message in found}
    assert messages[segment_files(folder, "snapshot")[0].name] == "the snapshot's CRC is wrong"
    assert messages[f"{FIRST}.index"] == "the index is missing"
    assert messages["leader-epoch-checkpoint"] == "line 4 does not ascend"
    assert messages["partition.metadata"] == "partition.metadata is malformed"
    assert messages[f"{FIRST}.txnindex"] == "the index ends in 1 stray bytes"
    assert [f"{FIRST}.txnindex", 0, "offsets 50 to 20 are no range"] in found


def test_kafkas_reserved_index_space_is_no_finding(folder, capsys):
    for suffix in ("index", "timeindex"):
        path = segment_files(folder, suffix)[-1]
        path.write_bytes(path.read_bytes() + bytes(12 * 8 * 10))
    assert findings(capsys, folder)[:2] == (0, [])


def test_findings_as_json(folder, capsys):
    patch(segment_files(folder, "log")[0], 80, b"\0\0\0")
    assert main(["log", "verify", str(folder), "--json"]) == 1
    *found, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert found[0]["position"] == 0 and found[0]["file"].endswith(f"{FIRST}.log")
    assert summary["findings"] == len(found) and summary["records"] == 60


@pytest.mark.parametrize("verb", ["dump", "verify"])
def test_a_wrong_path_is_one_line(tmp_path, capsys, verb):
    assert main(["log", verb, str(tmp_path / "absent")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastlog: ") and error.count("\n") == 1


# --- dump ---


def dumped(capsys, *arguments):
    capsys.readouterr()
    code = main(["log", "dump", *map(str, arguments), "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_everything_of_a_folder_is_printed(folder, capsys):
    code, entries = dumped(capsys, folder.parent, "--records")
    kinds = {entry["kind"] for entry in entries}
    assert code == 0
    assert kinds == {
        "batch", "record", "index entry", "time index entry", "producer", "leader epoch", "topic"
    }  # fmt: skip
    batches = [entry for entry in entries if entry["kind"] == "batch"]
    records = [entry for entry in entries if entry["kind"] == "record"]
    assert [entry["base_offset"] for entry in batches] == list(range(0, 60, 2))
    assert [entry["offset"] for entry in records] == list(range(60))
    assert {entry["codec"] for entry in batches} == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert all(entry["crc_ok"] and entry["leader_epoch"] == 4 for entry in batches)
    assert records[0]["key"] == "k0" and records[0]["value"] == "v" * 90
    assert records[1]["key"] is None and records[1]["value_base64"] == "/w=="


def test_lines_for_people(folder, capsys):
    assert main(["log", "dump", str(folder), "--records"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{folder}/{FIRST}.log" in lines
    assert any(
        line.startswith("  batch 0-1, at 0, ") and "producer 9/0 sequence 0" in line
        for line in lines
    )
    assert any("record: offset 0, timestamp 1970-01-01T00:00:01.000Z, key 'k0'" in x for x in lines)


def test_a_marker_is_named(tmp_path, capsys):
    path = tmp_path / f"{FIRST}.log"
    path.write_bytes(build(MARKER, transactional=True, control=True, producer_id=1))
    _, entries = dumped(capsys, path)
    assert entries[1]["type"] == "abort"


def test_what_stands_before_the_damage_is_printed(folder, capsys):
    path = segment_files(folder, "log")[0]
    path.write_bytes(path.read_bytes()[:-1])
    code, entries = dumped(capsys, path)
    assert code == 1
    assert entries[-1]["kind"] == "malformed"
    assert [entry["kind"] for entry in entries[:-1]] == ["batch"] * (len(entries) - 1)


def test_a_file_of_another_kind_is_one_line(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("")
    assert main(["log", "dump", str(tmp_path / "notes.txt")]) == 1
    assert "cannot be told by its name" in capsys.readouterr().err


def test_a_folder_of_something_else(tmp_path, capsys):
    """Names alone make no partitions: /etc has a dbus-1."""
    (tmp_path / "dbus-1").mkdir()
    assert main(["log", "verify", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"fastlog: {tmp_path} holds no partition\n"
