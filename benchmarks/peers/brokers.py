"""fastlog, Kafka 3.9 and Kafka 4 as processes with their own defaults, and how to look at one.

The tests start Kafka with flags that make it start fast; here it has the heap, the collector and
the compiler that `kafka-server-start` gives it.
"""

import base64
import os
import re
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tests.peers.cache import KAFKA_4, KAFKA_39, kafka_libs
from tests.peers.fastlog import ROOT, environment
from tests.peers.java import logging_flag
from tests.peers.processes import OwnedProcess, ProcessFailed, free_port, require_program
from tests.peers.wire import answers_metadata

START_DEADLINE_S = 120
# A batch of 1 MiB must pass in all of them; what a load wrote must not wait a minute to be deleted.
COMMON = {"message.max.bytes": 4 << 20, "log.segment.delete.delay.ms": 1000}
# One broker has nobody to replicate to; everything else is Kafka's default.
ALONE = {
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
}
# kafka-server-start.sh and kafka-run-class.sh
HEAP = ["-Xmx1G", "-Xms1G"]
COLLECTOR = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
COMPILER = ["-server", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15"]
JVM_FLAGS = [*HEAP, *COLLECTOR, *COMPILER, "-Djava.awt.headless=true"]


class Broker(ABC):
    """One broker in a folder of its own; the same port after a restart."""

    column = ""

    def __init__(self, folder: Path, settings: dict[str, object] | None = None) -> None:
        self.folder = folder
        self.settings = {**COMMON, **(settings or {})}
        self.address = ("127.0.0.1", free_port())
        self.process: OwnedProcess | None = None

    @abstractmethod
    def prepare(self) -> list[str]:
        """Writes what the broker reads at its start. Returns the command that starts it."""

    def environment(self) -> dict[str, str] | None:
        return None

    def start(self) -> float:
        """Returns the seconds from exec to the first answer to Metadata."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.prepare()
        began = time.monotonic()
        self.process = OwnedProcess(
            self.column,
            command,
            self.folder / "output.log",
            cwd=ROOT,
            environment=self.environment(),
        )
        while not answers_metadata(self.address):
            if not self.process.running() or time.monotonic() - began > START_DEADLINE_S:
                raise self.process.failure("does not answer Metadata")
            time.sleep(0.002)
        return time.monotonic() - began

    def stop(self) -> None:
        """A clean stop."""
        assert self.process is not None
        if self.process.terminate(START_DEADLINE_S) not in (0, 143):  # a JVM's answer to TERM
            raise self.process.failure("did not stop cleanly")

    def kill(self) -> None:
        """Harmless when it does not run."""
        if self.process is not None:
            self.process.kill()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def cpu_seconds(self) -> float:
        """User and system time of all its threads."""
        return time.clock_gettime((~self.pid << 3) | 2)  # the clock of a process, CPUCLOCK_SCHED

    def resident_mb(self) -> float:
        """RSS in MB (10^6 bytes)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", text)
        assert found is not None
        return int(found[1]) * 1024 / 1e6


class Fastlog(Broker):
    """`fastlog serve` of this checkout."""

    column = "fastlog"

    def prepare(self) -> list[str]:
        host, port = self.address
        command = [sys.executable, "-m", "fastlog", "serve", "--data", str(self.folder / "data")]
        command += ["--listen", f"{host}:{port}"]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        return command

    def environment(self) -> dict[str, str]:
        return environment()


class Kafka(Broker):
    """What both releases share."""

    release = ""

    def properties(self) -> dict[str, object]:
        host, port = self.address
        return {
            "listeners": f"PLAINTEXT://{host}:{port}",
            "advertised.listeners": f"PLAINTEXT://{host}:{port}",
            "log.dirs": self.folder / "logs",
            **ALONE,
            **self.settings,
        }

    def java(self, main: str, *arguments: object) -> list[str]:
        java = require_program("java", "openjdk-17-jre-headless")
        flags = [*JVM_FLAGS, logging_flag(self.release), "-cp", f"{kafka_libs(self.release)}/*"]
        return [java, *flags, main, *map(str, arguments)]

    def prepare(self) -> list[str]:
        file = self.folder / "server.properties"
        lines = [f"{name}={value}\n" for name, value in self.properties().items()]
        file.write_text("".join(lines))
        return self.java("kafka.Kafka", file)


class Kafka39(Kafka):
    """Kafka 3.9 with ZooKeeper at HOST:PORT/CHROOT."""

    column, release = f"Kafka {KAFKA_39.version}", "3.9"

    def __init__(self, folder: Path, zookeeper: str) -> None:
        super().__init__(folder)
        self.zookeeper = zookeeper

    def properties(self) -> dict[str, object]:
        own = {"broker.id": 1, "zookeeper.connect": f"{self.zookeeper}/{self.folder.name}"}
        return {**own, **super().properties()}


class Kafka4(Kafka):
    """Kafka 4 as broker and controller in one (KRaft)."""

    column, release = f"Kafka {KAFKA_4.version}", "4"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.controller = free_port()

    def properties(self) -> dict[str, object]:
        shared = super().properties()
        controller = f"127.0.0.1:{self.controller}"
        return {
            **shared,
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{shared['listeners']},CONTROLLER://{controller}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
        }

    def prepare(self) -> list[str]:
        command = super().prepare()
        if not (self.folder / "logs" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(b"compare-" + os.urandom(8)).decode()[:22]
            arguments = ["format", "-t", cluster, "-c", self.folder / "server.properties"]
            tool = self.java("kafka.tools.StorageTool", *arguments)
            done = subprocess.run(tool, capture_output=True, text=True)
            if done.returncode:
                raise ProcessFailed(f"StorageTool: {done.stdout}{done.stderr}")
        return command


COLUMNS = (Fastlog.column, Kafka39.column, Kafka4.column)


def new_broker(column: str, folder: Path, zookeeper: str) -> Broker:
    """The broker of a column of the table, not started."""
    if column == Kafka39.column:
        return Kafka39(folder, zookeeper)
    return {Fastlog.column: Fastlog, Kafka4.column: Kafka4}[column](folder)
