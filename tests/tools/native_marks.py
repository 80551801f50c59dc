"""Marks what the sanitizers run. A sanitizer slows everything it sees, and sees nothing of programs
that are not built with it.

`native`: tests of fastlog_ext alone. They or their helpers import it, and start no peer.
`served`: tests of a broker in a process of its own, with no other clients than the tests' own, and
with nothing to say about how much memory it takes.
"""

import re
from functools import cache
from pathlib import Path

from tests.tools.report import ROOT

IMPORTS_ENGINE = re.compile(r"^(?:from|import) fastlog_ext\b", re.MULTILINE)
IMPORTS_PEERS = re.compile(r"^(?:from|import) tests\.(?:peers|clients)\b", re.MULTILINE)
IMPORTS_HELPER = re.compile(r"^from (tests\.|\.)([\w.]+) import", re.MULTILINE)
SERVED = {f"tests/broker/test_{name}.py" for name in ("cold_reads", "hostile", "requests", "start")}
PEERS = {"zookeeper", "kafka_broker", "shared_fastlog", "start_fastlog", "fastlog_broker"}


@cache
def is_native(path: Path) -> bool:
    """Whether a test module is about the extensions and nothing else."""
    texts = [text.read_text(encoding="utf-8") for text in (path, *helpers(path))]
    return any(map(IMPORTS_ENGINE.search, texts)) and not any(map(IMPORTS_PEERS.search, texts))


def helpers(path: Path) -> list[Path]:
    """The modules of tests/ that a test module imports by name, and its folder's fixtures."""
    found = [path.parent / "conftest.py"]
    for dots, name in IMPORTS_HELPER.findall(path.read_text(encoding="utf-8")):
        folder = path.parent if dots == "." else ROOT / "tests"
        found.append(folder / f"{name.replace('.', '/')}.py")
    return [helper for helper in found if helper.exists()]


def pytest_collection_modifyitems(items) -> None:
    """A hook of pytest, taken over by tests/conftest.py."""
    for item in items:
        if is_native(item.path) and not PEERS & set(item.fixturenames):
            item.add_marker("native")
        if item.path.relative_to(ROOT).as_posix() in SERVED:
            item.add_marker("served")
