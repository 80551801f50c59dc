"""What a storm of hostile requests does to a broker and to its other clients."""

import collections
import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.peers.fastlog import ROOT, FastlogBroker

Milliseconds = dict[str, list[float]]


def status_mib(broker: FastlogBroker, name: str) -> float:
    assert broker.process is not None
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def resident_mib(broker: FastlogBroker) -> float:
    return status_mib(broker, "VmRSS")


def most_resident_mib(broker: FastlogBroker) -> float:
    """Since the start, or since `forget_most_resident`."""
    return status_mib(broker, "VmHWM")


def forget_most_resident(broker: FastlogBroker) -> None:
    assert broker.process is not None
    Path(f"/proc/{broker.process.pid}/clear_refs").write_text("5")


def cpu_seconds(broker: FastlogBroker) -> float:
    assert broker.process is not None
    stat = Path(f"/proc/{broker.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Light:
    """What other clients (tests.hostile.light) of a broker saw, each time they were there."""

    def __init__(self, broker: FastlogBroker) -> None:
        self.broker = broker
        self.found: dict[str, Milliseconds] = {}

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """One is there until the block ends; it must have got whatever it asked for."""
        command = [sys.executable, "-m", "tests.hostile.light"]
        command += [self.broker.host, str(self.broker.port)]
        light = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield
            out, _ = light.communicate("", 60)
        finally:
            light.kill()
            light.wait()
        assert light.returncode == 0
        known = self.found.setdefault(what, collections.defaultdict(list))
        for kind, milliseconds in json.loads(out).items():
            known[kind] += milliseconds

    def shown(self) -> str:
        """A line for each time, and how often it took as long at the 99th percentile as before."""
        first = next(iter(self.found.values()))
        lines = []
        for what, found in self.found.items():
            parts = []
            for kind, times in found.items():
                p50, p99, most = (percentile(times, share) for share in (0.5, 0.99, 1))
                ratio = p99 / percentile(first[kind], 0.99)
                parts.append(
                    f"{kind} p50 {p50:.2f} p99 {p99:.2f} ({ratio:.1f}) max {most:.1f} ms"
                    f" of {len(times)}"
                )
            lines.append(f"{what:>12}: {', '.join(parts)}")
        return "\n".join(lines)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(len(values) * share) - 1] if values else math.nan
