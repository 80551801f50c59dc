"""docs/settings.md out of the table: `python -m fastlog.config > docs/settings.md`."""

from fastlog.config.profiles import HARDENED
from fastlog.config.setting import Setting, Status, text_of
from fastlog.config.table import BROKER, SECTIONS, TOPIC
from fastlog.config.tables import own

_HEAD = """# Settings

<!-- Made by `python -m fastlog.config` from the table in fastlog/config/tables; change it there.
-->

Names, types and defaults are Apache Kafka 3.9's. A value comes from `--set key=value`, before the
environment (`num.partitions` is `FASTLOG_NUM_PARTITIONS`; `fastlog.reactors` is
`FASTLOG_REACTORS`), before the file given by `--config` (TOML, or a Kafka `server.properties`),
before the default. An unknown key, a wrong type or an impossible combination stops the start, and
every problem is told at once with its file and line.

What a setting does today:

- **works**: it has the effect described.
- **not in this version**: the effect is not there yet. The setting is refused, except for a value
  that describes what fastlog does anyway, named in the column *value*.
- **no effect**: fastlog is built in a way that leaves the setting without meaning. It is
  accepted, and a line at start says so.
- **refused**: it names something fastlog does not have (a Java class, the KRaft quorum, old
  record formats).

In this version nothing is compacted and nothing is forced to disk at intervals.
"""


_PROFILE = """## The hardened profile

`fastlog.profile=hardened` sets these for a broker that strangers can reach. Each can be set
otherwise beside it: what is given explicitly, wherever, comes before the profile.

| setting | by default | hardened |
|---|---|---|"""


def document() -> str:
    parts = [_HEAD]
    for title, rows in SECTIONS.items():
        parts.append(_section(title, rows))
        if rows is own.ROWS:
            parts.append(_hardened())
    parts.append(_section("Topics", TOPIC.values(), topic=True))
    return "\n".join(parts)


def _hardened() -> str:
    lines = [
        f"| `{name}` | {_code(BROKER[name].default)} | {_code(value)} |"
        for name, value in sorted(HARDENED.items())
    ]
    return "\n".join([_PROFILE, *lines]) + "\n"


def _section(title: str, rows, topic: bool = False) -> str:
    lines = [
        f"## {title}",
        "",
        "| setting | type | value | today | what it is |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(row, topic) for row in sorted(rows, key=_order)]
    return "\n".join(lines) + "\n"


def _order(row: Setting) -> tuple[int, str]:
    return list(Status).index(row.status), row.name


def _line(row: Setting, topic: bool) -> str:
    notes = row.doc
    if row.check is not None and row.status is Status.WORKS:
        notes += f" Allowed: {row.check.describe()}."
    if topic and row.broker_names:
        notes += " Default from " + ", then ".join(f"`{name}`" for name in row.broker_names) + "."
    cells = (f"`{row.name}`", row.kind.value.lower(), _value(row), row.status.value, notes)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(row: Setting) -> str:
    """The default; for what is not there yet, the only values accepted beside Kafka's default."""
    if row.status in (Status.PLANNED, Status.REFUSED):
        kafka = f"Kafka's default: {_code(row.default)}"
        return f"only {', '.join(_code(v) for v in row.today)} ({kafka})" if row.today else kafka
    if row.kafka_default is not None:
        return f"{_code(row.default)} (Kafka: {_code(row.kafka_default)})"
    return _code(row.default)


def _code(value) -> str:
    text = text_of(value)
    return f"`{text}`" if text else "not set"
