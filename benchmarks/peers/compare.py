"""The same load on fastlog, on Apache Kafka 3.9 and on the bare machine, interleaved in one run.

    ./dev bench peers [--repetitions 5] [--megabytes 500] [--output FILE]

`limits` is what the machine can do at all (receive, CRC, write; sendfile and receive); `kload`
loads either broker with pre-encoded batches at almost no cost of its own. Broker CPU seconds per GB
(user and system, from /proc) is the figure that repeats; MB/s only compares within one run.
Medians of interleaved repetitions, with fresh topics and the guest's memory warmed before each.
"""

import argparse
import contextlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import KafkaBroker, running_zookeeper
from tests.peers.wire import answers_metadata

HERE = Path(__file__).parent
CHUNKS = {"1 MiB": 1 << 20, "128 KiB": 128 << 10, "16 KiB": 16 << 10}
# Kafka's own default limit is 1 MiB of batch; a batch of 1 MiB must pass in both.
COMMON = {"message.max.bytes": 4 << 20, "num.partitions": 1}


def compile_tools(folder: Path) -> None:
    """Builds `limits` and `kload` with the machine's compiler."""
    for name in ("limits", "kload"):
        command = ["gcc", "-O2", "-msse4.2", "-pthread", "-w"]
        subprocess.run([*command, str(HERE / f"{name}.c"), "-o", str(folder / name)], check=True)


def output_of(*command: object) -> str:
    """What a tool printed. Raises with its own words when it failed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


class Figures:
    """Measured values by (row, column): `add` one a repetition, read the medians."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, row: str, column: str, cpu: float, rate: float) -> None:
        self.values.setdefault((row, column), []).append((cpu, rate))

    def cell(self, row: str, column: str) -> str:
        found = self.values.get((row, column))
        if not found:
            return "-"
        cpu, rate = (statistics.median(part) for part in zip(*found, strict=True))
        return f"{cpu:.2f} / {rate:,.0f}"

    def ratio(self, row: str, column: str, base: str) -> str:
        own, limit = self.values.get((row, column)), self.values.get((row, base))
        if not own or not limit:
            return "-"
        cpu = statistics.median(v[0] for v in own) / statistics.median(v[0] for v in limit)
        return f"{cpu:.2f}x"


def run_limits(tools: Path, scratch: Path, megabytes: int, figures: Figures) -> None:
    """The bare machine, once for each chunk size."""
    for label, chunk in CHUNKS.items():
        file = scratch / "limit.bin"
        for mode in ("produce", "consume"):
            output_of(tools / "limits", "warm", 2500)
            text = output_of(tools / "limits", mode, file, megabytes, chunk)
            rate, cpu = re.search(r"(\d+) MB/s server_cpu_s_per_GB ([\d.]+)", text).groups()
            figures.add(f"{mode} {label}", "limit", float(cpu), float(rate))
        file.unlink()


def kload(tools: Path, mode: str, *arguments: object) -> tuple[float, float]:
    """(broker CPU seconds per GB, MB/s) of one kload run."""
    text = output_of(tools / "kload", mode, *arguments)
    fields = dict(re.findall(r"(\S+)=([\d.]+)", text))
    return float(fields["broker_cpu_s_per_GB"]), float(fields["MB/s"])


def run_broker(tools: Path, name: str, broker, repetition: int, megabytes: int, figures) -> None:
    """One broker, once for each chunk size: produce with five in flight, then consume it."""
    pid = broker.process.pid
    for label, chunk in CHUNKS.items():
        topic = f"bench-{repetition}-{chunk}"
        metadata = answers_metadata((broker.host, broker.port))
        assert metadata
        output_of(*create_command(broker, topic))
        output_of(tools / "limits", "warm", 2500)
        record = min(1000, chunk // 4)
        cpu, rate = kload(
            tools, "produce", broker.port, topic, 1, record, chunk, 1, 5, megabytes, pid
        )
        figures.add(f"produce {label}", name, cpu, rate)
        output_of(tools / "limits", "warm", 2500)
        cpu, rate = kload(tools, "fetch", broker.port, topic, 1, chunk, megabytes * 0.95, pid)
        figures.add(f"consume {label}", name, cpu, rate)


def create_command(broker, topic: str) -> list[object]:
    """Creates a topic through the public protocol, the same way for both brokers."""
    command = [sys.executable, "-m", "fastlog", "topic", "create", topic, "--partitions", 1]
    return [*command, "--replication-factor", 1, "--bootstrap-server", broker.address]


def resident_mb(pid: int) -> float:
    """RSS in MB (10^6 bytes)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def start_up(broker) -> tuple[float, float, float]:
    """(seconds from exec to the first Metadata answer, CPU seconds by then, idle RSS in MB)."""
    before = time.monotonic()
    broker.start()
    seconds = time.monotonic() - before
    pid = broker.process.pid
    cpu = cpu_seconds(pid)
    time.sleep(3)
    return seconds, cpu, resident_mb(pid)


def tables(figures: Figures, starts: dict[str, list], arguments) -> str:
    """Both tables as Markdown."""
    lines = [
        f"{platform.machine()}, {arguments.repetitions} interleaved repetitions, "
        f"{arguments.megabytes} MB each; broker CPU seconds per GB / MB/s, medians.",
        "",
        "| load | machine's limit | fastlog | Kafka 3.9 | fastlog / limit | Kafka / limit |",
        "|---|---|---|---|---|---|",
    ]
    for mode in ("produce", "consume"):
        for label in CHUNKS:
            row = f"{mode} {label}"
            cells = [figures.cell(row, column) for column in ("limit", "fastlog", "Kafka 3.9")]
            ratios = [figures.ratio(row, column, "limit") for column in ("fastlog", "Kafka 3.9")]
            lines.append(f"| {' | '.join([row, *cells, *ratios])} |")
    lines += ["", "| | fastlog | Kafka 3.9 |", "|---|---|---|"]
    names = ["exec to first Metadata answer, s", "CPU seconds by then", "idle RSS, MB"]
    for index, name in enumerate(names):
        cells = [
            f"{statistics.median(s[index] for s in starts[peer]):.2f}"
            for peer in ("fastlog", "Kafka 3.9")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Runs all of it and prints the tables. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--output", type=Path, help="write the tables here too")
    arguments = parser.parse_args(argv)
    figures, starts = Figures(), {"fastlog": [], "Kafka 3.9": []}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        zk = stack.enter_context(running_zookeeper(scratch / "zk"))
        compile_tools(scratch)
        for repetition in range(arguments.repetitions):
            print(f"repetition {repetition + 1} of {arguments.repetitions}", file=sys.stderr)
            run_limits(scratch, scratch, arguments.megabytes, figures)
            peers = {
                "fastlog": FastlogBroker(scratch / f"f{repetition}", COMMON),
                "Kafka 3.9": KafkaBroker(scratch / f"k{repetition}", zk, COMMON),
            }
            for name, broker in peers.items():
                try:
                    starts[name].append(start_up(broker))
                    run_broker(scratch, name, broker, repetition, arguments.megabytes, figures)
                finally:
                    broker.kill()
    text = tables(figures, starts, arguments)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
