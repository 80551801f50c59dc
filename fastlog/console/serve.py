"""Runs a broker until TERM or an interrupt; with no option it listens on 127.0.0.1:9092.

  fastlog serve --data /var/lib/fastlog --listen 0.0.0.0:9092 --set num.partitions=4
  fastlog serve --config server.properties          (Kafka's own file, or TOML)

TERM drains what is in flight and writes the clean-shutdown marker; a second TERM ends at once, and
so does a stop that waits for too long for something that does not go on, with exit code 1.
"""

import argparse
import asyncio
import contextlib
import signal

from fastlog import __version__
from fastlog.broker import Broker, StartError
from fastlog.config import ConfigError, Settings, load
from fastlog.config.sources import Given
from fastlog.console.ending import Watch, end_at_once
from fastlog.console.errors import CommandError
from fastlog.console.event_log import configure

PATIENCE_S = 10.0  # longer than the drain may take: for a step of a stop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog serve`."""
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        help="the log folder, or several with commas (log.dirs; default fastlog-data)",
    )
    add("--listen", metavar="HOST:PORT", help="where to listen (default 127.0.0.1:9092)")
    add("--config", metavar="FILE", help="settings: TOML, or a Kafka server.properties")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="one setting, by its name")


def settings_of(arguments) -> Settings:
    """The settings that the command line asks for. Raises CommandError, a line a problem."""
    pairs = list(arguments.set)
    if arguments.data:
        pairs.append(Given("log.dirs", arguments.data, "--data"))
    if arguments.listen:
        pairs.append(Given("listeners", f"PLAINTEXT://{arguments.listen}", "--listen"))
    try:
        return load(arguments.config, pairs)
    except ConfigError as error:
        raise CommandError("\nfastlog: ".join(error.problems)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or arguments.config}: {error.strerror}") from None


def run(arguments) -> int:
    """Returns 0 after a clean stop."""
    settings = settings_of(arguments)
    configure(settings["fastlog.log.format"], settings["fastlog.log.level"])
    return asyncio.run(serve(settings))


class Signals:
    """The first TERM or interrupt asks for a stop; the second ends the process at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.received, number)

    def received(self, number: int) -> None:
        if self.stop.is_set():
            end_at_once(number)
        self.stop.set()


async def serve(settings: Settings) -> int:
    """Starts a broker, says where it is, and stops it when a signal asks for that."""
    signals = Signals()
    broker = Broker(settings)
    try:
        await broker.start()
    except StartError as error:
        await broker.stop()
        raise CommandError(str(error)) from None
    announce(broker)
    waits = [asyncio.create_task(event.wait()) for event in (signals.stop, broker.failed)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    Watch(lambda: broker.waits_for, broker.drain_seconds + PATIENCE_S).start()
    await broker.stop()
    if broker.failed.is_set():
        raise CommandError(f"all log folders have failed: {broker.data}")
    return 0 if broker.stopped_clean else 1


def announce(broker) -> None:
    """Says on stdout where the broker listens and where its data is."""
    with contextlib.suppress(BrokenPipeError):
        for host, port in broker.endpoints:
            shown = f"[{host}]" if ":" in host else host
            print(f"fastlog {__version__} listening on {shown}:{port}")
        print(f"data in {broker.data}", flush=True)
