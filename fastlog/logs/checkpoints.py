"""Offsets of all partitions of a folder, in one small text file each, in Kafka's format:

0                      version
2                      number of entries
clicks 0 1234          topic, partition, offset
clicks 1 99
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from fastlog.logs.files import replace_file

RECOVERY_POINTS = "recovery-point-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
LOG_START_OFFSETS = "log-start-offset-checkpoint"

Partition = tuple[str, int]
logger = logging.getLogger(__name__)


class MalformedCheckpoint(ValueError):
    """The file is not a checkpoint; the message names the line."""


def parse(text: str) -> dict[Partition, int]:
    """The offsets. An empty file has none: Kafka creates it so. Raises MalformedCheckpoint."""
    lines = text.splitlines()
    if not lines:
        return {}
    if lines[0].strip() != "0":
        raise MalformedCheckpoint(f"line 1: unknown version '{lines[0][:40]}'")
    if len(lines) < 2:
        return {}
    if not lines[1].strip().isdecimal():
        raise MalformedCheckpoint(f"line 2: '{lines[1][:40]}' is no number of entries")
    found = {}
    for number, line in enumerate(lines[2:], 3):
        fields = line.split()
        if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise MalformedCheckpoint(
                f"line {number}: '{line[:80]}' is not topic, partition, offset"
            )
        found[fields[0], int(fields[1])] = int(fields[2])
    if len(lines) - 2 != int(lines[1]):
        raise MalformedCheckpoint(f"{len(lines) - 2} entries where line 2 says {lines[1].strip()}")
    return found


def encode(offsets: Mapping[Partition, int]) -> str:
    """The text of a checkpoint file."""
    lines = [f"{topic} {partition} {at}" for (topic, partition), at in sorted(offsets.items())]
    return "".join(f"{line}\n" for line in ("0", str(len(lines)), *lines))


class Checkpoint:
    """One checkpoint file. For use by one thread at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._written: dict[Partition, int] | None = None

    def read(self) -> dict[Partition, int]:
        """The offsets; a malformed or unreadable file counts as absent, with a warning."""
        try:
            return parse(self.path.read_bytes().decode("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("%s is not used: %s", self.path, error)
            return {}

    def write(self, offsets: Mapping[Partition, int]) -> bool:
        """Replaces the file unless it holds just these offsets already. Whether it did. OSError."""
        if self._written == offsets:
            return False
        replace_file(self.path, encode(offsets).encode())
        self._written = dict(offsets)
        return True
