"""What a setting is: its type, its limits, and how the text a user writes becomes its value.

Types, limits and the wording of refusals are Kafka's (its ConfigDef): clients and tools show them.
"""

import re
from enum import Enum
from typing import NamedTuple

_DECIMAL = re.compile(r"[+-]?[0-9]+\Z")
_LIMITS = {"INT": 31, "LONG": 63, "SHORT": 15}

LONG_MAX = (1 << 63) - 1
INT_MAX = (1 << 31) - 1


class InvalidConfig(ValueError):
    """A value that a setting refuses; the text is what a client is told with error 40."""


class Kind(Enum):
    INT = "INT"
    LONG = "LONG"
    SHORT = "SHORT"
    DOUBLE = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    LIST = "LIST"
    PASSWORD = "PASSWORD"
    CLASS = "CLASS"


class Status(Enum):
    """What fastlog makes of a setting today."""

    WORKS = "works"
    PLANNED = "not in this version"
    NO_EFFECT = "no effect"
    REFUSED = "refused"


class Range(NamedTuple):
    """Inclusive limits; None is open."""

    low: float | None
    high: float | None = None

    def problem(self, value) -> str | None:
        if self.low is not None and value < self.low:
            return f"Value must be at least {self.low}"
        if self.high is not None and value > self.high:
            return f"Value must be no more than {self.high}"
        return None

    def describe(self) -> str:
        return f"{self.low} to {self.high}" if self.high is not None else f"{self.low} or more"


class OneOf(NamedTuple):
    values: tuple[str, ...]

    def problem(self, value) -> str | None:
        return None if value in self.values else _must_be_one_of(self.values)

    def describe(self) -> str:
        return ", ".join(self.values)


class ListOf(NamedTuple):
    """Every element is one of `values`."""

    values: tuple[str, ...]

    def problem(self, value) -> str | None:
        return None if all(v in self.values for v in value) else _must_be_one_of(self.values)

    def describe(self) -> str:
        return "any of " + ", ".join(self.values)


def _must_be_one_of(values) -> str:
    return "String must be one of: " + ", ".join(values)


Check = Range | OneOf | ListOf


class Setting(NamedTuple):
    """One row of the table.

    `default` is what fastlog does when nothing is given; None means not set. `kafka_default` is
    given where Kafka's differs. `today`, for a setting whose effect is not there yet: the values
    that describe what fastlog does anyway, accepted for that reason; the first stands as its
    value. `broker_names`, for a topic setting: the broker settings its default comes from, the
    first that is set wins, as in Kafka.
    """

    name: str
    kind: Kind
    default: object
    doc: str
    status: Status = Status.WORKS
    check: Check | None = None
    dynamic: bool = False
    today: tuple = ()
    kafka_default: object = None
    broker_names: tuple[str, ...] = ()

    def parse(self, text: str):
        """The value that `text` stands for. Raises InvalidConfig in Kafka's words."""
        value = parse(self.kind, self.name, text)
        if self.check is not None:
            problem = self.check.problem(value)
            if problem:
                raise InvalidConfig(
                    f"Invalid value {self._shown(value)} for configuration {self.name}: {problem}"
                )
        return value

    def _shown(self, value) -> str:
        if isinstance(value, tuple) and self.check:  # Kafka names the element it stumbled over
            problem = self.check.problem
            return next((v for v in value if problem((v,))), "")
        return str(value)

    def refusal(self, value) -> str | None:
        """Why `value` cannot be had in this version, or None when it can."""
        if self.status in (Status.WORKS, Status.NO_EFFECT) or value in self.today:
            return None
        only = ", ".join(text_of(v) for v in self.today)
        if self.status is Status.REFUSED:
            reason = f"is not a setting for fastlog ({self.doc.rstrip('.')})"
        else:
            reason = "is not supported in this version of fastlog"
        return f"{reason}; only {only} is accepted, which is what it does" if only else reason


def parse(kind: Kind, name: str, text: str):
    """Text to value by type, trimmed as Kafka trims it."""
    text = text.strip()
    if kind is Kind.BOOLEAN:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise _invalid(text, name, "Expected value to be either true or false")
    if kind.value in _LIMITS:
        bits = _LIMITS[kind.value]
        if not _DECIMAL.match(text) or not -(1 << bits) <= int(text) < 1 << bits:
            raise _invalid(text, name, f"Not a number of type {kind.value}")
        return int(text)
    if kind is Kind.DOUBLE:
        try:
            return float(text)
        except ValueError:
            raise _invalid(text, name, "Not a number of type DOUBLE") from None
    if kind is Kind.LIST:
        return tuple(part.strip() for part in text.split(",")) if text else ()
    return text


def _invalid(text: str, name: str, why: str) -> InvalidConfig:
    return InvalidConfig(f"Invalid value {text} for configuration {name}: {why}")


def text_of(value) -> str:
    """The value as a properties file and the protocol spell it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
