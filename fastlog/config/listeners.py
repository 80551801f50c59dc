"""The listeners a broker opens and the addresses it tells clients."""

from typing import NamedTuple

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SERVED = ("PLAINTEXT",)


class Listener(NamedTuple):
    """One endpoint. An empty host means every interface; port 0 lets the system choose."""

    name: str
    host: str
    port: int
    protocol: str = "PLAINTEXT"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


def parse_protocol_map(text: str) -> tuple[dict[str, str], list[str]]:
    """listener.security.protocol.map -> protocol by listener name, and problems."""
    found, problems = {}, []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, protocol = entry.partition(":")
        name, protocol = name.strip().upper(), protocol.strip().upper()
        if not colon or not name or protocol not in PROTOCOLS:
            problems.append(f"{entry} is not LISTENER:PROTOCOL with one of {', '.join(PROTOCOLS)}")
        elif name in found:
            problems.append(f"listener {name} is mapped twice")
        else:
            found[name] = protocol
    return found, problems


def parse_listeners(text: str, protocols: dict[str, str]) -> tuple[list[Listener], list[str]]:
    """NAME://host:port, comma separated -> listeners, and problems."""
    found: list[Listener] = []
    problems: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        listener = _parse_one(entry)
        if isinstance(listener, str):
            problems.append(listener)
            continue
        name, host, port = listener
        protocol = protocols.get(name)
        if protocol is None:
            problems.append(f"listener {name} is missing in listener.security.protocol.map")
        elif protocol not in SERVED:
            problems.append(f"{entry}: {protocol} is not supported in this version of fastlog")
        elif any(other.name == name for other in found):
            problems.append(f"listener {name} is given twice")
        else:
            found.append(Listener(name, host, port, protocol))
    if not found and not problems:
        problems.append("at least one listener is needed")
    return found, problems


def _parse_one(entry: str) -> tuple[str, str, int] | str:
    name, scheme, address = entry.partition("://")
    host, colon, port = address.rpartition(":")
    if not scheme or not name or not colon or not port.isascii() or not port.isdigit():
        return f"{entry} is not NAME://host:port"
    if int(port) > 65535:
        return f"{entry}: the port is above 65535"
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if ":" in host and not bracketed:
        return f"{entry}: an IPv6 address goes in brackets"
    return name.upper(), host, int(port)


def parse_overrides(text: str) -> tuple[list[tuple[str, int]], list[str]]:
    """host:count, comma separated -> pairs, and problems. An IPv6 address may be in brackets."""
    found: list[tuple[str, int]] = []
    problems: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, colon, count = entry.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not count.isascii() or not count.isdigit():
            problems.append(f"{entry} is not host:count")
        elif any(other == host for other, _ in found):
            problems.append(f"{host} is given twice")
        else:
            found.append((host, min(int(count), (1 << 31) - 1)))
    return found, problems


def is_any_address(host: str) -> bool:
    """Whether the host stands for every interface: empty, or 0.0.0.0 or :: in any spelling."""
    return not host.strip("0.:")


def check_together(listeners: list[Listener], advertised: list[Listener]) -> list[str]:
    """Problems that only both lists show."""
    problems = []
    ports = [(one.host, one.port) for one in listeners if one.port]
    problems += [
        f"port {port} of {host or 'every interface'} is used by two listeners"
        for host, port in sorted(set(ports))
        if ports.count((host, port)) > 1
    ]
    names = {one.name for one in listeners}
    for one in advertised:
        if one.name not in names:
            problems.append(f"advertised.listeners names {one.name}, which listeners does not")
        if is_any_address(one.host):
            problems.append(
                f"advertised.listeners cannot name {one}: no client can reach "
                "an address that means every interface"
            )
    return problems
