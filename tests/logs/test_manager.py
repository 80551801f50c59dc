"""All logs of a folder: opened, created, removed, kept by the clock, closed."""

import asyncio
import logging
import os
import re

import pytest

from fastlog.logs import checkpoints, partition
from fastlog.logs.errors import FolderNotUsable, LogsNotOpened, TopicIdMismatch
from fastlog.logs.folder import LogFolder
from fastlog.logs.manager import Intervals, LogManager
from fastlog_ext.batch import build
from tests.engine.logs import read_all

TOPIC_ID = bytes(range(16))
MARKER = ".kafka_cleanshutdown"
SETTINGS = {"segment_bytes": 1000, "file_delete_delay_ms": 30}
NEVER = 3_600_000
QUIET = Intervals(NEVER, NEVER, NEVER, NEVER, NEVER)


def settings_of(topic):
    return SETTINGS


def append(log, count=1, value=b"x" * 100, **more):
    for _ in range(count):
        error, offset, _ = log.append(build([(1000, b"k", value)], **more))
        assert error == 0
    return offset


async def started(path, intervals=QUIET, **more):
    manager = LogManager(LogFolder.open(path), intervals)
    await manager.start(settings_of, **more)
    return manager


async def with_log(path, intervals=QUIET, topic="clicks", partition=0):
    manager = await started(path, intervals)
    log = await manager.create_partition(topic, TOPIC_ID, partition, SETTINGS)
    log.become_leader(0)
    return manager, log


async def until(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def checkpoint(path, name):
    return checkpoints.parse((path / name).read_text())


def test_a_folder_is_closed_in_order_and_opened_again(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 25)
        assert not manager.was_clean
        assert await manager.shutdown()
        names = os.listdir(tmp_path)
        assert sorted(names) == sorted(
            ["clicks-0", ".lock", MARKER, *(checkpoint_name for checkpoint_name in CHECKPOINTS)]
        )
        assert checkpoint(tmp_path, checkpoints.RECOVERY_POINTS) == {("clicks", 0): 25}
        assert checkpoint(tmp_path, checkpoints.HIGH_WATERMARKS) == {("clicks", 0): 25}
        assert checkpoint(tmp_path, checkpoints.LOG_START_OFFSETS) == {}

        manager = await started(tmp_path)
        assert manager.was_clean
        assert not (tmp_path / MARKER).exists()
        log = manager.get("clicks", 0)
        assert (log.end_offset, log.recovery_point, log.topic_id) == (25, 25, TOPIC_ID)
        assert manager.get("clicks", 1) is None
        assert await manager.shutdown()

    asyncio.run(main())


CHECKPOINTS = (
    checkpoints.RECOVERY_POINTS,
    checkpoints.HIGH_WATERMARKS,
    checkpoints.LOG_START_OFFSETS,
)


def test_after_an_abort_everything_is_checked(tmp_path, caplog):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 25)
        manager.abort()
        assert not (tmp_path / MARKER).exists()
        with caplog.at_level(logging.INFO, "fastlog.logs"):
            manager = await started(tmp_path)
        assert not manager.was_clean
        assert manager.get("clicks", 0).end_offset == 25
        assert await manager.shutdown()

    asyncio.run(main())
    assert "was not left in order: checking 1 logs" in caplog.text


def test_many_logs_are_opened_together(tmp_path):
    async def main():
        manager = await started(tmp_path)
        created = await asyncio.gather(
            *(manager.create_partition("t", TOPIC_ID, number, SETTINGS) for number in range(30))
        )
        for number, log in enumerate(created):
            log.become_leader(3)
            append(log, number) if number else None
        assert await manager.shutdown()
        manager = await started(tmp_path)
        found = {partition: log.end_offset for (_, partition), log in manager.logs.items()}
        assert found == {number: number for number in range(30)}
        assert await manager.shutdown()

    asyncio.run(main())


def test_creating_again_gives_the_same_log(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path)
        again = await asyncio.gather(
            *(manager.create_partition("clicks", TOPIC_ID, 0, SETTINGS) for _ in range(3))
        )
        assert all(each is log for each in again)
        with pytest.raises(TopicIdMismatch, match="clicks-0 holds topic AAECAwQFBgcICQoLDA0ODw"):
            await manager.create_partition("clicks", bytes(16), 0, SETTINGS)
        await manager.shutdown()

    asyncio.run(main())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    async def main():
        manager = await started(tmp_path)
        (tmp_path / "clicks-0").write_text("a file stands in the way")
        with pytest.raises(FolderNotUsable, match="clicks-0 cannot be used for logs: File exists"):
            await manager.create_partition("clicks", TOPIC_ID, 0, SETTINGS)
        assert manager.get("clicks", 0) is None
        await manager.shutdown()

    asyncio.run(main())


@pytest.mark.parametrize("there", ["empty", "half-made", "another topic", "records"])
def test_what_a_failed_creation_left_is_taken_over(tmp_path, there):
    """Without descriptors nothing can be tidied up. What is somebody else's stays."""
    folder = tmp_path / "clicks-0"

    async def main():
        manager = await started(tmp_path)
        folder.mkdir()
        if there != "empty":
            (folder / f"{0:020d}.log").write_bytes(b"x" if there == "records" else b"")
        if there == "another topic":
            partition.write_topic_id(folder, bytes([7]) * 16)
        if there in ("empty", "half-made"):
            log = await manager.create_partition("clicks", TOPIC_ID, 0, SETTINGS)
            log.become_leader(0)
            assert append(log) == 0
        else:
            before = {path: path.read_bytes() for path in folder.iterdir()}
            with pytest.raises(FolderNotUsable, match="File exists"):
                await manager.create_partition("clicks", TOPIC_ID, 0, SETTINGS)
            assert {path: path.read_bytes() for path in folder.iterdir()} == before
        await manager.shutdown()

    asyncio.run(main())


def test_a_removed_log_is_renamed_at_once_and_goes_later(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 20)
        assert await manager.remove_partition("clicks", 0)
        assert log.closed
        assert manager.get("clicks", 0) is None
        assert not (tmp_path / "clicks-0").exists()
        assert not await manager.remove_partition("clicks", 0)
        await manager.create_partition("clicks", bytes(16), 0, SETTINGS)
        await until(lambda: not list(tmp_path.glob("*-delete")))
        assert (tmp_path / "clicks-0").is_dir()
        assert await manager.shutdown()

    asyncio.run(main())


def test_a_deletion_that_was_cut_short_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr("fastlog.logs.manager.FILE_DELETE_DELAY_MS", 1)

    async def main():
        manager, _ = await with_log(tmp_path)
        await manager.update_settings("clicks", {"file_delete_delay_ms": NEVER})
        await manager.remove_partition("clicks", 0)
        assert await manager.shutdown()
        assert len(list(tmp_path.glob("clicks-0.*-delete"))) == 1
        manager = await started(tmp_path)
        assert not manager.logs
        await until(lambda: not list(tmp_path.glob("*-delete")))
        await manager.shutdown()

    asyncio.run(main())


def test_a_stray_log_is_kept_aside(tmp_path, caplog):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 3)
        assert await manager.set_aside("clicks", 0)
        assert await manager.shutdown()
        manager = await started(tmp_path)
        assert not manager.logs
        await manager.shutdown()
        (stray,) = tmp_path.glob("clicks-0.*-stray")
        assert (stray / "00000000000000000000.log").stat().st_size > 0

    asyncio.run(main())
    assert "is a log that was set aside and left alone" in caplog.text


def test_what_is_no_log_is_left_alone(tmp_path, caplog):
    for name in ("lost+found", "remote-log-index-cache", "clicks-0.abc-future"):
        (tmp_path / name).mkdir()

    async def main():
        manager = await started(tmp_path)
        assert not manager.logs
        await manager.shutdown()

    asyncio.run(main())
    assert "lost+found is no log and left alone" in caplog.text
    assert "remote-log-index-cache" not in caplog.text
    assert (tmp_path / "clicks-0.abc-future").is_dir()


def test_a_log_that_cannot_be_opened_ends_the_start(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 3)
        await manager.shutdown()
        for number in (1, 2):
            (tmp_path / f"clicks-{number}").mkdir()
            (tmp_path / f"clicks-{number}" / "partition.metadata").write_text("nonsense")
        manager = LogManager(LogFolder.open(tmp_path), QUIET)
        with pytest.raises(
            LogsNotOpened, match=r"clicks-1 cannot be opened: .*\(and 1 more logs\)"
        ):
            await manager.start(settings_of)
        manager.abort()
        assert not (tmp_path / MARKER).exists()
        LogFolder.open(tmp_path).close()

    asyncio.run(main())


def test_a_missing_topic_id_is_filled_in(tmp_path):
    async def main():
        manager, _ = await with_log(tmp_path)
        await manager.shutdown()
        (tmp_path / "clicks-0" / "partition.metadata").unlink()
        manager = await started(tmp_path)
        assert manager.get("clicks", 0).topic_id == bytes(16)
        await manager.shutdown()
        manager = await started(tmp_path, topic_ids={"clicks": TOPIC_ID})
        assert manager.get("clicks", 0).topic_id == TOPIC_ID
        await manager.shutdown()
        assert (tmp_path / "clicks-0" / "partition.metadata").exists()

    asyncio.run(main())


def test_malformed_checkpoints_only_cost_time(tmp_path, caplog):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 25)
        await manager.shutdown()
        for name in CHECKPOINTS:
            (tmp_path / name).write_text("nonsense")
        (tmp_path / MARKER).unlink()
        manager = await started(tmp_path)
        assert manager.get("clicks", 0).end_offset == 25
        await manager.shutdown()

    asyncio.run(main())
    assert caplog.text.count("is not used: line 1") == 3


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "unclean"])
def test_a_log_start_beyond_the_end_deletes_nothing(clean, tmp_path, caplog):
    path = tmp_path / checkpoints.LOG_START_OFFSETS

    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 25)
        await manager.create_partition("clicks", TOPIC_ID, 1, SETTINGS)
        await manager.shutdown()
        path.write_text("0\n2\nclicks 0 26\nclicks 1 0\n")
        if not clean:
            (tmp_path / MARKER).unlink()
        manager = await started(tmp_path)
        log = manager.get("clicks", 0)
        assert (log.log_start_offset, log.end_offset, len(read_all(log))) == (0, 25, 25)
        log.become_leader(1)
        assert append(log) == 25
        await manager.shutdown()
        assert checkpoint(tmp_path, checkpoints.LOG_START_OFFSETS) == {}
        path.write_text("0\n1\nclicks 0 26\n")
        manager = await started(tmp_path)  # all of it may have been deleted
        log = manager.get("clicks", 0)
        assert (log.log_start_offset, log.end_offset, read_all(log)) == (26, 26, [])
        await manager.shutdown()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{path} is not used for clicks-0: it says that the log starts at 26, which ends at 25"
    ]


def test_only_after_an_unclean_end_is_something_read_again(tmp_path, caplog):
    async def main(clean):
        manager, log = await with_log(tmp_path, partition=int(clean))
        append(log, 3)
        if clean:
            await manager.shutdown()
        else:
            manager.abort()
        with caplog.at_level(logging.INFO):
            manager = await started(tmp_path)
        await manager.shutdown()

    asyncio.run(main(clean=False))
    assert re.search(r"checked and opened 1 logs in .*, \d+ bytes read again$", caplog.text, re.M)
    caplog.clear()
    asyncio.run(main(clean=True))
    assert re.search(r"opened 2 logs in \S+ s$", caplog.text, re.M)


def test_checkpoints_are_written_by_the_clock(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path, Intervals(20, 20, 20, NEVER, NEVER))
        append(log, 25)
        log.set_log_start_offset(7)
        watermarks = tmp_path / checkpoints.HIGH_WATERMARKS
        starts = tmp_path / checkpoints.LOG_START_OFFSETS
        points = tmp_path / checkpoints.RECOVERY_POINTS
        await until(lambda: watermarks.exists() and "clicks 0 25" in watermarks.read_text())
        await until(lambda: starts.exists() and "clicks 0 7" in starts.read_text())
        # sealed segments are synced, so that a crash does not read them again
        await until(lambda: points.exists() and "clicks 0 25" in points.read_text())
        manager.abort()
        manager = await started(tmp_path)
        log = manager.get("clicks", 0)
        assert (log.log_start_offset, log.end_offset) == (7, 25)
        await manager.shutdown()

    asyncio.run(main())


def test_nothing_is_written_while_nothing_changes(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path, Intervals(10, 10, 10, 10, 10))
        append(log, 5)
        path = tmp_path / checkpoints.HIGH_WATERMARKS
        await until(lambda: path.exists() and "clicks 0 5" in path.read_text())
        inode = path.stat().st_ino
        await asyncio.sleep(0.1)
        assert path.stat().st_ino == inode
        await manager.shutdown()

    asyncio.run(main())


def test_quiet_segments_roll_and_quiet_producers_go(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path, Intervals(NEVER, NEVER, NEVER, 10, 10))
        append(log, producer_id=7, producer_epoch=0, base_sequence=0)
        await manager.update_settings(
            "clicks", {"segment_ms": 1, "producer_id_expiration_ms": 1, "segment_jitter_ms": 0}
        )
        await until(lambda: len(log.segments()) > 1)
        late = build([(1000, b"k", b"v")], producer_id=7, producer_epoch=0, base_sequence=99)
        await until(lambda: log.append(late)[0] == 0)  # accepted once nothing is known of 7
        await manager.shutdown()

    asyncio.run(main())


def test_the_lock_is_kept_while_running(tmp_path):
    async def main():
        manager = await started(tmp_path, Intervals(NEVER, NEVER, 10, NEVER, NEVER))
        (tmp_path / ".lock").unlink()
        await until((tmp_path / ".lock").exists)
        await manager.shutdown()

    asyncio.run(main())


def test_files_of_a_truncation_go_later(tmp_path):
    async def main():
        manager, log = await with_log(tmp_path)
        append(log, 40)
        left = log.set_log_start_offset(30)
        assert left and all(path.endswith(".deleted") for path in left)
        manager.delete_files_later(("clicks", 0), left)
        await until(lambda: not any(map(os.path.exists, left)))
        await manager.shutdown()

    asyncio.run(main())
