"""Writes and compiles a message's Python code: its classes, and a version's reader and writer.

The code of a version is straight-line: which fields exist, which may be null and how lengths travel
is decided here, once, on the first use of that version. Neighbouring fixed-size fields share one
`struct` call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from fastlog.protocol import primitives
from fastlog.protocol.schema import FIXED, Field, Message

Namespace = dict[str, Any]
UNSET: Any = object()


def build_classes(message: Message, struct_base: type, message_base: type) -> dict[str, type]:
    """The class of the message and of each struct in it, by name."""
    lines: list[str] = []
    for name, fields in message.structs.items():
        base = "MessageBase" if name == message.name else "StructBase"
        lines.append(f"class {name}({base}):")
        lines.append(f"    __slots__ = ({''.join(f'{f.name!r}, ' for f in fields)})")
        if not fields:
            continue
        parameters = ", ".join(f"{f.name}={_parameter_default(f)}" for f in fields)
        lines.append(f"    def __init__(self, {parameters}):")
        for f in fields:
            value = f.name
            if _is_fresh(f):
                value = f"{_default(f)} if {f.name} is UNSET else {f.name}"
            lines.append(f"        self.{f.name} = {value}")
    space: Namespace = {"StructBase": struct_base, "MessageBase": message_base, "UNSET": UNSET}
    _compile(lines, message.name, space)
    return {name: space[name] for name in message.structs}


def build_reader(message: Message, classes: dict[str, type], version: int) -> Callable[..., Any]:
    """The function (view, at, end) -> (message, position) for one version."""
    code = _Code(message, version)
    for name in message.structs:
        if name in code.used:
            code.read_struct(name)
    return code.compile(classes, f"read_{message.name}")


def build_writer(message: Message, classes: dict[str, type], version: int) -> Callable[..., None]:
    """The function (message, out) for one version; `out` is a bytearray."""
    code = _Code(message, version)
    for name in message.structs:
        if name in code.used:
            code.write_struct(name)
    return code.compile(classes, f"write_{message.name}")


def _compile(lines: list[str], name: str, space: Namespace) -> None:
    space["__name__"] = __name__
    exec(compile("\n".join(lines) + "\n", f"<generated {name}>", "exec"), space)


def _is_fresh(field: Field) -> bool:
    """Whether each object needs a default of its own, because it can be changed in place."""
    return field.default == [] or (field.is_struct and not field.nullable.high >= 0)


def _default(field: Field) -> str:
    """The default as an expression."""
    if field.is_struct and not field.is_array:
        return f"{field.type}()" if _is_fresh(field) else "None"
    return repr(field.default)


def _parameter_default(field: Field) -> str:
    return "UNSET" if _is_fresh(field) else _default(field)


class _Code:
    """The source of one direction of one version of a message, as it grows."""

    def __init__(self, message: Message, version: int) -> None:
        self.message = message
        self.version = version
        self.flexible = version in message.flexible
        self.compact = "compact_" if self.flexible else ""
        self.lines: list[str] = []
        self.formats: set[str] = set()
        self.used: set[str] = set()
        self._use(message.name)

    def _use(self, name: str) -> None:
        self.used.add(name)
        for field in self.message.structs[name]:
            if self.version in field.versions and field.is_struct and field.type not in self.used:
                self._use(field.type)

    def compile(self, classes: dict[str, type], entry: str) -> Callable[..., Any]:
        space: Namespace = {**vars(primitives), **classes}
        for form in self.formats:
            packer = struct.Struct(">" + form)
            space[f"unpack_{form.replace('?', 't')}"] = packer.unpack_from
            space[f"pack_{form.replace('?', 't')}"] = packer.pack
        _compile(self.lines, f"{entry} version {self.version}", space)
        function: Callable[..., Any] = space[entry]
        return function

    def add(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def present(self, name: str) -> tuple[list[Field], list[Field]]:
        """The fields of a struct in this version: those in order, and the tagged ones by tag."""
        fields = [f for f in self.message.structs[name] if self.version in f.versions]
        tagged = sorted((f for f in fields if f.tag is not None), key=lambda f: f.tag or 0)
        return [f for f in fields if f.tag is None], tagged

    def runs(self, fields: list[Field]) -> Iterator[list[Field]]:
        """The fields in order, neighbouring fixed-size ones together."""
        run: list[Field] = []
        for field in fields:
            if field.type in FIXED and not field.is_array:
                run.append(field)
                continue
            if run:
                yield run
                run = []
            yield [field]
        if run:
            yield run

    def form(self, run: list[Field]) -> tuple[str, int]:
        """The suffix of the `pack` and `unpack` functions of these fields, and their size."""
        form = "".join(FIXED[f.type][0] for f in run)
        self.formats.add(form)
        return form.replace("?", "t"), sum(FIXED[f.type][1] for f in run)

    def is_nullable(self, field: Field) -> bool:
        return self.version in field.nullable

    def least(self, field: Field) -> int:
        """The fewest bytes that a field can take."""
        if field.is_array or field.type in ("bytes", "records"):
            return 1 if self.flexible else 4
        return self.least_of_element(field)

    def least_of_element(self, field: Field) -> int:
        if field.type in FIXED:
            return FIXED[field.type][1]
        if field.is_struct:
            if self.is_nullable(field) and not field.is_array:
                return 1
            ordered, _ = self.present(field.type)
            return sum(self.least(f) for f in ordered) + (1 if self.flexible else 0)
        if field.type == "string":
            return 1 if self.flexible else 2
        return 1 if self.flexible else 4

    # ---- reading

    def read_struct(self, name: str) -> None:
        ordered, tagged = self.present(name)
        self.add(0, f"def read_{name}(view, at, end):")
        for run in self.runs(ordered):
            self.read_run(1, run, "end")
        for field in tagged:
            self.add(1, f"f_{field.name} = {_default(field)}")
        if tagged:
            self.read_tagged(tagged)
        elif self.flexible:
            self.add(1, "at = skip_tags(view, at, end)")
        values = ", ".join(f"{f.name}=f_{f.name}" for f in [*ordered, *tagged])
        self.add(1, f"return {name}({values}), at")

    def read_tagged(self, fields: list[Field]) -> None:
        self.add(1, "tag_count, at = read_varint(view, at, end)")
        self.add(1, "check_tag_count(tag_count)")
        self.add(1, "for _ in range(tag_count):")
        self.add(2, "tag, at = read_varint(view, at, end)")
        self.add(2, "tag_size, at = read_varint(view, at, end)")
        self.add(2, "stop = at + tag_size")
        self.add(2, "if stop > end:")
        self.add(3, "raise DecodeError('a tagged field ends early')")
        for position, field in enumerate(fields):
            self.add(2, f"{'elif' if position else 'if'} tag == {field.tag}:")
            self.read_run(3, [field], "stop")
        self.add(2, "else:")
        self.add(3, "at = stop")
        self.add(2, "if at != stop:")
        self.add(3, "raise DecodeError('a tagged field of another size than its value')")

    def read_run(self, depth: int, run: list[Field], end: str) -> None:
        field = run[0]
        if field.is_array:
            self.read_array(depth, field, end)
        elif field.type in FIXED:
            form, size = self.form(run)
            self.add(depth, f"{', '.join('f_' + f.name for f in run)}, = unpack_{form}(view, at)")
            self.add(depth, f"at += {size}")
        elif field.is_struct and self.is_nullable(field):
            self.formats.add("b")
            self.add(depth, "presence, = unpack_b(view, at)")
            self.add(depth, "at += 1")
            self.add(depth, f"f_{field.name} = None")
            self.add(depth, "if presence >= 0:")
            self.add(depth + 1, f"f_{field.name}, at = read_{field.type}(view, at, {end})")
        else:
            self.add(depth, f"f_{field.name}, at = {self.reader(field)}(view, at, {end})")

    def reader(self, field: Field) -> str:
        """The function that reads a string, bytes or a struct."""
        if field.is_struct:
            return f"read_{field.type}"
        kind = "bytes" if field.type == "records" else field.type
        suffix = "_or_null" if self.is_nullable(field) and not field.is_array else ""
        return f"read_{self.compact}{kind}{suffix}"

    def read_array(self, depth: int, field: Field, end: str) -> None:
        name = f"f_{field.name}"
        least = self.least_of_element(field)
        if least == 0:
            raise ValueError(f"an element of {field.name} may be empty, so its count has no bound")
        self.add(depth, f"count, at = read_{self.compact}count(view, at, {end}, {least})")
        self.add(depth, "if count < 0:")
        if self.is_nullable(field):
            self.add(depth + 1, f"{name} = None")
        else:
            self.add(depth + 1, f"raise DecodeError('{field.name} is null')")
        self.add(depth, "else:")
        depth += 1
        if field.type == "uuid":
            self.add(depth, f"{name}, at = read_uuids(view, at, count)")
        elif field.type in FIXED:
            code = FIXED[field.type][0]
            self.add(depth, f"{name}, at = read_numbers(view, at, count, '{code}')")
        else:
            self.add(depth, f"{name} = []")
            self.add(depth, "for _ in range(count):")
            self.add(depth + 1, f"item, at = {self.reader(field)}(view, at, {end})")
            self.add(depth + 1, f"{name}.append(item)")

    # ---- writing

    def write_struct(self, name: str) -> None:
        ordered, tagged = self.present(name)
        self.add(0, f"def write_{name}(o, out):")
        for field in self.message.structs[name]:
            if self.version not in field.versions and not field.ignorable:
                self.add(1, f"if {self.is_set(field)}:")
                text = f"{name}.{field.name} has no place in version {self.version}"
                self.add(2, f"raise EncodeError('{text}')")
        for run in self.runs(ordered):
            self.write_run(1, run, "out")
        if tagged:
            self.write_tagged(tagged)
        elif self.flexible:
            self.add(1, "out.append(0)")
        self.add(1, "return")

    def is_set(self, field: Field) -> str:
        """The condition that a field has another value than its default."""
        value = f"o.{field.name}"
        if field.default == []:
            return f"{value} or {value} is None"
        if _default(field) == "None":
            return f"{value} is not None"
        return f"{value} != {_default(field)}"

    def write_tagged(self, fields: list[Field]) -> None:
        self.add(1, "tags = []")
        for field in fields:
            self.add(1, f"if {self.is_set(field)}:")
            self.add(2, "part = bytearray()")
            self.write_run(2, [field], "part")
            self.add(2, f"tags.append(({field.tag}, part))")
        self.add(1, "write_tags(out, tags)")

    def write_run(self, depth: int, run: list[Field], out: str) -> None:
        field = run[0]
        value = f"o.{field.name}"
        if field.is_array:
            self.write_array(depth, field, out)
        elif field.type in FIXED:
            form, _ = self.form(run)
            self.add(depth, f"{out} += pack_{form}({', '.join(f'o.{f.name}' for f in run)})")
        elif field.is_struct:
            if self.is_nullable(field):
                self.add(depth, f"if {value} is None:")
                self.add(depth + 1, f"{out}.append(255)")
                self.add(depth, "else:")
                depth += 1
                self.add(depth, f"{out}.append(1)")
            self.add(depth, f"write_{field.type}({value}, {out})")
        else:
            if not self.is_nullable(field):
                self.refuse_null(depth, field, value)
            self.add(depth, f"{self.writer(field)}({out}, {value})")

    def writer(self, field: Field) -> str:
        """The function that writes a string or bytes."""
        kind = "bytes" if field.type == "records" else field.type
        suffix = "_or_null" if self.is_nullable(field) and not field.is_array else ""
        return f"write_{self.compact}{kind}{suffix}"

    def refuse_null(self, depth: int, field: Field, value: str) -> None:
        self.add(depth, f"if {value} is None:")
        text = f"{field.name} is null, which version {self.version} cannot say"
        self.add(depth + 1, f"raise EncodeError('{text}')")

    def write_array(self, depth: int, field: Field, out: str) -> None:
        self.add(depth, f"items = o.{field.name}")
        if self.is_nullable(field):
            self.add(depth, "if items is None:")
            self.add(depth + 1, f"write_{self.compact}count({out}, -1)")
            self.add(depth, "else:")
            depth += 1
        else:
            self.refuse_null(depth, field, "items")
        self.add(depth, f"write_{self.compact}count({out}, len(items))")
        if field.type == "uuid":
            self.add(depth, f"write_uuids({out}, items)")
        elif field.type in FIXED:
            self.add(depth, f"write_numbers({out}, items, '{FIXED[field.type][0]}')")
        else:
            self.add(depth, "for item in items:")
            if field.is_struct:
                self.add(depth + 1, f"write_{field.type}(item, {out})")
            else:
                self.add(depth + 1, f"{self.writer(field)}({out}, item)")
