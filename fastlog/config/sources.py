"""Where values come from: a file, the environment, the command line. Text, no meaning yet."""

import re
from pathlib import Path
from typing import NamedTuple

from fastlog.config import properties
from fastlog.config.table import BROKER


class Given(NamedTuple):
    """A setting as its user wrote it. `where` is put before a message about it."""

    name: str
    text: str
    where: str


PREFIX = "FASTLOG_"
# Variables of the build and the tests, and those that Kubernetes sets for a service named fastlog.
_FOREIGN = re.compile(
    r"FASTLOG_(DEBUG|MODULES|PEERS|(.*_)?SERVICE_(HOST|PORT(_.*)?)|PORT(_\d+_.*)?)\Z"
)


def environment_name(name: str) -> str:
    """num.partitions -> FASTLOG_NUM_PARTITIONS; fastlog.reactors -> FASTLOG_REACTORS."""
    return PREFIX + name.removeprefix("fastlog.").upper().replace(".", "_")


_BY_VARIABLE = {environment_name(name): name for name in BROKER}


def from_environment(environ) -> list[Given]:
    """Every FASTLOG_ variable. A variable of no known setting keeps a name made of itself."""
    found = []
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and not _FOREIGN.match(variable):
            guess = variable[len(PREFIX) :].lower().replace("_", ".")
            found.append(Given(_BY_VARIABLE.get(variable, guess), environ[variable], variable))
    return found


def from_pairs(pairs) -> tuple[list[Given], list[str]]:
    """`--set key=value` arguments, and problems with their form.

    A Given among them has an option of its own, which a message then names.
    """
    found, problems = [], []
    for pair in pairs:
        if isinstance(pair, Given):
            found.append(pair)
            continue
        name, equals, text = pair.partition("=")
        if equals and name.strip():
            found.append(Given(name.strip(), text, "--set"))
        else:
            problems.append(f"--set {pair}: give it as key=value")
    return found, problems


def from_file(path) -> tuple[list[Given], list[str]]:
    """The settings of a TOML file (by its suffix) or else a Java properties file."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        return [], [f"{path}: cannot be read: {error.strerror}"]
    if path.suffix.lower() == ".toml":
        return _from_toml(path, content)
    found = []
    try:
        for line, name, text in properties.parse(content):
            found.append(Given(name, text, f"{path}:{line}"))
    except properties.Malformed as error:
        return found, [f"{path}:{error.line}: {error}"]
    return found, []


def _from_toml(path: Path, content: bytes) -> tuple[list[Given], list[str]]:
    import tomllib  # only a broker with a TOML file pays for it

    try:
        text = content.decode()
        tree = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [f"{path}: not valid TOML: {error}"]
    lines = _toml_lines(text)
    found, problems = [], []
    for name, value in _leaves(tree):
        where = f"{path}:{lines[name]}" if name in lines else str(path)
        spelled = _toml_text(value)
        if spelled is None:
            problems.append(
                f"{where}: {name}: a {type(value).__name__} cannot be a setting's value"
            )
        else:
            found.append(Given(name, spelled, where))
    return found, problems


def _leaves(tree: dict, prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _toml_text(value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return str(value)
    if isinstance(value, list):
        parts = [_toml_text(v) for v in value]
        return None if None in parts else ",".join(filter(None, parts))
    return None


_TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_KEY = re.compile(rf"\s*((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)\s*=")


def _dotted(key: str) -> str:
    return ".".join(part.strip("\"'") for part in _PART.findall(key))


def _toml_lines(text: str) -> dict[str, int]:
    """Line of each plain `key =`; tomllib keeps no positions. Better no line than a wrong one."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _dotted(header[1]) + "."
        elif key := _KEY.match(line):
            lines.setdefault(table + _dotted(key[1]), number)
    return lines
