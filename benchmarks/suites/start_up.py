"""From exec to a broker that answers."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METADATA_V1 = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
DEADLINE_S = 30


def _python(code: str) -> str:
    """What a new interpreter prints; it imports what we import."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout


def _serve(folder: Path) -> float:
    """Seconds from exec to the first answer to Metadata; the broker is ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    command = [sys.executable, "-m", "fastlog", "serve", "--data", str(folder)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    began = time.monotonic()
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(
            [*command, "--listen", "{}:{}".format(*address)], env=variables, stderr=output
        )
    try:
        while process.poll() is None and time.monotonic() - began < DEADLINE_S:
            try:
                with socket.create_connection(address, 1) as connection:
                    connection.sendall(METADATA_V1)
                    if connection.recv(4):
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.001)
        raise RuntimeError(f"fastlog serve: {(folder / 'output').read_text()}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


class StartUp:
    SMALL: dict[str, object] = {}

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self):
        self.folder.cleanup()

    def time_import(self):
        _python("import fastlog.broker")

    def track_serve(self):
        """Best of three: a start has no steady state."""
        return min(_serve(Path(tempfile.mkdtemp(dir=self.folder.name))) for _ in range(3))

    def track_modules(self):
        return int(_python("import sys, fastlog.broker; print(len(sys.modules))"))

    track_serve.unit = "seconds"
    track_modules.unit = "modules"
