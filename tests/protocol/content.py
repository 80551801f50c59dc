"""Made-up content for every message and version, also as the JSON that Kafka's classes read."""

import base64
import random
from typing import Any

from fastlog.protocol import messages, schema
from fastlog.protocol.definitions import MODULES
from fastlog.protocol.errors import ErrorCode
from tests.tools.refresh_messages import IRREGULAR

RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
CAMEL = {value: key for key, value in IRREGULAR.items()}


def every_version() -> list[tuple[type[messages.Message], int]]:
    """Every message class with each of its versions."""
    found = []
    for key in MODULES:
        api = messages.get(key)
        for message in (api.request, api.response):
            low, high = message.SCHEMA.versions
            found += [(message, version) for version in range(low, high + 1)]
    return found


class Maker:
    """Makes messages from a seed. `mild` keeps numbers to what kio's richer types can hold."""

    def __init__(self, seed: object, mild: bool = False) -> None:
        self.random = random.Random(repr(seed))
        self.mild = mild

    def message(self, message_class: type[messages.Message], version: int) -> messages.Message:
        return self.struct(message_class, message_class.SCHEMA.name, version)

    def struct(self, message_class: Any, name: str, version: int) -> Any:
        result = message_class._classes[name]()
        for field in message_class.SCHEMA.structs[name]:
            if version in field.versions:
                setattr(result, field.name, self.value(message_class, field, version))
        return result

    def value(self, message_class: Any, field: schema.Field, version: int) -> Any:
        if version in field.nullable and self.random.random() < 0.3:
            return None
        if field.tag is not None and self.random.random() < 0.3:
            return self.default(message_class, field)
        if field.is_array:
            count = self.random.choice([0, 1, 2, 3])
            return [self.one(message_class, field, version) for _ in range(count)]
        return self.one(message_class, field, version)

    def default(self, message_class: Any, field: schema.Field) -> Any:
        if field.is_struct and not field.is_array:
            return message_class._classes[field.type]()
        return [] if field.is_array else field.default

    def one(self, message_class: Any, field: schema.Field, version: int) -> Any:
        kind = field.type
        if field.is_struct:
            return self.struct(message_class, kind, version)
        if kind in RANGES:
            return self.number(field)
        if kind == "bool":
            return self.random.random() < 0.5
        if kind == "float64":
            return self.random.uniform(-1e9, 1e9)
        if kind == "uuid":
            return self.random.randbytes(16)
        size = self.random.choice([0, 1, 5, 126, 127, 128, 300])
        if kind == "string":
            return "".join(self.random.choices("abz.-_09äß水𝄞", k=size))
        return self.random.randbytes(size)

    def number(self, field: schema.Field) -> int:
        if self.mild:
            if field.name.endswith("error_code"):
                return self.random.choice(list(ErrorCode)[:100]).value
            return self.random.randint(0, 100)
        low, high = RANGES[field.type]
        return self.random.choice([low, high, 0, 1, self.random.randint(low, high)])


def to_json(message: Any, message_class: Any, version: int, name: str | None = None) -> Any:
    """What the JsonConverter of Kafka's class reads as the same message."""
    result = {}
    for field in message_class.SCHEMA.structs[name or message_class.SCHEMA.name]:
        if version not in field.versions:
            continue
        value = getattr(message, field.name)
        if field.is_array and value is not None:
            value = [_one_to_json(one, message_class, field, version) for one in value]
        else:
            value = _one_to_json(value, message_class, field, version)
        result[camel(field.name)] = value
    return result


def _one_to_json(value: Any, message_class: Any, field: schema.Field, version: int) -> Any:
    if value is None:
        return None
    if field.is_struct:
        return to_json(value, message_class, version, field.type)
    if field.type == "uuid":
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    if field.type in ("bytes", "records"):
        return base64.b64encode(value).decode()
    return value


def camel(name: str) -> str:
    if name in CAMEL:
        return CAMEL[name]
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
