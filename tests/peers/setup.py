"""Fetch the published jars of Kafka 3.9, Kafka 4 and ZooKeeper with the ordinary `mvn` client.

    python -m tests.peers.setup

Does nothing for what the cache folder already holds, so that it can run before every test run.
A set of jars appears under its name only when all of it is there.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

from tests.peers.cache import PEERS, Peer, PeerMissing, cache_folder, is_complete

NEEDED_PROGRAMS = {
    "mvn": "maven",
    "java": "openjdk-17-jre-headless",
    "javac": "openjdk-17-jdk-headless",
}
MAVEN_DEADLINE_S = 900


def missing_programs() -> dict[str, str]:
    """Programs that are not on the PATH, with the Debian package that has each."""
    return {name: pkg for name, pkg in NEEDED_PROGRAMS.items() if shutil.which(name) is None}


def main() -> int:
    """Fetch what is missing; 0 when everything is there afterwards."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".setup.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another setup may be at it: then reuse its work
            for peer in PEERS:
                ensure(peer)
    except (PeerMissing, OSError) as error:
        print(f"tests.peers.setup: {error}", file=sys.stderr)
        return 1
    return 0


def ensure(peer: Peer) -> None:
    """Make the cache hold `peer`."""
    if is_complete(peer):
        print(f"{peer.name} {peer.version}: already in {cache_folder() / peer.name}", flush=True)
        return
    if missing := missing_programs():
        raise PeerMissing(
            f"{', '.join(missing)} not found; on Debian: apt-get install"
            f" {' '.join(sorted(set(missing.values())))}"
        )
    print(f"{peer.name} {peer.version}: fetching from Maven Central ...", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch.") as name:
        fetched = Path(name)
        copy_jars(peer, fetched)
        (fetched / "VERSION").write_text(peer.version + "\n")
        target = cache_folder() / peer.name
        if target.exists():
            target.rename(fetched / "replaced")
        target.mkdir()
        (fetched / "lib").rename(target / "lib")
        (fetched / "VERSION").rename(target / "VERSION")  # last: it says that all is there
    count = len(list((cache_folder() / peer.name / "lib").glob("*.jar")))
    seconds = time.monotonic() - started
    print(f"{peer.name} {peer.version}: {count} jars in {seconds:.0f} s", flush=True)


def copy_jars(peer: Peer, folder: Path) -> None:
    """Ask Maven to resolve the artifacts of `peer` and copy all jars into `folder`/lib."""
    (folder / "pom.xml").write_text(project_description(peer))
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    command.append(f"-DoutputDirectory={folder / 'lib'}")
    try:
        done = subprocess.run(
            command, cwd=folder, text=True, capture_output=True, timeout=MAVEN_DEADLINE_S
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"mvn did not finish within {MAVEN_DEADLINE_S} s") from None
    if done.returncode != 0 or not (folder / "lib" / peer.landmark).is_file():
        lines = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise PeerMissing(f"mvn could not fetch {peer.name} {peer.version}:\n" + "\n".join(lines))


def project_description(peer: Peer) -> str:
    """A Maven project whose only content is the dependencies."""
    dependencies = ""
    for artifact in peer.artifacts:
        group, name, version = (escape(part) for part in artifact.split(":"))
        dependencies += (
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version></dependency>"
        )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>peers</groupId><artifactId>peers</artifactId><version>1</version>"
        f"<packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )


if __name__ == "__main__":
    sys.exit(main())
