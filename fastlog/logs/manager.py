"""All logs of one folder: opened together, kept by the clock, closed together.

When the folder's storage fails, whoever notices it (a log's append or read, a checkpoint), all its
logs go offline together: nothing is written any more, and their clients get KAFKA_STORAGE_ERROR.
"""

import asyncio
import contextlib
import logging
import os
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fastlog.logs import partition as names
from fastlog.logs.deletion import DelayedDeletion
from fastlog.logs.errors import (
    FolderError,
    FolderNotUsable,
    LogsNotOpened,
    TopicIdMismatch,
    is_storage_failure,
)
from fastlog.logs.files import sync_folder
from fastlog.logs.folder import LogFolder
from fastlog.logs.free_space import FreeSpace
from fastlog.logs.housekeeping import Housekeeping
from fastlog.logs.loading import Loader
from fastlog.logs.room import Room
from fastlog_ext.disk import Disk
from fastlog_ext.partition_log import Log

Partition = tuple[str, int]
EngineSettings = dict[str, int]
FILE_DELETE_DELAY_MS = 60_000
CLOSED_AT_A_GO = 16  # logs, on one thread
THREADS = min(8, 2 * (os.cpu_count() or 1))  # they wait for the disk, or work without the GIL
logger = logging.getLogger(__name__)


class Intervals(NamedTuple):
    """How often the work by the clock is done, in milliseconds."""

    recovery_points_ms: int = 60_000
    log_start_offsets_ms: int = 60_000
    high_watermarks_ms: int = 5_000
    rolls_ms: int = 5_000
    producers_ms: int = 600_000
    retention_ms: int = 300_000
    first_retention_ms: int = 30_000  # after the start
    free_space_ms: int = 1_000

    @classmethod
    def of(cls, settings) -> "Intervals":
        """As the broker's settings say."""
        return cls(
            recovery_points_ms=settings["log.flush.offset.checkpoint.interval.ms"],
            log_start_offsets_ms=settings["log.flush.start.offset.checkpoint.interval.ms"],
            high_watermarks_ms=settings["replica.high.watermark.checkpoint.interval.ms"],
            retention_ms=settings["log.retention.check.interval.ms"],
            first_retention_ms=settings["log.initial.task.delay.ms"],
        )


class LogManager:
    """Belongs to one event loop; what blocks runs on its own threads.

    Life: `start`, then anything, then `shutdown` or `abort`, once. The folder must be open; it is
    closed, and its lock given back, by either of the two.
    """

    def __init__(
        self,
        folder: LogFolder,
        intervals: Intervals | None = None,
        free_min_bytes: int = 0,
    ) -> None:
        self.folder = folder
        self.intervals = intervals or Intervals()
        self.was_clean = False
        self.failure: OSError | None = None
        # of a shutdown: the logs that are not closed yet, and whether all is done
        self.open_logs: set[Partition] = set()
        self.ended = False
        # Called with partitions whose logs have gone offline, by the folder's failure or their own.
        self.on_offline: Callable[[Collection[Partition]], None] = _nobody_listens
        self._logs: dict[Partition, Log] = {}
        self._told_offline: set[Partition] = set()
        self._disk = Disk()
        self._room = Room(folder.path, self._disk)
        self._free_space = FreeSpace(folder.path, self._disk, free_min_bytes)
        self._busy: weakref.WeakValueDictionary[Partition, asyncio.Lock]
        self._busy = weakref.WeakValueDictionary()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fastlog-logs")
        self._housekeeping = Housekeeping(folder, self._logs, self.delete_files_later)
        self._deletion = DelayedDeletion(self._pool)
        self._timers: list[asyncio.Task] = []
        self._letting_go: list[asyncio.Future] = []
        self._delete_delays_ms: dict[Partition, int] = {}

    # --- what is there ---

    @property
    def logs(self) -> Mapping[Partition, Log]:
        """All open logs, by topic and partition."""
        return self._logs

    def get(self, topic: str, partition: int) -> Log | None:
        """The log of a partition, or None."""
        return self._logs.get((topic, partition))

    # --- start ---

    async def start(
        self,
        settings_of: Callable[[str], EngineSettings],
        topic_ids: Mapping[str, bytes] | None = None,
    ) -> Mapping[Partition, Log]:
        """Opens every log in the folder, in parallel, recovering those that were not closed.

        `settings_of(topic)` gives the engine's settings; `topic_ids` those that partition.metadata
        does not tell. Raises LogsNotOpened, FolderNotUsable; abort is then all that is left to do.
        """
        self.was_clean = self.folder.take_clean_marker()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._disk.alarm_fd, self._alarmed)
        loader = Loader(self.folder, self._housekeeping, self.was_clean, settings_of, self._disk)
        partitions, leftovers = loader.partitions()
        for path in leftovers:
            self._deletion.remove_later([path], FILE_DELETE_DELAY_MS)
        started = time.monotonic()
        failures: list[tuple[str, Exception]] = []

        async def open_some(some: list[Partition]) -> None:
            for partition, opened in await self._run(loader.open_all, some, topic_ids or {}):
                if isinstance(opened, Exception):
                    failures.append((names.folder_name(*partition), opened))
                    continue
                self._logs[partition] = opened
                self._delete_delays_ms[partition] = loader.delete_delay_ms(partition[0])

        progress = asyncio.create_task(loader.tell_progress(self._logs))
        try:
            await asyncio.gather(*(open_some(some) for some in loader.slices(partitions)))
        finally:
            progress.cancel()
        if failures:
            raise LogsNotOpened(self.folder.path, sorted(failures, key=lambda item: item[0]))
        loader.tell_result(self._logs, time.monotonic() - started)
        self._start_timers()
        return self._logs

    def _start_timers(self) -> None:
        keeping, each = self._housekeeping, self.intervals
        for interval_ms, work in (
            (each.recovery_points_ms, keeping.checkpoint_recovery_points),
            (each.log_start_offsets_ms, keeping.checkpoint_log_start_offsets),
            (each.high_watermarks_ms, keeping.checkpoint_high_watermarks),
            (each.high_watermarks_ms, keeping.guard),
            (each.rolls_ms, keeping.roll),
            (each.producers_ms, keeping.expire_producers),
        ):
            self._start_timer(interval_ms, interval_ms, work)
        self._start_timer(each.first_retention_ms, each.retention_ms, keeping.remove_old)
        if self._free_space.floor_bytes:
            self._start_timer(0, each.free_space_ms, self._free_space.look)

    def _start_timer(self, first_ms: int, interval_ms: int, work: Callable[[], None]) -> None:
        self._timers.append(asyncio.create_task(self._repeat(first_ms, interval_ms, work)))

    async def _repeat(self, wait_ms: int, interval_ms: int, work: Callable[[], None]) -> None:
        told = None
        while True:
            await asyncio.sleep(max(wait_ms, 1) / 1000)
            wait_ms = interval_ms
            try:
                await self._run(work)
                told = None
            except (OSError, FolderError) as error:
                if isinstance(error, OSError) and is_storage_failure(error):
                    self.fail(error)
                    return
                if str(error) != told:  # a full disk is told once, not every few seconds
                    told = str(error)
                    logger.error("%s: %s", self.folder.path, error)
            except Exception:
                logger.exception("%s: defect in %s", self.folder.path, work.__name__)

    # --- failure ---

    def fail(self, error: OSError) -> None:
        """The folder's storage failed: all its logs are offline from now on. Does not wait."""
        if self.failure is not None:
            return
        self.failure = error
        self._room.stop()
        code = error.errno or 0
        for log in self._logs.values():
            log.fail(code)
        for timer in self._timers:
            timer.cancel()
        self._deletion.cancel()
        what = f"{error.strerror or error} ({error.filename})" if error.filename else str(error)
        logger.error("%s is offline, with its %d logs: %s", self.folder.path, len(self._logs), what)
        self._letting_go = [
            asyncio.ensure_future(self._run(log.take_offline, code)) for log in self._logs.values()
        ]
        self.on_offline(list(self._logs))

    def _alarmed(self) -> None:
        """A log has gone offline, or the disk is full."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._disk.alarm_fd)
        self._room.alarmed()
        for partition, log in list(self._logs.items()):
            code = log.storage_error
            if code is None or self.failure is not None or partition in self._told_offline:
                continue
            error = OSError(code, os.strerror(code), log.path)
            if is_storage_failure(error):
                self.fail(error)
            else:
                self._told_offline.add(partition)
                logger.error("%s-%d is offline: %s", *partition, error.strerror)
                self.on_offline([partition])

    def _may_fail(self, error: FolderNotUsable) -> FolderNotUsable:
        """`error`, after the folder went offline if that is what it means."""
        if is_storage_failure(error):
            self.fail(error.error)
        return error

    # --- partitions come and go ---

    async def create_partition(
        self, topic: str, topic_id: bytes, partition: int, settings: EngineSettings
    ) -> Log:
        """The log of a new partition, or of one that is there already.

        Raises TopicIdMismatch when the folder holds another topic of that name, FolderNotUsable.
        """
        key = topic, partition
        async with self._lock_of(key):
            log = self._logs.get(key)
            if log is None:
                try:
                    log = await self._run(self._create, key, topic_id, settings)
                except FolderNotUsable as error:
                    raise self._may_fail(error) from None
                self._logs[key] = log
            elif log.topic_id != topic_id:
                raise TopicIdMismatch(
                    f"{log.path} holds topic {names.encode_topic_id(log.topic_id)},"
                    f" not {names.encode_topic_id(topic_id)}"
                )
            self._note_delay(key, settings)
            return log

    def _create(self, key: Partition, topic_id: bytes, settings: EngineSettings) -> Log:
        path = self.folder.path / names.folder_name(*key)
        made = False
        try:
            self.folder.check_place()
            made = _make_folder(path, topic_id)
            names.write_topic_id(path, topic_id)
            sync_folder(self.folder.path)
            return Log.open(
                str(path),
                topic=key[0],
                partition=key[1],
                topic_id=topic_id,
                settings=settings,
                clean=True,
                disk=self._disk,
            )
        except OSError as error:
            if made:  # another folder may take the partition
                import shutil  # not for the start: it brings every compressor along

                shutil.rmtree(path, ignore_errors=True)
            raise FolderNotUsable(path, error) from None

    async def update_settings(self, topic: str, settings: EngineSettings) -> None:
        """Gives new settings to all logs of a topic."""
        for key, log in list(self._logs.items()):
            if key[0] == topic:
                await self._run(log.update, settings)
                self._note_delay(key, settings)

    async def remove_partition(self, topic: str, partition: int) -> bool:
        """Closes a partition's log at once and deletes its files after file.delete.delay.ms.

        Until then they lie in `<topic>-<partition>.<id>-delete`. False: there is no such log.
        """
        path = await self._put_aside((topic, partition), "delete")
        if path is None:
            return False
        delay_ms = self._delete_delays_ms.pop((topic, partition), FILE_DELETE_DELAY_MS)
        self._deletion.remove_later([path], delay_ms)
        logger.info("%s-%d is closed; its files go in %.0f s", topic, partition, delay_ms / 1000)
        return True

    async def forget(self, topic: str, partition: int) -> None:
        """Closes a log of a folder that failed; its files stay as they are."""
        async with self._lock_of((topic, partition)):
            log = self._logs.pop((topic, partition), None)
            if log is not None:
                await self._run(log.remove)

    async def set_aside(self, topic: str, partition: int) -> bool:
        """Closes a log that nobody knows of; its files stay, in `<topic>-<partition>.<id>-stray`.

        False: there is no such log.
        """
        path = await self._put_aside((topic, partition), "stray")
        if path is None:
            return False
        logger.warning("%s-%d belongs to no topic: set aside as %s", topic, partition, path.name)
        return True

    async def _put_aside(self, key: Partition, fate: str):
        async with self._lock_of(key):
            log = self._logs.get(key)
            if log is None:
                return None
            target = self.folder.path / names.set_aside_name(*key, fate)
            try:
                await self._run(self._close_and_rename, log, target)
            except FolderNotUsable as error:
                raise self._may_fail(error) from None
            del self._logs[key]
            return target

    def _close_and_rename(self, log: Log, target) -> None:
        log.remove()
        try:
            self.folder.check_place()
            os.rename(log.path, target)
            sync_folder(self.folder.path)
        except OSError as error:
            raise FolderNotUsable(self.folder.path, error) from None

    async def delete_records(
        self, offsets: Mapping[Partition, int]
    ) -> dict[Partition, int | Exception]:
        """Lets logs begin at an offset (-1: at the high watermark), and keeps it.

        Where each begins then, or OffsetOutOfRange, OSError, ValueError (it was closed).
        """
        try:
            return await self._run(self._housekeeping.delete_records, offsets)
        except OSError as error:
            if is_storage_failure(error):
                self.fail(error)
            return dict.fromkeys(offsets, error)

    def delete_files_later(self, key: Partition, paths: Sequence[str]) -> None:
        """For the *.deleted files that a log leaves; any thread, after `start`."""
        if paths:
            delay_ms = self._delete_delays_ms.get(key, FILE_DELETE_DELAY_MS)
            self._loop.call_soon_threadsafe(self._deletion.remove_later, paths, delay_ms)

    # --- the end ---

    async def shutdown(self) -> bool:
        """Closes all logs, writes the checkpoints, then the clean marker, then unlocks the folder.

        Returns whether everything was closed in order; if not, the next start recovers. Of a folder
        that failed nothing is written.
        """
        self.open_logs = set(self._logs)
        await self._stop_timers()
        clean = await (self._close_all() if self.failure is None else self._let_go_all())
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._logs.clear()
        await asyncio.to_thread(self._disk.close)
        self._let_go_folder()
        self.ended = True
        return clean

    async def _let_go_all(self) -> bool:
        await asyncio.gather(*self._letting_go, return_exceptions=True)
        for log in self._logs.values():
            await self._run(log.remove)
        return False

    async def _close_all(self) -> bool:
        closing = (self._run(self._close, some) for some in self._slices())
        clean = all(await asyncio.gather(*closing))
        try:
            await self._run(self._housekeeping.checkpoint_all)
            if clean:
                await self._run(self.folder.write_clean_marker)
        except OSError as error:
            clean = False
            logger.error("%s: the clean marker is not written: %s", self.folder.path, error)
        return clean

    def _close(self, logs: list[tuple[Partition, Log]]) -> bool:
        """Whether all were closed in order. On a thread of the pool."""
        clean = True
        for partition, log in logs:
            try:
                log.close()
            except (OSError, ValueError) as error:
                clean = False
                logger.error("%s-%d was not closed: %s", *partition, error)
            self.open_logs.discard(partition)
        return clean

    def _slices(self) -> list[list[tuple[Partition, Log]]]:
        items = list(self._logs.items())
        return [items[i : i + CLOSED_AT_A_GO] for i in range(0, len(items), CLOSED_AT_A_GO)]

    def _let_go_folder(self) -> None:
        self._room.stop()
        asyncio.get_running_loop().remove_reader(self._disk.alarm_fd)
        self.folder.close()

    def abort(self) -> None:
        """Lets go of everything at once. The next start finds no clean marker and recovers."""
        self.open_logs = set(self._logs)
        for timer in self._timers:
            timer.cancel()
        self._deletion.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._let_go_folder()

    async def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*self._timers, return_exceptions=True)
        self._timers.clear()
        self._deletion.cancel()

    # --- small things ---

    async def _run(self, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def _lock_of(self, key: Partition) -> asyncio.Lock:
        return self._busy.setdefault(key, asyncio.Lock())

    def _note_delay(self, key: Partition, settings: EngineSettings) -> None:
        if "file_delete_delay_ms" in settings:
            self._delete_delays_ms[key] = settings["file_delete_delay_ms"]


def _make_folder(path: Path, topic_id: bytes) -> bool:
    """Whether it was not there. It may be: of a creation that failed, and could not tidy up."""
    try:
        path.mkdir()
    except FileExistsError:
        if not _is_left_over(path, topic_id):
            raise
        return False
    return True


def _is_left_over(path: Path, topic_id: bytes) -> bool:
    try:
        if not path.is_dir() or names.read_topic_id(path) not in (names.NO_TOPIC_ID, topic_id):
            return False
    except ValueError:
        return False
    return not any(log.stat().st_size for log in path.glob("*.log"))


def _nobody_listens(partitions: Collection[Partition]) -> None:
    """Logs that nobody shares with others have nobody to tell."""
