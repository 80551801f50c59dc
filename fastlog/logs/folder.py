"""A folder of logs: its lock, whose it is (meta.properties), and whether it was left in order."""

import errno
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from fastlog.config import properties
from fastlog.logs.errors import FolderError, FolderNotUsable, ForeignFolder
from fastlog.logs.files import replace_file, sync_folder
from fastlog.logs.folder_lock import FolderLock

META_PROPERTIES = "meta.properties"
CLEAN_MARKER = ".kafka_cleanshutdown"


class Identity(NamedTuple):
    """What meta.properties says: None where it is silent. `others` are lines kept as they are."""

    cluster_id: str | None = None
    broker_id: int | None = None
    others: tuple[tuple[str, str], ...] = ()


class LogFolder:
    """An exclusively held folder. Create it with `open`, give it back with `close`."""

    def __init__(self, path: Path, lock: FolderLock) -> None:
        self.path = path
        self.lock = lock
        self._place = _place_of(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "LogFolder":
        """Creates the folder if it is absent, checks that it can be written, and locks it.

        Raises FolderInUse or FolderNotUsable.
        """
        folder = Path(os.path.abspath(path))
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True)
                sync_folder(folder.parent)
            os.listdir(folder)
            return cls(folder, FolderLock(folder))
        except OSError as error:
            raise FolderNotUsable(folder, error) from None

    def close(self) -> None:
        """Gives the lock back. Again: nothing happens."""
        self.lock.release()

    def check_place(self) -> None:
        """OSError when what the path leads to is not the folder that was opened.

        It may have been removed or unmounted: what is written then would go to another disk.
        """
        if _place_of(self.path) != self._place:
            raise FileNotFoundError(
                errno.ENOENT, "another folder has taken its place: was it unmounted?", self.path
            )

    # --- whose it is ---

    def identity(self) -> Identity | None:
        """None: a new folder. Raises ForeignFolder when Kafka's KRaft mode wrote it."""
        path = self.path / META_PROPERTIES
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderNotUsable(self.path, error) from None
        try:
            values = {key: value for _, key, value in properties.parse(content)}
        except ValueError as error:
            raise FolderError(f"{path} is malformed: {error}") from None
        if values.pop("version", "0").strip() != "0":
            raise ForeignFolder(f"{self.path} was written by Kafka in KRaft mode ({path.name})")
        broker_id = values.pop("broker.id", None)
        if broker_id is not None and not broker_id.strip().isdigit():
            raise FolderError(f"{path} is malformed: broker.id is '{broker_id}'")
        return Identity(
            values.pop("cluster.id", None) or None,
            int(broker_id) if broker_id is not None else None,
            tuple(values.items()),
        )

    def claim(self, cluster_id: str, broker_id: int) -> None:
        """Writes whose folder this is, unless it says so already.

        Raises ForeignFolder when it is another cluster's or broker's, FolderNotUsable.
        """
        found = self.identity() or Identity()
        if found.cluster_id is not None and found.cluster_id != cluster_id:
            raise ForeignFolder(
                f"{self.path} belongs to the cluster {found.cluster_id}, not to {cluster_id}"
            )
        if found.broker_id is not None and found.broker_id != broker_id:
            raise ForeignFolder(
                f"{self.path} belongs to the broker {found.broker_id}, not to {broker_id}"
            )
        if found.cluster_id is None or found.broker_id is None:
            self._write_identity(Identity(cluster_id, broker_id, found.others))

    def _write_identity(self, identity: Identity) -> None:
        moment = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())
        pairs = [("broker.id", str(identity.broker_id)), ("version", "0")]
        pairs += [("cluster.id", identity.cluster_id or ""), *identity.others]
        lines = ["#", f"#{moment}", *(f"{key}={_escape(value)}" for key, value in pairs)]
        try:
            replace_file(self.path / META_PROPERTIES, "".join(f"{x}\n" for x in lines).encode())
        except OSError as error:
            raise FolderNotUsable(self.path, error) from None

    # --- whether it was left in order ---

    def take_clean_marker(self) -> bool:
        """Whether the last broker closed all logs. The marker goes: from now on a crash may come.

        Raises FolderNotUsable.
        """
        try:
            (self.path / CLEAN_MARKER).unlink()
            sync_folder(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FolderNotUsable(self.path, error) from None
        return True

    def write_clean_marker(self, broker_epoch: int = -1) -> None:
        """All logs are closed and their checkpoints written. OSError."""
        content = json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":"))
        replace_file(self.path / CLEAN_MARKER, content.encode())


def _place_of(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _escape(value: str) -> str:
    """A value as java.util.Properties writes it."""
    escaped = "".join(f"\\{c}" if c in "\\:=#!" else c for c in value)
    return f"\\{escaped}" if escaped.startswith(" ") else escaped
