"""Opens the logs of a folder at the start, and tells how far it is."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fastlog.logs import partition as names
from fastlog.logs.errors import FolderNotUsable
from fastlog.logs.folder import LogFolder
from fastlog.logs.housekeeping import Housekeeping
from fastlog_ext.disk import Disk
from fastlog_ext.partition_log import Log

Partition = tuple[str, int]
PROGRESS_INTERVAL_S = 5.0
LONG_RECOVERY_S = 2.0
SLICE_MAX = 32
SLICES_AT_LEAST = 32
# Kafka's own folders that hold no partition of ours: tiered storage's cache, KRaft's metadata
NOT_LOGS = {"remote-log-index-cache", "__cluster_metadata-0"}
logger = logging.getLogger(__name__)


class Loader:
    """For one start. `open` runs on many threads at once; it changes nothing here."""

    def __init__(
        self,
        folder: LogFolder,
        housekeeping: Housekeeping,
        clean: bool,
        settings_of: Callable[[str], dict[str, int]],
        disk: Disk,
    ) -> None:
        self.folder = folder
        self.clean = clean
        self._disk = disk
        self._settings_of = settings_of
        self._settings: dict[str, dict[str, int]] = {}
        self._recovery_points = housekeeping.recovery_points.read()
        self._log_starts_path = housekeeping.log_start_offsets.path
        self._log_start_offsets = housekeeping.log_start_offsets.read()
        self._high_watermarks = housekeeping.high_watermarks.read()
        self._count = 0

    def partitions(self) -> tuple[list[Partition], list[Path]]:
        """The partitions with a folder, and the folders whose deletion was cut short.

        Raises FolderNotUsable.
        """
        found: list[Partition] = []
        leftovers: list[Path] = []
        try:
            with os.scandir(self.folder.path) as entries:
                folders = sorted(entry.name for entry in entries if entry.is_dir())
        except OSError as error:
            raise FolderNotUsable(self.folder.path, error) from None
        for name in folders:
            partition = names.parse_folder_name(name)
            fate = names.fate_of(name)
            if name in NOT_LOGS:
                continue
            if partition is not None:
                found.append(partition)
            elif fate == "delete":
                leftovers.append(self.folder.path / name)
            else:
                what = "a log that was set aside" if fate else "no log"
                logger.warning("%s is %s and left alone", self.folder.path / name, what)
        for partition in found:
            if partition[0] not in self._settings:
                self._settings[partition[0]] = self._settings_of(partition[0])
        self._count = len(found)
        if found and not self.clean:
            logger.info("%s was not left in order: checking %d logs", self.folder.path, len(found))
        return found, leftovers

    def delete_delay_ms(self, topic: str) -> int:
        """file.delete.delay.ms of a topic."""
        return self._settings[topic].get("file_delete_delay_ms", 60_000)

    def slices(self, partitions: list[Partition]) -> list[list[Partition]]:
        """What one thread opens at a go: enough that its start costs little, and that no thread is
        left with the work when the others are done.
        """
        size = max(1, min(SLICE_MAX, len(partitions) // SLICES_AT_LEAST))
        return [partitions[i : i + size] for i in range(0, len(partitions), size)]

    def open_all(
        self, partitions: list[Partition], wanted_ids: Mapping[str, bytes]
    ) -> list[tuple[Partition, Log | Exception]]:
        """Opens several logs; what went wrong with one stands in its place."""
        opened: list[tuple[Partition, Log | Exception]] = []
        for partition in partitions:
            try:
                opened.append((partition, self.open(partition, wanted_ids.get(partition[0]))))
            except (OSError, ValueError) as error:
                opened.append((partition, error))
        return opened

    def open(self, partition: Partition, wanted_id: bytes | None) -> Log:
        """Opens one log. Raises OSError, ValueError (CorruptLog or a malformed file)."""
        path = self.folder.path / names.folder_name(*partition)
        started = time.monotonic()
        topic_id = self._topic_id(path, wanted_id)
        if topic_id == names.NO_TOPIC_ID and wanted_id is not None:
            topic_id = wanted_id
            names.write_topic_id(path, topic_id)
        log = Log.open(
            str(path),
            topic=partition[0],
            partition=partition[1],
            topic_id=topic_id,
            settings=self._settings[partition[0]],
            clean=self.clean,
            recovery_point=self._recovery_points.get(partition, 0),
            log_start_offset=self._log_start_offsets.get(partition, 0),
            high_watermark=self._high_watermarks.get(partition, 0),
            disk=self._disk,
        )
        seconds = time.monotonic() - started
        self._tell(log, partition, seconds)
        return log

    def _tell(self, log: Log, partition: Partition, seconds: float) -> None:
        """What was not in order in a log, and that it took long."""
        start = self._log_start_offsets.get(partition, 0)
        if start > log.end_offset:
            logger.warning(
                "%s is not used for %s-%d: it says that the log starts at %d, which ends at %d",
                *(self._log_starts_path, *partition, start, log.end_offset),
            )
        _, cut = log.recovered
        if cut:
            logger.warning(
                "%s: %d bytes behind offset %d were no whole batches and are cut off",
                *(log.path, cut, log.end_offset),
            )
        if seconds > LONG_RECOVERY_S:
            logger.info(
                "%s-%d is open after %.1f s: offsets %d to %d",
                *(*partition, seconds, log.log_start_offset, log.end_offset),
            )

    def _topic_id(self, path: Path, wanted_id: bytes | None) -> bytes:
        try:
            return names.read_topic_id(path)
        except ValueError as error:
            if wanted_id is None:
                raise
            logger.warning("%s; it is written again", error)
            return names.NO_TOPIC_ID

    async def tell_progress(self, logs: Mapping[Partition, Log]) -> None:
        """A line every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
            logger.info("%s: %d of %d logs are open", self.folder.path, len(logs), self._count)

    def tell_result(self, logs: Mapping[Partition, Log], seconds: float) -> None:
        """The last line of the start. Logs that were closed are looked at too, but only a little:
        what follows their last index entry, and indexes that are damaged are made again.
        """
        path, count = self.folder.path, len(logs)
        if self.clean or not logs:
            logger.info("%s: opened %d logs in %.2f s", path, count, seconds)
            return
        logger.info(
            "%s: checked and opened %d logs in %.2f s, %d bytes read again",
            *(path, count, seconds, sum(log.recovered[0] for log in logs.values())),
        )
