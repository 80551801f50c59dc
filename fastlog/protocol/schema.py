"""Reads a definition (see fastlog.protocol.definitions) into tuples that code is generated from."""

from __future__ import annotations

from typing import Any, NamedTuple

# The `struct` code of each fixed-size type, and its size in bytes.
FIXED = {
    "bool": ("?", 1),
    "int8": ("b", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "int64": ("q", 8),
    "float64": ("d", 8),
    "uuid": ("16s", 16),
}


class Versions(NamedTuple):
    """A range of versions, both ends included."""

    low: int
    high: int

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and self.low <= version <= self.high


NEVER = Versions(0, -1)


class Field(NamedTuple):
    """One field. `type` is a primitive or a struct, `default` its value where it is absent."""

    name: str
    type: str
    is_array: bool
    versions: Versions
    nullable: Versions
    tag: int | None
    default: Any
    ignorable: bool

    @property
    def is_struct(self) -> bool:
        return self.type[0].isupper()


class Message(NamedTuple):
    """One message: `structs` holds each struct's fields, the message's own under its own name."""

    name: str
    versions: Versions
    flexible: Versions
    structs: dict[str, list[Field]]


def parse(text: str) -> Message:
    """The message that a definition describes."""
    head, *lines = text.strip().splitlines()
    name, versions, *rest = head.split()
    flexible = _versions(rest[0].removeprefix("flexible=")) if rest else NEVER
    structs: dict[str, list[Field]] = {name: []}
    owners = [name]  # the struct that a line of each depth belongs to
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        if words[0] == "struct":
            child = words[1]
        else:
            field = _field(words)
            structs[owners[depth - 1]].append(field)
            child = field.type
        owners[depth:] = [child]
        if child[0].isupper():
            structs.setdefault(child, [])
    return Message(name, _versions(versions), flexible, structs)


def _field(words: list[str]) -> Field:
    name, kind, versions, *rest = words
    options = dict(word.partition("=")[::2] for word in rest)
    is_array = kind.startswith("[]")
    kind = kind.removeprefix("[]")
    tag = options.get("tag")
    return Field(
        name=name,
        type=kind,
        is_array=is_array,
        versions=_versions(versions),
        nullable=_versions(options["nullable"]) if "nullable" in options else NEVER,
        tag=None if tag is None else int(tag),
        default=_default(kind, is_array, options.get("default")),
        ignorable="ignorable" in options,
    )


def _default(kind: str, is_array: bool, text: str | None) -> Any:
    if text == "null" or (kind == "records" and text is None):
        return None
    if is_array:
        return []
    if kind == "bool":
        return text == "true"
    if kind == "float64":
        return float(text or 0)
    if kind == "uuid":
        return bytes(16)
    if kind in FIXED:
        return int(text or 0)
    return {"string": text or "", "bytes": b""}.get(kind)


def _versions(text: str) -> Versions:
    if text.endswith("+"):
        return Versions(int(text[:-1]), 0x7FFF)
    low, _, high = text.partition("-")
    return Versions(int(low), int(high or low))
