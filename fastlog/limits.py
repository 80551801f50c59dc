"""The settings that bound connections and requests, as the data plane takes them."""

import socket

from fastlog.config import Settings
from fastlog_ext.reactor import DataPlane

# Kafka measures the rate of new connections over the last ten seconds.
BURST_SECONDS = 10
REQUEST_MEMORY = 512 << 20


class UnknownHost(ValueError):
    """A host of max.connections.per.ip.overrides has no address."""


def request_memory(settings: Settings) -> int:
    """Bytes of requests that may be in memory. Half of it is for those that have begun."""
    given = settings["queued.max.request.bytes"]
    return given if given > 0 else max(REQUEST_MEMORY, 2 * settings["socket.request.max.bytes"])


def limit_connections(plane: DataPlane, settings: Settings) -> None:
    """Sets every bound on connections, before the start. Raises UnknownHost."""
    idle_ms = settings["connections.max.idle.ms"]
    rate = settings["max.connection.creation.rate"]
    plane.limit_connections(
        in_all=settings["max.connections"],
        per_address=settings["max.connections.per.ip"],
        overrides=[(address_of(host), most) for host, most in settings.connection_overrides],
        per_second=max(rate, 1),  # Kafka never delays one by more than a second
        burst_seconds=BURST_SECONDS if rate else 1,
        idle_ms=0 if idle_ms < 0 else max(idle_ms, 1),
        first_request_ms=settings["fastlog.first.request.timeout.ms"],
        receive_ms=settings["fastlog.receive.timeout.ms"],
    )


def address_of(host: str) -> str:
    """The first address of a host, in numbers."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnknownHost(f"max.connections.per.ip.overrides: {host}: {error}") from None
    return str(found[0][4][0])
