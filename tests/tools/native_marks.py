"""Marks as `native` the tests of fastlog_ext alone: they import it, and start no peer.

A sanitizer slows everything it sees, and sees nothing of other processes.
"""

import re
from functools import cache
from pathlib import Path

IMPORTS_ENGINE = re.compile(r"^(?:from|import) fastlog_ext\b", re.MULTILINE)
IMPORTS_PEERS = re.compile(r"^(?:from|import) tests\.(?:peers|clients)\b", re.MULTILINE)
PEERS = {"zookeeper", "kafka_broker", "shared_fastlog", "start_fastlog", "fastlog_broker"}


@cache
def is_native(path: Path) -> bool:
    """Whether a test module is about the extensions and nothing else."""
    text = path.read_text(encoding="utf-8")
    return bool(IMPORTS_ENGINE.search(text)) and not IMPORTS_PEERS.search(text)


def pytest_collection_modifyitems(items) -> None:
    """A hook of pytest, taken over by tests/conftest.py."""
    for item in items:
        if is_native(item.path) and not PEERS & set(item.fixturenames):
            item.add_marker("native")
