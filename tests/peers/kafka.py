"""Real ZooKeeper and real Kafka 3.9 as processes of a test."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.peers.cache import ZOOKEEPER, libs
from tests.peers.java import JVM_FLAGS, java_command
from tests.peers.processes import OwnedProcess, free_port, require_program
from tests.peers.wire import answers_metadata

START_DEADLINE_S = 60
BROKER_ID = 11  # not the number that a field has when nobody set it

# what a test broker sets apart from Kafka's defaults, and why
KAFKA_SETTINGS = {
    "num.network.threads": 2,  # two cores
    "num.io.threads": 4,
    "offsets.topic.replication.factor": 1,  # one broker
    "offsets.topic.num.partitions": 2,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 2,
    "group.initial.rebalance.delay.ms": 0,
    "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,  # the default takes 128 MiB of a small heap
    "log.cleaner.threads": 1,
    "log.retention.ms": -1,  # records of the tests are of any time; its first look is after 30 s
}


class Broker:
    """What every test needs of a broker, whoever made it."""

    host: str
    port: int
    log_folder: Path

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def partition_folder(self, topic: str, partition: int) -> Path:
        return self.log_folder / f"{topic}-{partition}"


@contextlib.contextmanager
def running_zookeeper(folder: Path) -> Iterator[str]:
    """One ZooKeeper server with its data in `folder`; yields HOST:PORT."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = folder / "zoo.cfg"
    settings.write_text(
        f"tickTime=2000\ndataDir={folder / 'data'}\nclientPort={port}\n"
        "clientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n"
        "4lw.commands.whitelist=srvr\n"
    )
    java = require_program("java", "openjdk-17-jre-headless")
    command = [java, *JVM_FLAGS, "-Xmx256m", "-Dzookeeper.forceSync=no"]
    command += ["-cp", f"{libs(ZOOKEEPER)}/*"]
    command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", settings]
    process = OwnedProcess("ZooKeeper", command, folder / "output.log")
    try:
        process.wait_until(lambda: _zookeeper_serves(port), START_DEADLINE_S, "serving")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()  # it keeps nothing that outlives the test


def _zookeeper_serves(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"srvr")
            return b"Zookeeper version" in connection.recv(4096)
    except OSError:
        return False


class KafkaBroker(Broker):
    """A Kafka 3.9 broker in ZooKeeper mode with its log folder in `folder`/logs."""

    def __init__(self, folder: Path, zookeeper: str, settings: dict[str, object]) -> None:
        self.host, self.port = "127.0.0.1", free_port()
        self.folder, self.zookeeper, self.settings = folder, zookeeper, settings
        self.log_folder = folder / "logs"
        self.process: OwnedProcess | None = None

    def start(self) -> None:
        """Start, and return once the broker answers Metadata naming itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        listener = f"PLAINTEXT://{self.address}"
        wanted = {
            "broker.id": BROKER_ID,
            "listeners": listener,
            "advertised.listeners": listener,
            "log.dirs": self.log_folder,
            "zookeeper.connect": self.zookeeper,
            **KAFKA_SETTINGS,
            **self.settings,
        }
        file = self.folder / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in wanted.items()))
        command = java_command("3.9", "kafka.Kafka", file)
        self.process = OwnedProcess("Kafka 3.9", command, self.folder / "output.log")
        address = (self.host, self.port)
        self.process.wait_until(lambda: answers_metadata(address), START_DEADLINE_S, "serving")

    def stop(self) -> None:
        """A clean stop: the log folder is then as Kafka leaves it."""
        assert self.process is not None
        code = self.process.terminate(60)
        if code not in (0, 143):  # a JVM ended by TERM says 143
            raise self.process.failure("did not stop cleanly")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()


@contextlib.contextmanager
def running_kafka(folder: Path, zookeeper: str, **settings: object) -> Iterator[KafkaBroker]:
    """Kafka 3.9 for the length of a block; names of settings with `_` for `.`."""
    named = {key.replace("_", "."): value for key, value in settings.items()}
    broker = KafkaBroker(folder, zookeeper, named)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
