"""The one table of every setting, by name, and the search for the name a user meant."""

from fastlog.config.setting import Setting
from fastlog.config.tables import (
    cluster,
    coordinators,
    network,
    own,
    remote,
    security,
    storage,
    topic,
)

SECTIONS = {
    "fastlog's own": own.ROWS,
    "Listeners, connections, requests": network.ROWS,
    "Logs": storage.ROWS,
    "Broker and cluster": cluster.ROWS,
    "Groups and transactions": coordinators.ROWS,
    "Security": security.ROWS,
    "Tiered storage": remote.ROWS,
}

BROKER: dict[str, Setting] = {row.name: row for rows in SECTIONS.values() for row in rows}
TOPIC: dict[str, Setting] = {row.name: row for row in topic.ROWS}


def nearest(name: str, known=BROKER) -> str | None:
    """The known name that looks most like `name`, or None when nothing does."""
    from difflib import get_close_matches  # only a start that fails pays for it

    found = get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None


def unknown(name: str) -> str:
    """What to say about a name that is no broker setting."""
    if name in TOPIC and TOPIC[name].broker_names:
        return f"{name} belongs to a topic; for the broker it is {TOPIC[name].broker_names[0]}"
    if name.startswith("listener.name."):
        return "settings of a single listener are not supported in this version of fastlog"
    close = nearest(name)
    return f"unknown setting {name}" + (f"; the nearest is {close}" if close else "")
