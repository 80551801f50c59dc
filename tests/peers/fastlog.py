"""`fastlog serve` as a process of a test, to be stopped, killed and started again."""

import os
import re
import sys
from pathlib import Path

from tests.peers.kafka import Broker
from tests.peers.processes import OwnedProcess
from tests.peers.wire import answers_metadata

START_DEADLINE_S = 30
CLEAN_MARKER = ".kafka_cleanshutdown"
ROOT = Path(__file__).parent.parent.parent
_LISTENING = re.compile(r"listening on ([0-9.]+):([0-9]+)\n")


def environment() -> dict[str, str]:
    """Ours without what fastlog would take for settings: FASTLOG_PEERS is for the tests.

    Its modules may be kept compiled, as an installation keeps them, whatever this process may.
    """
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("FASTLOG_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def _listening(process: OwnedProcess) -> re.Match[str] | None:
    return _LISTENING.search(process.text())


class FastlogBroker(Broker):
    """A fastlog broker with its data in one folder; the same port after a restart."""

    def __init__(
        self, folder: Path, settings: dict[str, object] | None = None, own_session: bool = True
    ) -> None:
        self.folder = folder
        self.own_session = own_session
        self.log_folder = folder / "data"
        # records of the tests are of any time
        self.settings = {"log.retention.ms": -1, **(settings or {})}
        self.host, self.port = "127.0.0.1", 0
        self.process: OwnedProcess | None = None

    def command(self) -> list[str]:
        arguments = [sys.executable, "-m", "fastlog", "serve", "--data", str(self.log_folder)]
        arguments += ["--listen", f"{self.host}:{self.port}"]
        for key, value in self.settings.items():
            arguments += ["--set", f"{key}={value}"]
        return arguments

    def start(self) -> None:
        """Start, and return once the broker says where it listens and answers there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder / "output.log"
        process = OwnedProcess(
            "fastlog serve",
            self.command(),
            output,
            cwd=ROOT,
            environment=environment(),
            own_session=self.own_session,
        )
        self.process = process
        process.wait_until(lambda: bool(_listening(process)), START_DEADLINE_S, "ready")
        found = _listening(process)
        assert found is not None
        self.host, self.port = found[1], int(found[2])
        address = (self.host, self.port)
        process.wait_until(lambda: answers_metadata(address), START_DEADLINE_S, "serving")

    def stop(self, deadline_s: float = 30) -> None:
        """TERM: the broker drains, writes the clean marker and exits with 0."""
        assert self.process is not None
        if self.process.terminate(deadline_s) != 0:
            raise self.process.failure("did not stop cleanly")

    def kill(self) -> None:
        """SIGKILL, at once. Harmless when it is not running."""
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        """A clean stop and a start on the same port and data."""
        self.stop()
        self.start()

    def has_clean_marker(self) -> bool:
        return (self.log_folder / CLEAN_MARKER).exists()

    def check_alive(self) -> None:
        """A failure with the broker's output when it crashed under the test."""
        assert self.process is not None
        if not self.process.running():
            raise self.process.failure("crashed")
