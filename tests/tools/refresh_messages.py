"""Writes fastlog/protocol/definitions from the facts in the published kafka-clients jars.

  python -m tests.tools.refresh_messages           rewrites the definitions
  python -m tests.tools.refresh_messages --check   says what would change; exit code 1 if any

Two releases are merged: Kafka 4 dropped old versions that clients still send, and Kafka 3.9 lacks
the new ones. Names, types, version ranges, tags and defaults are taken; Kafka's prose is not.
"""

import argparse
import difflib
import json
import keyword
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.cache import KAFKA_39, MESSAGES, Peer, libs

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "fastlog" / "protocol" / "definitions"

# Requests between KRaft controllers, and those of the share coordinator's own state: no client of
# ours sends them, and a cluster on ZooKeeper never needs them.
LEFT_OUT = {52, 53, 54, 55, 57, 58, 59, 62, 63, 64, 70, 73, 80, 81, 82, 83, 84, 85, 86, 87, 94}
IRREGULAR = {"isKRaftController": "is_kraft_controller"}
RESERVED = {"encode", "encode_into", "decode"}


@dataclass
class Range:
    """Versions from `low` to `high`, both included; `high` None is open."""

    low: int
    high: int | None

    @classmethod
    def parse(cls, text: str | None) -> "Range | None":
        if text is None or text == "none":
            return None
        if text.endswith("+"):
            return cls(int(text[:-1]), None)
        low, _, high = text.partition("-")
        return cls(int(low), int(high or low))

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass
class Entry:
    """One field of a message, or one struct shared by several fields."""

    name: str
    type: str
    versions: Range
    nullable: Range | None = None
    tag: int | None = None
    tagged: Range | None = None
    default: str | None = None
    ignorable: bool = False
    fields: list["Entry"] = field(default_factory=list)


@dataclass
class Message:
    name: str
    versions: Range
    flexible: Range | None
    structs: list[Entry]
    fields: list[Entry]


def jar(peer: Peer) -> Path:
    """The kafka-clients jar of an installed peer. PeerMissing: it is not there."""
    return libs(peer) / f"kafka-clients-{peer.version}.jar"


def read_release(path: Path) -> dict[int, dict[str, Message]]:
    """Every message of a jar, by API key and then by `request` or `response`."""
    apis: dict[int, dict[str, Message]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"common/message/\w+(Request|Response)\.json", name):
                continue
            text = archive.read(name).decode()
            text = re.sub(r"(?m)^\s*//.*$|\s//[^\"\n]*$", "", text)
            raw = json.loads(text)
            if raw["validVersions"] != "none" and raw["apiKey"] not in LEFT_OUT:
                apis.setdefault(raw["apiKey"], {})[raw["type"]] = read_message(raw)
    return apis


def read_message(raw: dict) -> Message:
    versions = Range.parse(raw["validVersions"])
    assert versions is not None
    structs = [
        Entry(one["name"], "struct", versions, fields=[read_field(f) for f in one["fields"]])
        for one in raw.get("commonStructs", [])
    ]
    fields = [read_field(f) for f in raw["fields"]]
    return Message(raw["name"], versions, Range.parse(raw["flexibleVersions"]), structs, fields)


def read_field(raw: dict) -> Entry:
    assert "flexibleVersions" not in raw, raw
    versions = Range.parse(raw["versions"])
    assert versions is not None
    default = raw.get("default")
    if isinstance(default, bool):
        default = str(default).lower()
    elif default is not None:
        default = str(default)
        if re.fullmatch(r"-?0x[0-9a-fA-F]+", default):
            default = str(int(default, 16))
    if default in ("0", "false", ""):  # what a field has anyway
        default = None
    return Entry(
        name=snake(raw["name"]),
        type=raw["type"],
        versions=versions,
        nullable=Range.parse(raw.get("nullableVersions")),
        tag=raw.get("tag"),
        tagged=Range.parse(raw.get("taggedVersions")),
        default=default,
        ignorable=bool(raw.get("ignorable", False)),
        fields=[read_field(f) for f in raw.get("fields", [])],
    )


def snake(name: str) -> str:
    """Kafka's field name in snake_case; the way back must give Kafka's name."""
    if name in IRREGULAR:
        return IRREGULAR[name]
    result = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    head, *rest = result.split("_")
    camel = head + "".join(part.capitalize() for part in rest)
    assert camel == name[0].lower() + name[1:], name
    assert not keyword.iskeyword(result) and result not in RESERVED, name
    return result


def merge_range(old: Range | None, new: Range | None, last_old: int) -> Range | None:
    """What both releases say together; `last_old` is the newest version that only the old knows."""
    if old is None:
        return new
    if new is None:
        high = old.high if old.high is not None else last_old
        return Range(old.low, high) if high >= old.low else None
    return Range(min(old.low, new.low), new.high)


def merge_fields(old: list[Entry], new: list[Entry], last_old: int) -> list[Entry]:
    known = {entry.name: entry for entry in old}
    merged = [merge_entry(known.get(entry.name), entry, last_old) for entry in new]
    names = {entry.name for entry in new}
    place = 0
    for entry in old:
        if entry.name in names:
            place = next(i for i, one in enumerate(merged) if one.name == entry.name) + 1
            continue
        versions = merge_range(entry.versions, None, last_old)
        if versions is None:  # every version that had it is in both releases, so it never was sent
            continue
        entry.versions = versions
        merged.insert(place, entry)
        place += 1
    return merged


def merge_entry(old: Entry | None, new: Entry, last_old: int) -> Entry:
    if old is None:
        return new
    assert (old.tag, old.default) == (new.tag, new.default), (old, new)
    assert old.type == new.type or old.fields, (old, new)  # a struct may have a new name
    new.ignorable |= old.ignorable
    versions = merge_range(old.versions, new.versions, last_old)
    assert versions is not None
    new.versions = versions
    new.nullable = merge_range(old.nullable, new.nullable, last_old)
    new.tagged = merge_range(old.tagged, new.tagged, last_old)
    new.fields = merge_fields(old.fields, new.fields, last_old)
    return new


def merge_message(old: Message | None, new: Message | None) -> Message:
    if old is None or new is None:
        result = old or new
        assert result is not None
        return result
    last_old = new.versions.low - 1
    assert (old.flexible is None) == (new.flexible is None), old.name
    versions = merge_range(old.versions, new.versions, last_old)
    assert versions is not None
    return Message(
        name=new.name,
        versions=versions,
        flexible=merge_range(old.flexible, new.flexible, last_old),
        structs=merge_fields(old.structs, new.structs, last_old),
        fields=merge_fields(old.fields, new.fields, last_old),
    )


def lines_of(entry: Entry, depth: int) -> list[str]:
    words = [entry.name, entry.type, str(entry.versions)]
    if entry.type == "struct":
        words = ["struct", entry.name]
    if entry.nullable is not None:
        words.append(f"nullable={entry.nullable}")
    if entry.tag is not None:
        assert str(entry.tagged) == str(entry.versions), entry
        words.append(f"tag={entry.tag}")
    if entry.default is not None:
        words.append(f"default={entry.default}")
    if entry.ignorable:
        words.append("ignorable")
    lines = ["  " * depth + " ".join(words)]
    for child in entry.fields:
        lines += lines_of(child, depth + 1)
    return lines


def text_of(message: Message) -> str:
    flexible = f" flexible={message.flexible}" if message.flexible else ""
    lines = [f"{message.name} {message.versions}{flexible}"]
    for entry in [*message.structs, *message.fields]:
        lines += lines_of(entry, 1)
    return "\n".join(lines)


def definitions() -> dict[str, str]:
    """The text of every definition file, by its name."""
    old, new = read_release(jar(KAFKA_39)), read_release(jar(MESSAGES))
    files = {}
    modules = {}
    for key in sorted(old.keys() | new.keys()):
        kinds = {}
        for kind in ("request", "response"):
            kinds[kind] = merge_message(old.get(key, {}).get(kind), new.get(key, {}).get(kind))
        name = kinds["request"].name.removesuffix("Request")
        modules[key] = snake_of_api(name)
        files[f"{modules[key]}.py"] = (
            f'"""{name}: the facts of its request and response. See the package."""\n\n'
            f"KEY = {key}\n"
            f'REQUEST = """\n{text_of(kinds["request"])}\n"""\n'
            f'RESPONSE = """\n{text_of(kinds["response"])}\n"""\n'
        )
    index = "".join(f'    {key}: "{module}",\n' for key, module in modules.items())
    files["__init__.py"] = HEAD + "MODULES = {\n" + index + "}\n"
    return files


RELEASES = f"{KAFKA_39.version} and {MESSAGES.version}"
HEAD = f'''"""Facts of the protocol, a module an API: kafka-clients {RELEASES}.

Written by tests/tools/refresh_messages.py, which merges both releases; do not edit by hand. A
message is its name and versions, then a line for each field: name, type, versions, and what else
holds. Children are indented. `struct` begins a struct that several fields share. `nullable` gives
the versions in which null may be sent, `tag` says that the field travels tagged, `ignorable` that
its value may be lost where the version has no such field. That a version is defined here does not
mean that fastlog serves it: fastlog.api.registry decides.
"""

# API key -> module
'''


def snake_of_api(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    wanted = definitions()
    present = {path.name: path.read_text() for path in DEFINITIONS.glob("*.py")}
    stale = sorted(n for n in wanted.keys() | present.keys() if wanted.get(n) != present.get(n))
    for name in stale:
        if check:
            old, new = present.get(name, ""), wanted.get(name, "")
            sys.stdout.writelines(
                difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, name)
            )
        elif name in wanted:
            (DEFINITIONS / name).write_text(wanted[name])
        else:
            (DEFINITIONS / name).unlink()
    print(f"{len(wanted)} definition files, {len(stale)} stale")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
