"""The same loads on fastlog, Kafka 3.9, Kafka 4 and the bare machine, interleaved in one run.

    ./dev bench peers                        all rows; the table, into .dev/peers.json the values
    ./dev bench peers --rows produce,latency --brokers fastlog,3.9 --repetitions 1
    ./dev bench peers --publish              and writes README.md and docs/
    ./dev bench peers --from .dev/peers.json --publish          without measuring again

`limits` is what the machine can do at all (receive, CRC, write; sendfile and receive), `kload`
loads a broker with encoded batches at almost no cost of its own, `rdload` goes through librdkafka.
The brokers of the loads run through the whole comparison, after a first round that does not count,
so that Java is warm; each load has fresh files, and the guest's memory is warmed before it. What
looks at a start, at rest or at one reactor starts a broker of its own.
"""

import argparse
import contextlib
import dataclasses
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from subprocess import SubprocessError

from benchmarks.peers import goals, loads, picture, rest
from benchmarks.peers.brokers import COLUMNS, Broker, Fastlog, new_broker
from benchmarks.peers.figures import LIMIT, Figures, conditions, put_between_markers, table
from tests.peers.kafka import running_zookeeper
from tests.tools.report import ROOT

ROWS = ("produce", "consume", "records", "latency", "rest", "partitions", "reactors")
RAW = ROOT / ".dev" / "peers.json"
PICTURE = ROOT / "docs" / "performance.svg"

Steps = Iterator[tuple[str, loads.Measured]]


def machine_name() -> str:
    """What the figures were measured on, in a few words."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    cores = len(os.sched_getaffinity(0))
    name = cpu[1].strip() if cpu else platform.machine()
    gigabytes = int(memory[1]) * 1024 / 1e9 if memory else 0
    return f"{name}, {cores} cores, {gigabytes:.0f} GB, Linux {platform.release()}"


def selected_loads(rows: set[str]) -> list:
    """The loads that the chosen rows need."""
    found = []
    for load in loads.LOADS:
        if not isinstance(load, loads.Bytes):
            found += [load] if load.group in rows else []
        elif "consume" in rows and load.fetched:
            found.append(load)
        elif "produce" in rows:
            found.append(dataclasses.replace(load, fetched=""))
    return found


class Comparison:
    """One run: its brokers, its figures and what went wrong."""

    def __init__(self, machine: loads.Machine, zookeeper: str, arguments) -> None:
        self.machine, self.zookeeper, self.arguments = machine, zookeeper, arguments
        self.rows: set[str] = arguments.rows
        about = {"machine": machine_name(), "date": date.today().isoformat()}
        sizes = {"repetitions", "megabytes", "seconds"}
        self.figures = Figures({**about, **{name: getattr(arguments, name) for name in sizes}})
        self.failures: list[str] = []
        self.many = {
            column: new_broker(column, machine.folder / f"many-{number}", zookeeper)
            for number, column in enumerate(arguments.brokers)
        }

    def take(self, column: str, steps: Steps, counts: bool = True) -> None:
        """Adds what `steps` yield. One that fails is told, and the rest goes on."""
        try:
            for row, measured in steps:
                values = " ".join(f"{name}={value:g}" for name, value in measured.items())
                print(f"  {row:<28} {column:<16} {values}", file=sys.stderr, flush=True)
                if counts:
                    self.figures.add(row, column, measured)
        except (RuntimeError, OSError, AssertionError, SubprocessError) as error:
            self.failures.append(f"{column}: {error}")
            print(f"  FAILED {column}: {error}", file=sys.stderr, flush=True)

    def loads_once(self, brokers: list[Broker], counts: bool) -> None:
        """Every load once on everything, load by load, so that a noisy minute meets all columns."""
        for load in selected_loads(self.rows):
            if counts and isinstance(load, loads.Bytes):
                self.take(LIMIT, load.on_machine(self.machine))
            for broker in brokers:
                self.take(broker.column, load.on_broker(self.machine, broker), counts)

    def own_brokers(self, repetition: int, columns: list[str]) -> None:
        """What needs a start of its own."""
        for column in columns:
            folder = self.machine.folder / f"rest-{repetition}-{columns.index(column)}"
            if "rest" in self.rows:
                self.take(column, rest.at_rest(column, folder, self.zookeeper))
            if "partitions" in self.rows:
                self.take(column, rest.many_partitions(self.many[column]))
        for count in (1, 2) if "reactors" in self.rows and Fastlog.column in columns else ():
            folder = self.machine.folder / f"reactors-{repetition}-{count}"
            self.take(Fastlog.column, rest.reactors(self.machine, folder, count))

    def run(self) -> None:
        columns = list(self.arguments.brokers)
        brokers = []
        with contextlib.ExitStack() as started:
            for number, column in enumerate(columns if selected_loads(self.rows) else []):
                folder = self.machine.folder / f"loads-{number}"
                brokers.append(new_broker(column, folder, self.zookeeper))
                started.callback(brokers[-1].kill)
                brokers[-1].start()
            print("first round, which does not count", file=sys.stderr)
            with smaller(self.machine):
                self.loads_once(brokers, counts=False)
            for repetition in range(self.arguments.repetitions):
                print(f"round {repetition + 1} of {self.arguments.repetitions}", file=sys.stderr)
                self.loads_once(brokers, counts=True)
                for broker in brokers:
                    resident = {"rss_mb": broker.resident_mb()}
                    self.figures.add("after the loads", broker.column, resident)
                self.own_brokers(repetition, columns)
                brokers = brokers[1:] + brokers[:1]
                self.figures.save(self.arguments.output)


@contextlib.contextmanager
def smaller(machine: loads.Machine) -> Iterator[None]:
    """A third of the size, for the round that does not count."""
    size, seconds = machine.megabytes, machine.seconds
    machine.megabytes, machine.seconds = size / 3, 1
    yield
    machine.megabytes, machine.seconds = size, seconds


def names(text: str, known: tuple[str, ...]) -> list[str]:
    """The known names that contain one of those given. Raises for one that is not known."""
    asked = text.split(",")
    for part in asked:
        if not any(part in name for name in known):
            raise argparse.ArgumentTypeError(f"'{part}' is none of {', '.join(known)}")
    return [name for name in known if any(part in name for part in asked)]


def parse(argv: list[str] | None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./dev bench peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rows", type=lambda t: set(names(t, ROWS)), default=set(ROWS), help=",".join(ROWS))
    add("--brokers", type=lambda t: names(t, COLUMNS), default=list(COLUMNS), help="by a part")
    add("--repetitions", type=int, default=5)
    add("--megabytes", type=int, default=300, help="size of each load")
    add("--seconds", type=int, default=4, help="length of a latency run")
    add("--output", type=Path, default=RAW, help="all values, as JSON (%(default)s)")
    add("--from", type=Path, dest="sources", nargs="+", help="what earlier runs wrote, as one")
    add("--publish", action="store_true", help="write README.md, docs/performance.md and .svg")
    return parser.parse_args(argv)


def publish(figures: Figures) -> None:
    """The picture and the table for README.md, the bounds for docs/performance.md."""
    PICTURE.write_text(picture.draw(figures))
    shown = f"![Broker CPU, latency and memory beside Kafka]({PICTURE.relative_to(ROOT)})"
    parts = [shown, "", conditions(figures), table(figures)]
    put_between_markers(ROOT / "README.md", "\n".join(parts))
    put_between_markers(ROOT / "docs" / "performance.md", goals.table(figures))


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when every row was measured on every broker."""
    arguments = parse(argv)
    failures: list[str] = []
    if arguments.sources:
        figures = Figures.load(*arguments.sources)
    else:
        began = time.monotonic()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # 10,000 connections
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
            zookeeper = stack.enter_context(running_zookeeper(scratch / "zookeeper"))
            machine = loads.Machine(scratch, arguments.megabytes, arguments.seconds)
            comparison = Comparison(machine, zookeeper, arguments)
            comparison.run()
        figures, failures = comparison.figures, comparison.failures
        print(f"{(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    print(conditions(figures), table(figures), goals.table(figures), sep="\n")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    if arguments.publish and not failures:
        publish(figures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
