"""Sends hostile requests by the thousand a second, and checks what comes back.

    python -m tests.hostile.generator HOST PORT REQUESTS [--seed N] [--rate N] [--idle N]
                                      [--give-way]

A connection sends some requests that are answered, in one go, and then one that ends it; hundreds
are under way at a time. Prints one line of JSON: requests by name, connections, seconds, and what
was wrong: an answer of another code, an answer where the connection should end, or neither within
PATIENCE_S. `--rate` bounds the requests a second. `--idle` connections are open all the while, and
are asked at the end whether they still are. With `--give-way` it takes the processors only while
nobody else of its session wants them, as if it had a machine of its own.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

from tests.hostile.attacks import ANSWERED, DRIP, HALF, LAST, RESET, RESET_AMID, Attack

PATIENCE_S = 30
ANSWERED_MOST = 16  # before the last one of a connection
SOURCES = 50  # addresses of ours: the ports of one would not last
ENOUGH_OF_AN_ANSWER = 100_000  # then the reset
RST = struct.pack("ii", 1, 0)
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def new_socket(chance: random.Random) -> socket.socket:
    """A socket whose source address is one of ours, not connected yet; closed by a reset."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    # The port is chosen at connect, so that it may be in use towards others.
    made.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    made.bind((f"127.0.1.{chance.randrange(1, SOURCES)}", 0))
    return made


class Peer:
    """One hostile connection."""

    def __init__(self, address: tuple[str, int], attacks: list[Attack], chance: random.Random):
        self.attacks = attacks
        self.last = attacks[-1]
        self.out = memoryview(b"".join(attack.make(chance) for attack in attacks))
        self.expected = [attack for attack in attacks if attack.error is not None]
        self.got = 0
        self.received = bytearray()
        self.is_drained = False
        self.deadline = time.monotonic() + PATIENCE_S
        self.socket = new_socket(chance)
        self.socket.setblocking(False)
        self.socket.connect_ex(address)

    def send(self) -> bool:
        """Whether the peer is through with the broker: it has reset the connection."""
        while self.out:
            try:
                self.out = self.out[self.socket.send(self.out) :]
            except BlockingIOError:
                return False
            except ConnectionError:
                break  # it has been closed already; what was answered can still be read
        if self.is_drained:
            return False
        self.is_drained = True
        if self.last.end == HALF:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
        return self.last.end == RESET and not self.expected

    def drip(self) -> None:
        """One more byte of a request that never ends."""
        if self.last.end == DRIP and not self.out:
            with contextlib.suppress(OSError):
                self.socket.send(b"x")

    def read(self) -> str | None:
        """None: go on; else what was wrong, or "" when it came to its expected end."""
        while True:
            try:
                part = self.socket.recv(1 << 17)
            except BlockingIOError:
                return None
            except ConnectionError:
                part = b""
            if not part:
                return self.at_the_end()
            self.received += part
            problem = self.check_answers()
            if problem is not None:
                return problem

    def check_answers(self) -> str | None:
        while len(self.received) >= 4:
            size = 4 + struct.unpack_from(">i", self.received)[0]
            if self.got == len(self.expected):
                if self.last.end == RESET_AMID:
                    return "" if len(self.received) > ENOUGH_OF_AN_ANSWER else None
                return f"an answer to: {self.last.name}"
            if len(self.received) < size:
                return None
            attack = self.expected[self.got]
            body = bytes(self.received[4:size])
            at = attack.at if attack.at >= 0 else body.rindex(b"\0\0\0\1") + 4
            code = struct.unpack_from(">h", body, at)[0]
            if code != attack.error:
                return f"{code} instead of {attack.error} to: {attack.name}"
            del self.received[:size]
            self.got += 1
            if self.got == len(self.expected) and self.last.end == RESET:
                return ""
        return None

    def at_the_end(self) -> str:
        if self.got == len(self.expected):
            return ""
        return f"closed before an answer to: {self.expected[self.got].name}"


class Generator:
    """Keeps `width` peers under way until `wanted` requests have been sent."""

    def __init__(self, address: tuple[str, int], wanted: int, seed: int, rate: float) -> None:
        self.address, self.wanted, self.rate = address, wanted, rate
        self.chance = random.Random(seed)
        self.weights = [attack.weight for attack in LAST]
        self.epoll = select.epoll()
        self.peers: dict[int, Peer] = {}
        self.sent: collections.Counter[str] = collections.Counter()
        self.problems: collections.Counter[str] = collections.Counter()
        self.requests = self.connections = 0
        self.started = time.monotonic()

    def run(self, width: int) -> None:
        next_look = self.started + 1
        while self.peers or self.requests < self.wanted:
            while len(self.peers) < width and self.requests < self.wanted and not self.is_early():
                self.begin()
            for number, event in self.epoll.poll(0.02, 256):
                self.turn(self.peers[number], event)
            if time.monotonic() > next_look:
                next_look += 1
                self.give_up_on_the_silent()
                for peer in self.peers.values():
                    peer.drip()

    def is_early(self) -> bool:
        return self.requests > self.rate * (time.monotonic() - self.started)

    def begin(self) -> None:
        attacks = self.chance.choices(ANSWERED, k=self.chance.randrange(ANSWERED_MOST + 1))
        attacks += self.chance.choices(LAST, self.weights)
        peer = Peer(self.address, attacks, self.chance)
        self.peers[peer.socket.fileno()] = peer
        self.epoll.register(peer.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self.sent.update(attack.name for attack in attacks)
        self.requests += len(attacks)
        self.connections += 1

    def turn(self, peer: Peer, event: int) -> None:
        end = None
        if event & select.EPOLLOUT and peer.send():
            end = ""
        if end is None and event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            end = peer.read()
        if end is not None:
            self.finish(peer, end)

    def finish(self, peer: Peer, end: str) -> None:
        if end:
            self.problems[end] += 1
        del self.peers[peer.socket.fileno()]
        peer.socket.close()

    def give_up_on_the_silent(self) -> None:
        now = time.monotonic()
        for peer in [peer for peer in self.peers.values() if peer.deadline < now]:
            self.finish(peer, f"neither answered nor closed: {peer.last.name}")

    @contextlib.contextmanager
    def idle(self, number: int) -> Iterator[None]:
        """So many connections that ask once and say no more, each still served at the end."""
        with contextlib.ExitStack() as opened:
            idle = [opened.enter_context(new_socket(self.chance)) for _ in range(number)]
            for peer in idle:
                peer.settimeout(PATIENCE_S)
                peer.connect(self.address)
            self.ask_all(idle)
            yield
            self.ask_all(idle)

    def ask_all(self, idle: list[socket.socket]) -> None:
        for peer in idle:
            peer.sendall(API_VERSIONS)
        for peer in idle:
            size = struct.unpack(">i", peer.recv(4, socket.MSG_WAITALL) or bytes(4))[0]
            if size == 0 or len(peer.recv(size, socket.MSG_WAITALL)) < size:
                self.problems["an idle connection was closed"] += 1

    def report(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "connections": self.connections,
            "seconds": round(time.monotonic() - self.started, 1),
            "kinds": dict(self.sent),
            "problems": dict(self.problems),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e9)
    parser.add_argument("--width", type=int, default=200)
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--give-way", action="store_true")
    given = parser.parse_args()
    if given.give_way:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    generator = Generator((given.host, given.port), given.requests, given.seed, given.rate)
    with generator.idle(given.idle):
        generator.run(given.width)
    json.dump(generator.report(), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # no need to take apart what the system does at once


if __name__ == "__main__":
    main()
