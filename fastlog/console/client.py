"""The client side of the commands: confluent-kafka, imported only when a command needs it."""

import argparse
import logging
import socket

from fastlog.console.errors import CommandError

DEFAULT_SERVER = "localhost:9092"
TIMEOUT_SECONDS = 10.0


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all commands of the client side share."""
    parser.add_argument(
        "--bootstrap-server",
        "-b",
        metavar="HOST:PORT",
        default=DEFAULT_SERVER,
        help=f"where a broker listens; several with commas (default {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--property",
        "-X",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any setting of librdkafka, for instance -X linger.ms=5",
    )


def pair(text: str, what: str) -> tuple[str, str]:
    """Splits NAME=VALUE. Raises CommandError without an equals sign."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"{what} '{text}' is not NAME=VALUE")
    return name, value


def not_negative(text: str) -> int:
    """For argparse: a whole number from zero on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return number


def confluent():
    """The confluent_kafka module. Raises CommandError with what to install when it is absent."""
    try:
        import confluent_kafka
    except ImportError:
        raise CommandError(
            "this command needs the package confluent-kafka: pip install 'fastlog-broker[cli]'"
        ) from None
    return confluent_kafka


def split_address(text: str) -> tuple[str, int]:
    """HOST:PORT or [IPv6]:PORT. Raises CommandError for anything else."""
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(f"'{text}' is not HOST:PORT")
    return host, int(port)


def check_reachable(servers: str) -> None:
    """Dials the servers in turn, because librdkafka would retry for ever without a word.

    Raises CommandError that names each address and why it failed.
    """
    failures = []
    for server in servers.split(","):
        try:
            socket.create_connection(split_address(server), 5).close()
            return
        except OSError as error:
            failures.append(f"{server.strip()}: {error.strerror or error}")
    raise CommandError(f"no broker answers at {'; '.join(failures)}")


def client_settings(arguments, **settings) -> dict:
    """librdkafka's settings for this command line, after a check that a broker is there."""
    check_reachable(arguments.bootstrap_server)
    logger = logging.getLogger("fastlog.client")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return {
        "bootstrap.servers": arguments.bootstrap_server,
        "client.id": "fastlog-cli",
        "broker.address.family": "any",
        "logger": logger,
        **settings,
        **dict(pair(text, "property") for text in arguments.property),
    }


def make(factory, settings: dict):
    """A client of librdkafka. Raises CommandError for a setting that it does not take."""
    kafka = confluent()
    try:
        return factory(settings)
    except (kafka.KafkaException, TypeError, ValueError) as error:
        raise CommandError(describe(error)) from None


def describe(error: BaseException) -> str:
    """One line for an exception of confluent-kafka, or for any other."""
    inner = error.args[0] if error.args else error
    if hasattr(inner, "str") and hasattr(inner, "name"):
        return f"{inner.str()} ({inner.name()})"
    return str(error) or type(error).__name__


def cluster_metadata(client, topic: str | None = None):
    """The cluster's metadata (of one topic only, when named). Raises CommandError on a timeout."""
    kafka = confluent()
    try:
        return client.list_topics(topic, timeout=TIMEOUT_SECONDS)
    except kafka.KafkaException as error:
        raise CommandError(f"no metadata from the broker: {describe(error)}") from None


def partitions_of(client, topic: str) -> list[int]:
    """The partitions of a topic. Raises CommandError when there is no such topic."""
    found = cluster_metadata(client, topic).topics[topic]
    if found.error is not None:
        raise CommandError(f"topic '{topic}': {found.error.str()} ({found.error.name()})")
    return sorted(found.partitions)
