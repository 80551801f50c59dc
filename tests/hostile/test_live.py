"""A storm of hostile requests on a live broker: it answers or closes, stays small, serves others.

HOSTILE_REQUESTS sets how many there are (a short run by default; a million is the full one),
HOSTILE_RATE how many a second, HOSTILE_IDLE how many idle connections there are all the while,
HOSTILE_CONNECTIONS how many the broker is filled with. The figures that depend on the machine are
printed, not judged: `pytest -rP`.
"""

import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.broker.clients import Client
from tests.dataplane.wire import batch, produce
from tests.hostile.attacks import ANSWERED, BIG_TOPIC, LAST, TOPIC
from tests.hostile.observing import TOPIC as LIGHT
from tests.hostile.observing import LightClient, cpu_seconds, resident_mib
from tests.peers.fastlog import ROOT, FastlogBroker

REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "30000"))
RATE = float(os.environ.get("HOSTILE_RATE", "3000"))
IDLE = int(os.environ.get("HOSTILE_IDLE", "1000"))
CONNECTIONS = int(os.environ.get("HOSTILE_CONNECTIONS", "10000"))
WARM_UP = 4000
SLICE = 100_000
GROWTH_MOST_MIB = 64
# The profile for strangers, except for what the storm, which comes from one machine, would break on
# at once; and with less patience, for the test's sake.
SETTINGS = {
    "fastlog.profile": "hardened",
    "max.connections": 20_000,
    "max.connections.per.ip": 20_000,
    "max.connection.creation.rate": 1_000_000,
    "fastlog.receive.timeout.ms": 2000,
}


@pytest.fixture
def broker(start_fastlog: Callable[..., FastlogBroker]) -> FastlogBroker:
    broker = start_fastlog(SETTINGS)
    with Client(broker) as client:
        for topic in (TOPIC, BIG_TOPIC, LIGHT):
            assert client.create(topic) == 0
        assert client.produce(BIG_TOPIC, batch(b"x" * 900_000)) == (0, 0)
    return broker


def storm(broker: FastlogBroker, requests: int, seed: int, rate: float = RATE) -> dict:
    """The generator's report."""
    command = [sys.executable, "-m", "tests.hostile.generator", broker.host, str(broker.port)]
    command += [str(requests), "--seed", str(seed), "--rate", str(rate), "--idle", str(IDLE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def loris(broker: FastlogBroker, number: int) -> Iterator[list[socket.socket]]:
    """Connections that have begun a request and then send a byte now and then."""
    frame = produce({TOPIC: [(0, batch(b"x" * 5000))]})
    with contextlib.ExitStack() as opened:
        peers = []
        for _ in range(number):
            peer = opened.enter_context(socket.create_connection((broker.host, broker.port), 10))
            peer.sendall(struct.pack(">i", len(frame)) + frame[:100])
            peers.append(peer)
        yield peers


def drip(peer: socket.socket) -> bool:
    """One more byte; whether the broker has closed the connection."""
    try:
        peer.sendall(b"x")
        peer.settimeout(0.001)
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.timeout(3600)
def test_a_storm(broker: FastlogBroker) -> None:
    with LightClient(broker) as before:
        time.sleep(1 + REQUESTS / 100_000)
    assert storm(broker, WARM_UP, 0)["problems"] == {}
    warm, used = resident_mib(broker), cpu_seconds(broker)
    kinds: set[str] = set()
    seconds = 0.0
    with LightClient(broker) as during:
        for seed in range(1, 2 + (REQUESTS - 1) // SLICE):
            report = storm(broker, min(SLICE, REQUESTS - (seed - 1) * SLICE), seed)
            assert report["problems"] == {}
            kinds |= set(report["kinds"])
            seconds += report["seconds"]
    assert during.failure is None and before.failure is None
    left_out = {attack.name for attack in (*ANSWERED, *LAST)} - kinds
    assert all("bomb" in name or "loris" in name for name in left_out), left_out
    settle(broker)
    print(
        f"{REQUESTS} hostile requests in {seconds:.0f} s beside {IDLE} idle connections; broker: "
        f"{cpu_seconds(broker) - used:.1f} CPU s, {warm:.0f} MiB before, {during.most_mib:.0f} at "
        f"most, {resident_mib(broker):.0f} after\n"
        f"a light client before: {before.shown()}\na light client during: {during.shown()}"
    )
    assert during.most_mib - warm <= GROWTH_MOST_MIB
    assert broker.process is not None
    lines = broker.process.text().splitlines()
    assert not [line for line in lines if "Traceback" in line or "ERROR" in line]
    told = [line for line in lines if "malformed" in line]
    assert 0 < len(told) < 20 + seconds, "one line for each, but not for each of a thousand"
    broker.stop()


def settle(broker: FastlogBroker) -> None:
    """Waits until the broker has let go of what the storm left."""
    assert broker.process is not None
    folder = f"/proc/{broker.process.pid}/fd"
    broker.process.wait_until(lambda: len(os.listdir(folder)) < 60, 20, "rid of connections")


def test_slow_loris(broker: FastlogBroker) -> None:
    """Bytes that keep coming do not make a request that comes to its end."""
    assert broker.process is not None
    with loris(broker, 100) as peers, LightClient(broker) as light:
        open_peers = list(peers)
        deadline = time.monotonic() + 60
        while open_peers:
            open_peers = [peer for peer in open_peers if not drip(peer)]
            time.sleep(0.1)
            assert time.monotonic() < deadline, f"{len(open_peers)} were not closed"
    assert light.failure is None
    assert broker.process.text().count("connection timed out") in (1, 2)
    broker.stop()


def test_ten_thousand_connections(broker: FastlogBroker) -> None:
    """Each is served, and all of them together are small and quiet."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(CONNECTIONS, hard - 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = resident_mib(broker)
    request = struct.pack(">ihhih", 10, 18, 0, 1, -1)
    with contextlib.ExitStack() as opened, LightClient(broker) as light:
        peers = []
        for _ in range(number):
            peer = opened.enter_context(socket.create_connection((broker.host, broker.port), 30))
            peer.sendall(request)
            peers.append(peer)
        for peer in peers:
            assert len(peer.recv(4, socket.MSG_WAITALL)) == 4
        opened_mib, used = resident_mib(broker), cpu_seconds(broker)
        time.sleep(1)
        idle = cpu_seconds(broker) - used
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert light.failure is None
    print(
        f"{number} connections: {before:.0f} MiB before, {opened_mib:.0f} with them\n"
        f"a light client meanwhile: {light.shown()}; CPU of that and them in 1 s: {idle:.2f} s"
    )
    assert opened_mib - before <= GROWTH_MOST_MIB
    assert opened_mib < 100
    settle(broker)
    broker.stop()
