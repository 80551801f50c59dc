"""All log folders of a broker: each has its own manager, and fails by itself.

A new partition goes to the folder that holds the fewest, as in Kafka. While a folder is offline,
a partition that no other folder holds is taken to lie there: its log answers with
KAFKA_STORAGE_ERROR, and no empty one is made in its place.
"""

import asyncio
import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from fastlog.logs import partition as names
from fastlog.logs.errors import (
    DuplicateLog,
    FolderNotUsable,
    LogsNotOpened,
    is_storage_failure,
)
from fastlog.logs.folder import LogFolder
from fastlog.logs.manager import EngineSettings, Intervals, LogManager, Partition
from fastlog_ext.partition_log import Log

logger = logging.getLogger(__name__)


def open_folders(paths: Sequence[str]) -> tuple[list[LogFolder], list[FolderNotUsable]]:
    """The folders that can be used, each locked, and why the others cannot.

    Raises FolderInUse; FolderNotUsable when none is left.
    """
    usable: list[LogFolder] = []
    unusable: list[FolderNotUsable] = []
    try:
        for path in paths:
            try:
                usable.append(_open_readable(path))
            except FolderNotUsable as error:
                unusable.append(error)
        if not usable:
            raise unusable[0]
    except BaseException:
        for folder in usable:
            folder.close()
        raise
    for reason in unusable:
        logger.error("%s; the broker goes on without this folder", reason)
    return usable, unusable


def _open_readable(path: str) -> LogFolder:
    folder = LogFolder.open(path)
    try:
        folder.identity()
    except BaseException:
        folder.close()
        raise
    return folder


def partitions_in(folder: LogFolder) -> dict[Partition, Path]:
    """The partitions that have a folder there. OSError."""
    with os.scandir(folder.path) as entries:
        found = ((names.parse_folder_name(entry.name), entry) for entry in entries)
        return {key: Path(entry.path) for key, entry in found if key and entry.is_dir()}


class LogFolders:
    """Belongs to one event loop; life as a LogManager's. The folders are open."""

    def __init__(
        self,
        folders: Sequence[LogFolder],
        unusable: Sequence[FolderNotUsable] = (),
        intervals: Intervals | None = None,
        free_min_bytes: int = 0,
    ) -> None:
        self.managers = [LogManager(folder, intervals, free_min_bytes) for folder in folders]
        # Called with partitions whose logs have gone offline.
        self.on_offline: Callable[[Collection[Partition]], None] = lambda partitions: None
        self._unusable = list(unusable)
        self._unreachable: dict[Partition, Log] = {}
        self._coming: Counter[LogManager] = Counter()
        for manager in self.managers:
            manager.on_offline = self._tell_offline

    def _tell_offline(self, partitions: Collection[Partition]) -> None:
        self.on_offline(partitions)

    # --- what is there ---

    @property
    def online(self) -> list[LogManager]:
        """The folders that have not failed."""
        return [manager for manager in self.managers if manager.failure is None]

    @property
    def some_failed(self) -> bool:
        return bool(self._unusable) or len(self.online) < len(self.managers)

    @property
    def logs(self) -> Mapping[Partition, Log]:
        """All logs in the folders that are online."""
        return {key: log for manager in self.online for key, log in manager.logs.items()}

    @property
    def unreachable(self) -> set[Partition]:
        """Partitions that lie in a folder that failed."""
        failed = (manager for manager in self.managers if manager.failure is not None)
        return set(self._unreachable).union(*(manager.logs for manager in failed))

    def get(self, topic: str, partition: int) -> Log | None:
        """The log of a partition, offline or not, or None."""
        for manager in self.managers:
            log = manager.get(topic, partition)
            if log is not None:
                return log
        return self._unreachable.get((topic, partition))

    # --- start ---

    async def start(
        self,
        settings_of: Callable[[str], EngineSettings],
        topic_ids: Mapping[str, bytes] | None = None,
    ) -> None:
        """Opens every log of every folder, as LogManager.start; the folders side by side.

        Raises DuplicateLog, and what LogManager.start raises when no folder is left.
        """
        self._refuse_duplicates()
        results = await asyncio.gather(
            *(manager.start(settings_of, topic_ids) for manager in self.managers),
            return_exceptions=True,
        )
        for manager, result in zip(self.managers, results, strict=True):
            if not isinstance(result, BaseException):
                continue
            failure = _storage_failure_in(result)
            if failure is None:
                raise result
            manager.fail(failure)
            if not self.online:
                raise result

    def _refuse_duplicates(self) -> None:
        seen: dict[Partition, Path] = {}
        for manager in self.managers:
            try:
                found = partitions_in(manager.folder)
            except OSError:
                continue  # told when its logs are opened
            for key, path in found.items():
                if key in seen:
                    raise DuplicateLog(path.name, seen[key].parent, path.parent)
                seen[key] = path

    # --- partitions come and go ---

    async def create_partition(
        self,
        topic: str,
        topic_id: bytes,
        partition: int,
        settings: EngineSettings,
        *,
        is_new: bool = True,
    ) -> Log:
        """As LogManager.create_partition. `is_new`: no folder can hold the partition yet."""
        key = topic, partition
        for manager in self.managers:
            if manager.get(*key) is not None:
                return await manager.create_partition(topic, topic_id, partition, settings)
        if self.some_failed and not is_new:
            return self._unreachable_log(key, topic_id)
        refused: FolderNotUsable | None = None
        for manager in self._fewest_first():
            self._coming[manager] += 1
            try:
                return await manager.create_partition(topic, topic_id, partition, settings)
            except FolderNotUsable as error:
                refused = error
            finally:
                self._coming[manager] -= 1
        raise refused or FolderNotUsable(
            self.managers[0].folder.path, OSError(errno.EIO, "every log folder has failed")
        )

    def _fewest_first(self) -> list[LogManager]:
        """Folders in the order in which a new partition is offered to them."""
        return sorted(self.online, key=lambda one: len(one.logs) + self._coming[one])

    def _unreachable_log(self, key: Partition, topic_id: bytes) -> Log:
        if key not in self._unreachable:
            path = self._unusable[0].path if self._unusable else self.managers[0].folder.path
            self._unreachable[key] = Log.offline(
                str(path / names.folder_name(*key)),
                topic=key[0],
                partition=key[1],
                topic_id=topic_id,
                error=errno.EIO,
            )
        return self._unreachable[key]

    async def remove_partition(self, topic: str, partition: int) -> bool:
        """As LogManager.remove_partition; what lies in a folder that failed is forgotten only."""
        self._unreachable.pop((topic, partition), None)
        for manager in self.managers:
            if manager.get(topic, partition) is not None:
                if manager.failure is None:
                    return await manager.remove_partition(topic, partition)
                await manager.forget(topic, partition)
        return False

    async def delete_records(
        self, offsets: Mapping[Partition, int]
    ) -> dict[Partition, int | Exception]:
        """As LogManager.delete_records. LookupError: there is no such log."""
        found: dict[Partition, int | Exception] = dict.fromkeys(offsets, LookupError())
        for manager in self.online:
            there = {key: offset for key, offset in offsets.items() if manager.get(*key)}
            if there:
                found.update(await manager.delete_records(there))
        for key in self.unreachable.intersection(offsets):
            found[key] = OSError(errno.EIO, "the log's folder has failed")
        return found

    # --- the end ---

    async def shutdown(self) -> bool:
        """As LogManager.shutdown. Whether every folder that is online was closed in order."""
        online = self.online
        results = await asyncio.gather(*(manager.shutdown() for manager in self.managers))
        closed = dict(zip(self.managers, results, strict=True))
        self._unreachable.clear()
        return bool(online) and all(closed[manager] for manager in online)

    def not_closed(self) -> str:
        """The folders that `shutdown` has not done with, and how many logs each has open."""
        waiting = (manager for manager in self.managers if not manager.ended)
        return ", ".join(f"{one.folder.path} ({len(one.open_logs)} logs)" for one in waiting)

    def abort(self) -> None:
        """As LogManager.abort."""
        for manager in self.managers:
            manager.abort()


def _storage_failure_in(error: BaseException) -> OSError | None:
    if isinstance(error, LogsNotOpened):
        return error.storage_failure
    if isinstance(error, FolderNotUsable) and is_storage_failure(error):
        return error.error
    return None
