"""A process that a test owns: output kept for the failure message, stopped by its own id."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


class ProcessFailed(AssertionError):
    """A process of the test ended, hung or answered wrongly; its output is in the message."""


def require_program(name: str, package: str) -> str:
    """The path of a program the test cannot do without."""
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"this test needs `{name}`; on Debian: apt-get install {package}")
    return found


def free_port() -> int:
    """A port of the loopback interface that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _dying_with_us(command: list[str]) -> list[str]:
    """The command, killed by the kernel when the test run itself is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


class OwnedProcess:
    """One child process, its standard output and error in a file.

    In a session of its own no signal of the terminal reaches it, and Linux shares the processors
    out by session before it looks at priorities (autogroup).
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        output: Path,
        *,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        own_session: bool = True,
    ) -> None:
        self.name = name
        self.output = output
        with open(output, "ab") as stream:
            self._start = stream.tell()
            self._process = subprocess.Popen(
                _dying_with_us([str(part) for part in command]),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=own_session,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def text(self) -> str:
        """What this process printed so far (not what an earlier one left in the file)."""
        with open(self.output, "rb") as stream:
            stream.seek(self._start)
            return stream.read().decode(errors="replace")

    def failure(self, what: str) -> ProcessFailed:
        """An error that says what went wrong, and what the process printed last."""
        code = self._process.poll()
        state = "still running" if code is None else f"exit status {code}"
        tail = "\n".join(self.text().splitlines()[-40:])
        return ProcessFailed(f"{self.name} (pid {self.pid}, {state}): {what}\n{tail}")

    def wait_until(self, ready: Callable[[], bool], deadline_s: float, what: str) -> None:
        """Poll `ready` until it holds; the process must stay alive meanwhile."""
        end = time.monotonic() + deadline_s
        while not ready():
            if not self.running():
                raise self.failure(f"ended before {what}")
            if time.monotonic() > end:
                raise self.failure(f"not {what} within {deadline_s} s")
            time.sleep(0.02)

    def wait(self, deadline_s: float) -> int:
        """The exit status; a process that does not end in time is killed and is a failure."""
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            error = self.failure(f"did not end within {deadline_s} s")
            self.kill()
            raise error from None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def terminate(self, deadline_s: float = 30) -> int:
        """TERM, then the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def kill(self) -> None:
        """KILL, and wait until it is gone. Harmless when it has ended."""
        self._process.kill()
        self._process.wait()
