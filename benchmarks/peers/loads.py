"""The rows of the comparison: what is done to a broker, or to the bare machine, and what it cost.

A row's measurement is a dict of numbers. Broker CPU is user and system time of the whole process.
"""

import contextlib
import itertools
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import requests
from benchmarks.peers.brokers import Broker

HERE = Path(__file__).parent
TOOLS = {"limits": ["-pthread"], "kload": [], "rdload": ["-lrdkafka", "-lpthread"]}
CRC_FLAG = "-march=armv8-a+crc" if platform.machine() == "aarch64" else "-msse4.2"
WARM_MB = 2500
KIB, MIB = 1 << 10, 1 << 20

Measured = dict[str, float]


class Machine:
    """The tools, compiled; a folder for files; names that no other topic has."""

    def __init__(self, folder: Path, megabytes: float, seconds: int) -> None:
        self.folder, self.megabytes, self.seconds = folder, megabytes, seconds
        self.names = (f"load-{number}" for number in itertools.count())
        for name, libraries in TOOLS.items():
            command = ["gcc", "-O2", CRC_FLAG, "-Wall", "-Werror", str(HERE / f"{name}.c")]
            subprocess.run([*command, "-o", str(folder / name), *libraries], check=True)

    def run(self, tool: str, *arguments: object, **options: object) -> str:
        """What a tool printed. Raises with its own words when it failed."""
        command = [str(self.folder / tool), *map(str, arguments)]
        command += [f"{name}={value}" for name, value in options.items()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr or done.stdout}")
        return done.stdout

    def measure(self, tool: str, *arguments: object, **options: object) -> Measured:
        """The figures of a tool that prints name=value."""
        text = self.run(tool, *arguments, **options)
        return {name: float(value) for name, value in re.findall(r"(\S+)=([\d.]+)", text)}

    def warm(self) -> None:
        """Takes memory from the host: a guest's freed pages went back to it, and returning costs
        more than all the rest."""
        self.run("limits", "warm", WARM_MB)

    def limit(self, mode: str, chunk: int) -> Measured:
        """One run of `limits`: what no broker can beat by much."""
        text = self.run("limits", mode, self.folder / "limit.bin", int(self.megabytes), chunk)
        found = re.search(r"(\d+) MB/s server_cpu_s_per_GB ([\d.]+)", text)
        assert found is not None, text
        return {"mb_per_s": float(found[1]), "cpu_s_per_gb": float(found[2])}


@contextlib.contextmanager
def topic(machine: Machine, broker: Broker, partitions: int = 1) -> Iterator[str]:
    """A topic for one load: fresh files, gone afterwards."""
    name = next(machine.names)
    requests.create_topic(broker.address, name, partitions)
    yield name
    requests.delete_topic(broker.address, name)


def confine(pid: int, processors: set[int]) -> None:
    """All threads of a process."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), processors)


@contextlib.contextmanager
def apart(broker: Broker) -> Iterator[None]:
    """Client and broker share no processor, as in `limits consume`, which says why."""
    processors = os.sched_getaffinity(0)
    last = {max(processors)}
    confine(broker.pid, processors - last or processors)
    os.sched_setaffinity(0, last)  # what is started now
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
        confine(broker.pid, processors)


@dataclass(frozen=True)
class Bytes:
    """Batches encoded once, sent again and again, then perhaps fetched: the cost of a gigabyte."""

    label: str
    chunk: int
    fetched: str = ""  # the label of the fetch, when there is one
    options: dict[str, int] = field(default_factory=dict)
    group = "bytes"

    def on_machine(self, machine: Machine) -> Iterator[tuple[str, Measured]]:
        machine.warm()
        yield f"produce {self.label}", machine.limit("produce", self.chunk)
        if self.fetched:
            yield f"consume {self.fetched}", machine.limit("consume", self.chunk)
        (machine.folder / "limit.bin").unlink()

    def on_broker(self, machine: Machine, broker: Broker) -> Iterator[tuple[str, Measured]]:
        partitions = self.options.get("partitions", 1)
        with topic(machine, broker, partitions) as name:
            common = {"port": broker.address[1], "pid": broker.pid, "topic": name}
            machine.warm()
            yield (
                f"produce {self.label}",
                machine.measure(
                    "kload",
                    "produce",
                    **common,
                    batch=self.chunk,
                    record=min(1000, self.chunk // 4),
                    megabytes=machine.megabytes,
                    **self.options,
                ),
            )
            if self.fetched:
                shape = {
                    "partitions": partitions,
                    "per_request": self.options.get("per_request", 1),
                }
                read = {"megabytes": machine.megabytes * 0.95, "max_bytes": self.chunk, **shape}
                with apart(broker):
                    measured = machine.measure("kload", "fetch", **common, **read)
                yield f"consume {self.fetched}", measured


@dataclass(frozen=True)
class Records:
    """100-byte records through librdkafka: what most programs do."""

    per_megabyte: int = 7000  # of the size of the other loads: 2 million records for 300 MB
    group = "records"

    def on_broker(self, machine: Machine, broker: Broker) -> Iterator[tuple[str, Measured]]:
        with topic(machine, broker) as name:
            common = {"broker": "{}:{}".format(*broker.address), "pid": broker.pid, "topic": name}
            count = int(self.per_megabyte * machine.megabytes)
            for mode in ("produce", "consume"):
                machine.warm()
                yield f"{mode} 100 B", machine.measure("rdload", mode, **common, count=count)


@dataclass(frozen=True)
class Latency:
    """From the moment a message was due to its arrival at a consumer, through librdkafka."""

    rate: int
    linger: int
    group = "latency"

    def on_broker(self, machine: Machine, broker: Broker) -> Iterator[tuple[str, Measured]]:
        with topic(machine, broker) as name:
            shape = {"rate": self.rate, "linger": self.linger, "seconds": machine.seconds}
            address = "{}:{}".format(*broker.address)
            yield (
                f"latency {self.rate}/s linger {self.linger}",
                machine.measure(
                    "rdload", "latency", broker=address, topic=name, pid=broker.pid, **shape
                ),
            )


LOADS: list[Bytes | Records | Latency] = [
    Bytes("1 MiB", MIB, fetched="1 MiB"),
    Bytes("128 KiB", 128 * KIB, fetched="128 KiB"),
    Bytes("64 KiB", 64 * KIB),
    Bytes("16 KiB", 16 * KIB, fetched="16 KiB"),
    Bytes("16 KiB, 20 in flight", 16 * KIB, options={"inflight": 20}),
    Bytes("6 x 64 KiB", 64 * KIB, "6 x 64 KiB", {"partitions": 6, "per_request": 6}),
    Bytes("6 x 16 KiB", 16 * KIB, options={"partitions": 6, "per_request": 6}),
    Bytes("16 KiB, 100 connections", 16 * KIB, options={"connections": 100}),
    Records(),
    *(Latency(rate, linger) for linger in (0, 1) for rate in (1000, 10_000)),
]
