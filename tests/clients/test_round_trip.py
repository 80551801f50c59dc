"""A real data set through kcat and back: the Python standard library, several times over."""

import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.clients.confluent_driver import ConfluentDriver
from tests.peers.fastlog import FastlogBroker
from tests.peers.processes import require_program

WANTED_BYTES = 100 * 1000 * 1000
LARGEST = 20_000_000
# what stands in no file: checked below, since a delimiter inside a file would split its record
KEY_END, RECORD_END = b"\x1e-key-ends-\x1e", b"\x1e-record-ends-\x1e"
DEADLINE_S = 120


def library() -> list[tuple[bytes, bytes]]:
    """Path and content of every file of the standard library, caches left out."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if {"__pycache__", "site-packages", "dist-packages"} & set(inside.parts):
            continue
        if path.is_file() and path.stat().st_size < LARGEST:
            found.append((str(inside).encode(), path.read_bytes()))
    assert found, f"no standard library in {root}"
    return found


def records() -> Iterator[tuple[bytes, bytes]]:
    """The library over and over until it is enough; the round is part of the key."""
    files = library()
    for _, content in files:
        assert KEY_END not in content
        assert RECORD_END not in content
    size = round_number = 0
    while size < WANTED_BYTES:
        round_number += 1
        for path, content in files:
            size += len(content)
            yield b"%d/%s" % (round_number, path), content


def escaped(delimiter: bytes) -> str:
    return delimiter.decode().replace("\x1e", "\\x1e")


def send(address: str, topic: str, sent: list[tuple[bytes, bytes]], codec: str) -> None:
    kcat = require_program("kcat", "kcat")
    command = [kcat, "-P", "-b", address, "-t", topic, "-p", "0", "-z", codec]
    command += ["-K", escaped(KEY_END), "-D", escaped(RECORD_END)]
    command += ["-X", f"message.max.bytes={LARGEST * 2}", "-X", "enable.idempotence=true"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for key, content in sent:
                process.stdin.write(key + KEY_END + content + RECORD_END)
            process.stdin.close()
            errors = process.stderr.read()
            assert process.wait(DEADLINE_S) == 0, errors.decode(errors="replace")
        finally:
            process.kill()


def received(address: str, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """What kcat reads back; lengths go before contents, so every byte may stand in them."""
    kcat = require_program("kcat", "kcat")
    command = [kcat, "-C", "-q", "-e", "-b", address, "-t", topic, "-p", "0", "-o", "beginning"]
    command += ["-X", "check.crcs=true", "-f", "%K %S\\n%k%s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            while line := process.stdout.readline():
                key_size, value_size = map(int, line.split())
                key = process.stdout.read(key_size)
                yield key, process.stdout.read(max(value_size, 0))
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_standard_library_byte_for_byte(fastlog_broker: FastlogBroker) -> None:
    """At least 100 MB, in the order sent; again after a restart, and from its compressed form."""
    address = fastlog_broker.address
    driver = ConfluentDriver(address)
    sent = list(records())
    configs = {"max.message.bytes": LARGEST * 2, "segment.bytes": 50_000_000}
    for codec in ("none", "zstd"):
        create = {"op": "create", "topic": codec, "configs": configs}
        assert driver.perform(create) == {"created": True}
        send(address, codec, sent, codec)
        compare(received(address, codec), sent)
    fastlog_broker.restart()
    compare(received(address, "none"), sent)


def compare(actual: Iterator[tuple[bytes, bytes]], expected: list[tuple[bytes, bytes]]) -> None:
    count = 0
    for (key, content), (wanted_key, wanted) in zip(actual, expected, strict=True):
        assert key == wanted_key
        assert content == wanted, f"{key.decode()} came back changed"
        count += 1
    assert count == len(expected)
