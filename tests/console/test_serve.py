"""`fastlog serve`: why it does not start, said in a line each, and how it ends."""

import json
import os
import random
import signal
import socket
import struct

import pytest

from fastlog.protocol import encode_request, headers, messages
from tests.clients.raw_client import build
from tests.console.command import failure, output
from tests.peers.fastlog import FastlogBroker

ANYWHERE = ["--listen", "127.0.0.1:0"]


def refused(*arguments, folder, lines=1) -> str:
    """What a `serve` says that must not start."""
    return failure("serve", *arguments, folder=folder, lines=lines)


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--data", "d", "--listen", f"127.0.0.1:{port}", folder=tmp_path)
    assert (
        said == f"fastlog: cannot listen on PLAINTEXT://127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nowhere", "not NAME://host:port"),
        ("127.0.0.1:99999", "the port is above 65535"),
        ("nosuchhost.invalid:1", "cannot listen on"),
        ("192.0.2.1:9092", "Cannot assign requested address"),
    ],
)
def test_addresses_that_cannot_be(tmp_path, address, told):
    assert told in refused("--data", "d", "--listen", address, folder=tmp_path)


def test_folder_in_use(shared_fastlog, tmp_path):
    said = refused("--data", shared_fastlog.log_folder, *ANYWHERE, folder=tmp_path)
    pid = shared_fastlog.process.pid
    assert said == f"fastlog: {shared_fastlog.log_folder} is in use by process {pid}\n"


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    told = f"{tmp_path / 'file'} cannot be used for logs: "
    assert told in refused("--data", "file", *ANYWHERE, folder=tmp_path)
    assert "Not a directory" in refused("--data", "file/below", *ANYWHERE, folder=tmp_path)
    # Even root may not create anything in /proc.
    assert "cannot be used for logs" in refused("--data", "/proc/d", *ANYWHERE, folder=tmp_path)


def test_every_problem_is_told_with_its_line(tmp_path):
    (tmp_path / "a.toml").write_text('num.partitons = 3\n\n[log]\nsegment.bytes = "x"\n')
    said = refused("--config", "a.toml", "--set", "nothing", folder=tmp_path, lines=3)
    assert "a.toml:1: unknown setting num.partitons; the nearest is num.partitions" in said
    assert "a.toml:4: " in said
    assert "log.segment.bytes" in said
    assert "--set nothing: give it as key=value" in said


def test_broken_files(tmp_path):
    (tmp_path / "broken.toml").write_text("num.partitions = = 3\n")
    assert "broken.toml: not valid TOML" in refused("--config", "broken.toml", folder=tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "binary.toml: not valid TOML" in refused("--config", "binary.toml", folder=tmp_path)
    (tmp_path / "broken.properties").write_text("a=\\uZZZZ\n")
    assert "broken.properties:1: " in refused("--config", "broken.properties", folder=tmp_path)
    for absent in ("absent.toml", "absent.properties"):
        said = refused("--config", absent, folder=tmp_path)
        assert said == f"fastlog: {absent}: cannot be read: No such file or directory\n"
    assert "Is a directory" in refused("--config", ".", folder=tmp_path)


def test_kafkas_own_file_names_what_is_not_there_yet(tmp_path):
    (tmp_path / "server.properties").write_text(
        "broker.id=0\nnum.network.threads=3\nlog.dirs=/tmp/kafka-logs\nnum.partitions=1\n"
        "zookeeper.connect=localhost:2181\nsecurity.inter.broker.protocol=SSL\n"
    )
    said = refused("--config", "server.properties", folder=tmp_path, lines=2)
    assert "server.properties:5: zookeeper.connect" in said
    assert "server.properties:6: security.inter.broker.protocol" in said
    assert "not supported in this version of fastlog" in said
    assert not os.path.exists("/tmp/kafka-logs")


def test_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTLOG_NUM_PARTITONS", "3")
    assert "FASTLOG_NUM_PARTITONS: unknown setting" in refused(*ANYWHERE, folder=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_in_order(start_fastlog, number):
    broker: FastlogBroker = start_fastlog()
    broker.process.signal(number)
    assert broker.process.wait(20) == 0
    assert broker.has_clean_marker()
    lines = broker.process.text().splitlines()
    assert not [line for line in lines if "WARNING" in line or "ERROR" in line], lines


def test_a_second_signal_ends_at_once(start_fastlog):
    """A client that does not read its answer holds the drain up, which may take a minute here."""
    broker: FastlogBroker = start_fastlog({"fastlog.drain.timeout.ms": 60000})
    lines = b"".join(random.Random(2).randbytes(5000).hex().encode() + b"\n" for _ in range(3000))
    output("produce", "t", "-b", broker.address, stdin=lines)
    with socket.create_connection((broker.host, broker.port)) as lazy:
        lazy.sendall(fetch("t", 30_000_000))
        lazy.recv(1)  # the answer is on its way
        broker.process.signal(signal.SIGTERM)
        broker.process.wait_until(lambda: not listens(broker), 10, "draining")
        waits = "waiting for the responses of 1 connections, at most 60.0 s in all; a second TERM"
        broker.process.wait_until(lambda: waits in broker.process.text(), 20, "telling")
        broker.process.signal(signal.SIGTERM)
        assert broker.process.wait(5) == 128 + signal.SIGTERM
    assert not broker.has_clean_marker()
    assert "ended at once by a second signal" in broker.process.text()
    broker.start()  # it recovers
    broker.stop()


def listens(broker: FastlogBroker) -> bool:
    """Whether a new connection is taken."""
    try:
        socket.create_connection((broker.host, broker.port), 5).close()
    except OSError:
        return False
    return True


def fetch(topic: str, size: int) -> bytes:
    """The frame of a Fetch v11 for partition 0 from offset 0."""
    body = build(
        messages.request_class(1),
        {
            "replica_id": -1,
            "max_wait_ms": 100,
            "max_bytes": size,
            "topics": [
                {
                    "topic": topic,
                    "partitions": [{"fetch_offset": 0, "partition_max_bytes": size}],
                }
            ],
        },
    )
    frame = encode_request(headers.RequestHeader(1, 11, 1, "lazy"), body)
    return struct.pack(">i", len(frame)) + frame


def test_json_events(start_fastlog):
    broker: FastlogBroker = start_fastlog({"fastlog.log.format": "json"})
    broker.stop()
    text = broker.process.text()
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(events) == len(text.splitlines()) - 2, text  # and the two lines of stdout
    assert {"time", "level", "source", "message"} == set(events[0])
    assert any(event["message"] == "stopped" for event in events)


def test_says_where_it_is(start_fastlog):
    broker: FastlogBroker = start_fastlog()
    text = broker.process.text()
    assert f"listening on 127.0.0.1:{broker.port}\n" in text
    assert f"data in {broker.log_folder}\n" in text
