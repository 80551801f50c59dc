"""Where the published jars of Kafka and ZooKeeper stand, and which releases they are."""

import os
from dataclasses import dataclass
from pathlib import Path


class PeerMissing(RuntimeError):
    """A tool or a set of jars that the tests need is not on this machine."""


@dataclass(frozen=True)
class Peer:
    """One set of jars: what to ask Maven for, and the jar that shows it is all there."""

    name: str  # the folder under the cache
    version: str
    artifacts: tuple[str, ...]  # group:artifact:version, resolved with their dependencies
    landmark: str  # a jar that is only there when the whole set is


def _kafka(name: str, version: str, *more: str) -> Peer:
    artifacts = (
        f"org.apache.kafka:kafka_2.13:{version}",
        f"org.apache.kafka:kafka-tools:{version}",
        *more,
    )
    return Peer(name, version, artifacts, f"kafka_2.13-{version}.jar")


KAFKA_39 = _kafka("kafka39", "3.9.2")
# the 4.x jars name log4j2, but not its binding to slf4j
KAFKA_4 = _kafka("kafka4", "4.1.2", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3")
# snappy and metrics are "provided" in ZooKeeper's own description, and it does not start without
ZOOKEEPER = Peer(
    "zookeeper",
    "3.9.5",
    (
        "org.apache.zookeeper:zookeeper:3.9.5",
        "org.xerial.snappy:snappy-java:1.1.10.5",
        "io.dropwizard.metrics:metrics-core:4.1.12.1",
        "commons-cli:commons-cli:1.5.0",
    ),
    "zookeeper-3.9.5.jar",
)
# the release whose message definitions are the newest that we know
MESSAGES = Peer(
    "messages", "4.4.0", ("org.apache.kafka:kafka-clients:4.4.0",), "kafka-clients-4.4.0.jar"
)
PEERS = (KAFKA_39, KAFKA_4, ZOOKEEPER, MESSAGES)
_KAFKAS = {"3.9": KAFKA_39, "4": KAFKA_4}


def cache_folder() -> Path:
    """FASTLOG_PEERS, or `fastlog-peers` in the user's cache folder (XDG base directories)."""
    if named := os.environ.get("FASTLOG_PEERS"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fastlog-peers"


def is_complete(peer: Peer) -> bool:
    """Whether the cache holds all jars of `peer` in the release we mean."""
    folder = cache_folder() / peer.name
    version = folder / "VERSION"
    return (
        version.is_file()
        and version.read_text().strip() == peer.version
        and (folder / "lib" / peer.landmark).is_file()
    )


def libs(peer: Peer) -> Path:
    """The folder with the jars of `peer`; PeerMissing when they were not fetched."""
    if not is_complete(peer):
        raise PeerMissing(
            f"{peer.name} {peer.version} is not in {cache_folder()}: run"
            " `python -m tests.peers.setup` (it needs a JDK 17 and Maven)"
        )
    return cache_folder() / peer.name / "lib"


def kafka_libs(release: str) -> Path:
    """The jars of Kafka, clients and tools included, of release "3.9" or "4"."""
    return libs(_KAFKAS[release])
