"""The settings of one broker: read from every source, all problems told at once."""

import os
from typing import NamedTuple

from fastlog.config.listeners import (
    Listener,
    check_together,
    parse_listeners,
    parse_overrides,
    parse_protocol_map,
)
from fastlog.config.profiles import PROFILES
from fastlog.config.setting import InvalidConfig, Kind, Status, text_of
from fastlog.config.sources import Given, from_environment, from_file, from_pairs
from fastlog.config.table import BROKER, unknown

PROFILE = "fastlog.profile"


class ConfigError(ValueError):
    """The start is off: `problems` holds one line for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Value(NamedTuple):
    value: object
    where: str


class Settings:
    """Effective values by name, and where each came from. Immutable; see `load`, `Settings.of`."""

    def __init__(self, values: dict[str, _Value], notices: list[str]) -> None:
        self._values = values
        # lines an operator should see once at start
        self.notices = [*notices, *_useless(self)]
        problems = _Combination(self).problems()
        if problems:
            raise ConfigError(problems)
        self.listeners, self.advertised_listeners = _endpoints(self)[:2]

    @classmethod
    def of(cls, values: dict | None = None) -> "Settings":
        """Settings from Python values or texts, for tests and for embedding."""
        given = [Given(name, text_of(value), "given") for name, value in (values or {}).items()]
        return _assemble([given], [])

    def __getitem__(self, name: str):
        """The value in effect; None: not set. KeyError: unknown, or without effect here."""
        row = BROKER.get(name)
        if row is None:
            raise KeyError(unknown(name))
        if name in self._values:
            return self._values[name].value
        if row.status in (Status.WORKS, Status.NO_EFFECT):
            return row.default
        if row.today:
            return row.today[0]
        raise KeyError(f"{name} has no effect in this version of fastlog")

    def is_set(self, name: str) -> bool:
        return name in self._values

    def where(self, name: str) -> str:
        """Where the value came from: `file:line`, a variable's name, `--set`, or `default`."""
        return self._values[name].where if name in self._values else "default"

    @property
    def broker_id(self) -> int:
        """broker.id or node.id; -1 asks for the one in meta.properties or a generated one."""
        return self["broker.id"] if self["broker.id"] >= 0 else self["node.id"]

    @property
    def log_dirs(self) -> list[str]:
        """The folders of log.dirs, which comes before log.dir, as in Kafka."""
        named = self["log.dirs"] or self["log.dir"] or ""
        return [folder.strip() for folder in named.split(",") if folder.strip()]

    @property
    def connection_overrides(self) -> list[tuple[str, int]]:
        """max.connections.per.ip.overrides: hosts and how many connections each may have."""
        return parse_overrides(self["max.connections.per.ip.overrides"])[0]

    @property
    def reactors(self) -> int:
        """fastlog.reactors, else num.network.threads, else one for each core we may use."""
        return (
            self["fastlog.reactors"] or self["num.network.threads"] or len(os.sched_getaffinity(0))
        )


def load(path=None, pairs=(), environ=None) -> Settings:
    """Settings from `--set` pairs before the environment before the file before defaults.

    Raises ConfigError with every problem found, one line each.
    """
    from_set, problems = from_pairs(pairs)
    in_file, more = from_file(path) if path is not None else ([], [])
    in_environment = from_environment(os.environ if environ is None else environ)
    return _assemble([in_file, in_environment, from_set], more + problems)


def _assemble(sources: list[list[Given]], problems: list[str]) -> Settings:
    """Merges sources, the later over the earlier."""
    values: dict[str, _Value] = {}
    notices: list[str] = []
    for source in [_profile(sources), *sources]:
        seen: set[str] = set()
        for given in source:
            if given.name in seen:
                notices.append(f"{given.where}: {given.name} is given again; the last one counts")
            seen.add(given.name)
            _take(given, values, notices, problems)
    if problems:
        raise ConfigError(problems + _combination_problems(values))
    return Settings(values, notices)


def _profile(sources: list[list[Given]]) -> list[Given]:
    """What the chosen profile sets: before every source, so that any of them comes over it."""
    names = [given.text for source in sources for given in source if given.name == PROFILE]
    values = PROFILES.get(names[-1].strip(), {}) if names else {}
    where = f"{PROFILE}={names[-1].strip()}" if names else ""
    return [Given(name, text_of(value), where) for name, value in values.items()]


def _take(given: Given, values, notices: list[str], problems: list[str]) -> None:
    row = BROKER.get(given.name)
    if row is None:
        problems.append(f"{given.where}: {unknown(given.name)}")
        return
    try:
        value = row.parse(given.text)
    except InvalidConfig as error:
        problems.append(f"{given.where}: {error}")
        return
    refusal = row.refusal(value)
    if refusal:
        shown = "" if row.kind is Kind.PASSWORD else f" = {text_of(value)}"
        problems.append(f"{given.where}: {row.name}{shown} {refusal}")
        return
    if row.status is Status.NO_EFFECT:
        notices.append(f"{given.where}: {row.name} has no effect in fastlog, by design: {row.doc}")
    values[row.name] = _Value(value, given.where)


def _combination_problems(values) -> list[str]:
    """Problems among the values that were good by themselves, told together with the others."""
    try:
        Settings(values, [])
    except ConfigError as error:
        return error.problems
    return []


def _endpoints(settings: Settings) -> tuple[list[Listener], list[Listener], list[str]]:
    """Listeners, advertised listeners and problems, each with the place it was written."""

    def at(name: str, problems: list[str]) -> list[str]:
        return [f"{settings.where(name)}: {name}: {problem}" for problem in problems]

    protocols, bad = parse_protocol_map(settings["listener.security.protocol.map"])
    problems = at("listener.security.protocol.map", bad)
    listeners, bad = parse_listeners(settings["listeners"], protocols)
    problems += at("listeners", bad)
    if settings["advertised.listeners"]:
        advertised, bad = parse_listeners(settings["advertised.listeners"], protocols)
        problems += at("advertised.listeners", bad)
        problems += at("advertised.listeners", check_together(listeners, advertised))
    else:
        advertised = list(listeners)
        problems += at("listeners", check_together(listeners, []))
    return listeners, advertised, problems


def _useless(settings: Settings):
    """What Kafka takes too, and nobody can want."""
    if settings["max.connections"] == 0:
        yield f"{settings.where('max.connections')}: max.connections = 0 lets nobody connect"


class _Combination:
    """Checks that need more than one setting."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def problems(self) -> list[str]:
        return [
            *_endpoints(self.settings)[2],
            *self._folders(),
            *self._ids(),
            *self._threads(),
            *self._connections(),
            *self._retention(),
        ]

    def _clash(self, one: str, other: str, why: str) -> str:
        where = self.settings.where(one)
        return f"{where}: {one} and {other} ({self.settings.where(other)}) {why}"

    def _folders(self):
        name = "log.dirs" if self.settings["log.dirs"] else "log.dir"
        folders = self.settings.log_dirs
        where = self.settings.where(name)
        if not folders:
            yield f"{where}: {name}: a folder is needed"
        paths = [os.path.abspath(folder) for folder in folders]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield f"{where}: {name}: {path} is given twice"

    def _ids(self):
        broker, node = self.settings["broker.id"], self.settings["node.id"]
        if broker >= 0 and node >= 0 and broker != node:
            yield self._clash("broker.id", "node.id", f"differ: {broker} and {node}")
        for name in ("broker.id", "node.id"):
            if self.settings[name] < -1:
                yield f"{self.settings.where(name)}: {name}: must be -1 or a number from 0 on"
        generated = self.settings["broker.id.generation.enable"]
        if self.settings.broker_id < 0 and not generated:
            yield self._clash(
                "broker.id",
                "broker.id.generation.enable",
                "leave the broker without an id: give one or allow one to be generated",
            )
        if generated and self.settings.broker_id > self.settings["reserved.broker.max.id"]:
            yield self._clash(
                "broker.id",
                "reserved.broker.max.id",
                "clash: an id above it could also be generated for another broker",
            )

    def _connections(self):
        name = "max.connections.per.ip.overrides"
        overrides, bad = parse_overrides(self.settings[name])
        for problem in bad:
            yield f"{self.settings.where(name)}: {name}: {problem}"
        if self.settings["max.connections.per.ip"] == 0 and not overrides:
            yield self._clash("max.connections.per.ip", name, "together allow no connection")
        memory = self.settings["queued.max.request.bytes"]
        if 0 <= memory < self.settings["socket.request.max.bytes"]:
            yield self._clash(
                "queued.max.request.bytes",
                "socket.request.max.bytes",
                "clash: the largest request does not fit into the memory for all",
            )

    def _retention(self):
        """As in Kafka, which takes 0 for a topic only."""
        for name in ("log.retention.ms", "log.retention.minutes", "log.retention.hours"):
            if self.settings.is_set(name):
                if self.settings[name] == 0:
                    where = self.settings.where(name)
                    yield f"{where}: {name}: must be unlimited (-1) or 1 or more"
                return

    def _threads(self):
        ours, kafkas = self.settings["fastlog.reactors"], self.settings["num.network.threads"]
        if ours and kafkas and ours != kafkas:
            yield self._clash("fastlog.reactors", "num.network.threads", "differ; give one of them")
