"""Which segments go by age and size, against a plain reference, and what becomes of a log then."""

import asyncio
import logging
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlog.logs import retention
from fastlog.logs.folder import LogFolder
from fastlog.logs.manager import Intervals, LogManager
from fastlog.logs.retention import Clock, Limits, Reason, Segment, Why, expired, explain
from fastlog_ext import log_retention, log_trim
from tests.engine.logs import batch, open_log, read_all
from tests.peers.small_disk import fill_up, small_disk

NOW = 1_000_000
OUT_OF_RANGE = 1


# --- the rules ---


def reference(segments, timestamps, limits, log_start, high_watermark):
    """Kafka's three passes, each over what the one before left; how many segments go."""
    left = list(range(len(segments)))
    rolled = []  # the empty segment behind all others, once they have gone

    def remove(predicate):
        nonlocal left, rolled
        gone = 0
        for place, number in enumerate(left):
            segment = segments[number]
            follows = left[place + 1 :] or rolled
            if segment.end_offset > high_watermark or not predicate(number, bool(follows)):
                break
            if not follows and segment.size_bytes == 0:
                break
            gone += 1
        if gone == len(left) and gone:
            rolled = ["empty"]
        left = left[gone:]

    def by_size():
        over = sum(segments[number].size_bytes for number in left) - limits.retention_bytes

        def predicate(number, _):
            nonlocal over
            if over - segments[number].size_bytes < 0:
                return False
            over -= segments[number].size_bytes
            return True

        return predicate

    remove(lambda number, follows: follows and segments[number].end_offset <= log_start)
    if limits.retention_bytes >= 0:
        remove(by_size())
    if limits.retention_ms >= 0:
        remove(lambda number, _: NOW - timestamps[number] > limits.retention_ms)
    return len(segments) - len(left)


@st.composite
def logs(draw):
    sizes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 300)), max_size=8))
    segments, base = [], draw(st.integers(0, 50))
    for records, size in sizes:
        segments.append(Segment(base, base + records, size))
        base += records
    if not segments or draw(st.booleans()):
        segments.append(Segment(base, base, 0))
    ages = st.integers(-100, 1000)
    timestamps = [NOW - draw(ages) for _ in segments]
    limits = Limits(
        draw(st.sampled_from((-1, 0, 1, 100, 500))), draw(st.sampled_from((-1, 0, 1, 300, 700)))
    )
    bounds = st.integers(segments[0].base_offset, base)
    log_start, high_watermark = sorted((draw(bounds), draw(bounds)))
    return segments, timestamps, limits, log_start, high_watermark


@given(logs())
def test_the_same_segments_go_as_by_the_reference(log):
    segments, timestamps, limits, log_start, high_watermark = log
    times = dict(zip(segments, timestamps, strict=True))
    asked = []

    def timestamp_of(segment):
        asked.append(segment)
        return times[segment]

    gone = expired(segments, limits, log_start, high_watermark, NOW, timestamp_of)
    assert [one for one, _ in gone] == segments[: len(gone)]
    assert len(gone) == reference(segments, timestamps, limits, log_start, high_watermark)
    assert asked == [one for one in segments[: len(gone) + 1] if one in asked], "only the oldest"


@given(logs())
def test_what_is_told_of_a_segment_comes_true(log):
    segments, timestamps, limits, log_start, high_watermark = log
    ages = dict(zip(segments, timestamps, strict=True))
    told = explain(segments, limits, log_start, high_watermark, NOW, ages.__getitem__)
    assert [one.segment for one in told] == segments
    due = len(expired(segments, limits, log_start, high_watermark, NOW, ages.__getitem__))
    assert [one.why is Why.DUE for one in told] == [n < due for n in range(len(segments))]

    def gone(now_ms, limits, more=0):
        """How many go of those that are not due, after the last has grown, all being visible."""
        if due == len(segments):
            return 0
        last = segments[-1]._replace(size_bytes=segments[-1].size_bytes + more)
        left = [*segments[due:-1], last]
        times = {**ages, last: timestamps[-1]}
        return len(expired(left, limits, log_start, last.end_offset, now_ms, times.__getitem__))

    by_age, by_size = limits._replace(retention_bytes=-1), limits._replace(retention_ms=-1)
    for number, one in enumerate(told[due:], 1):
        if one.why is Why.UNCOMMITTED:
            assert one.segment.end_offset > high_watermark
            continue
        assert one.why is Why.EMPTY or (
            (one.why is Why.UNLIMITED) == (one.until_ms == one.until_bytes == -1)
        )
        if one.until_ms >= 0:
            assert gone(one.until_ms, by_age) < number <= gone(one.until_ms + 1, by_age)
        if one.until_bytes >= 0 and number < len(segments) - due:
            assert gone(NOW, by_size, one.until_bytes) >= number
            assert gone(NOW, by_size, one.until_bytes - 1) < number


def test_size_keeps_at_least_so_much():
    segments = [Segment(number, number + 1, 100) for number in range(5)]
    for limit, gone in ((500, 0), (401, 0), (400, 1), (301, 1), (300, 2), (0, 5), (-1, 0)):
        found = expired(segments, Limits(-1, limit), 0, 5, NOW, lambda _: NOW)
        assert [reason for _, reason in found] == gone * [Reason.SIZE], limit


# --- the clock ---


def test_a_jump_of_the_clock_ahead_counts_one_round_later():
    wall, monotonic = [1000.0], [5.0]
    clock = Clock(lambda: wall[0], lambda: monotonic[0])

    def step(wall_s, monotonic_s):
        wall[0] += wall_s
        monotonic[0] += monotonic_s
        return clock.now_ms() - 1_000_000

    assert step(10, 10) == 10_000
    assert step(3610, 10) == 20_000, "not believed at once"
    assert step(-3590, 10) == 30_000, "it was a mistake"
    assert step(3610, 10) == 40_000
    assert step(10, 10) == 3_650_000, "it has stayed: it is believed"
    assert step(-7200, 10) == -3_550_000, "set back: at once"
    assert step(10, 10) == -3_540_000


# --- a log ---


def filled(folder, count=20, **settings):
    """A log of one record a segment, of times 1000, 1001 and so on."""
    log = open_log(folder, **{"file_delete_delay_ms": 1000, **settings})
    for number in range(count):
        if number:
            log.roll()
        log.append(batch(b"%d" % number, timestamp=1000 + number))
    return log


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_log_loses_its_oldest_and_says_why(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    log = filled(tmp_path / "topic-0", 20, retention_ms=100)
    sizes = [one["size_bytes"] for one in log.segments()]
    log.update({"retention_bytes": sum(sizes[2:])})
    left = retention.apply(log, 1000)
    assert log.log_start_offset == 2 and bases(left) == {0, 1}
    left = retention.apply(log, 1115)  # those of up to 1014
    assert log.log_start_offset == 15 and bases(left) == set(range(2, 15))
    assert [record[0] for record in read_all(log)] == [15, 16, 17, 18, 19]
    assert retention.apply(log, 1115) == []
    assert retention.apply(log, 0) == [], "a clock that was set back"
    assert [record.getMessage() for record in caplog.records] == [
        f"topic-0: 2 segments, {sum(sizes[:2])} bytes, are removed; the log starts at 2 now "
        f"(2 beyond retention.bytes={sum(sizes[2:])})",
        f"topic-0: 13 segments, {sum(sizes[2:15])} bytes, are removed; the log starts at 15 now "
        "(13 older than retention.ms=100)",
    ]
    log.close()


def bases(deleted):
    """Of the segments whose files were put aside; they are there still."""
    assert all(os.path.exists(path) and path.endswith(".deleted") for path in deleted)
    return {int(os.path.basename(path)[:20]) for path in deleted}


def test_when_all_is_expired_an_empty_segment_stays(tmp_path):
    log = filled(tmp_path / "topic-0", 3, retention_ms=100, file_delete_delay_ms=0)
    assert retention.apply(log, 5000) == []
    assert (log.log_start_offset, log.end_offset) == (3, 3)
    assert [one["base_offset"] for one in log.segments()] == [3]
    assert log.read(2, 100)[0] == OUT_OF_RANGE and log.read(3, 100) == (0, b"")
    assert not [name for name in names(tmp_path / "topic-0") if name.startswith(f"{2:020d}")]
    assert retention.apply(log, 5000) == [] and len(log.segments()) == 1, "not again and again"
    assert log.append(batch(b"next", timestamp=6000))[:2] == (0, 3)
    log.close()
    log = open_log(tmp_path / "topic-0", leader_epoch=None)
    assert (log.log_start_offset, log.end_offset) == (3, 4)


def test_a_full_disk_does_not_keep_the_old_ones(tmp_path, caplog):
    """All but the active one, behind which there is no room for another, until there is."""
    caplog.set_level(logging.INFO)
    with small_disk(tmp_path / "small", "1m") as disk:
        log = filled(disk / "topic-0", 3, retention_ms=100, file_delete_delay_ms=0)
        fill_up(disk)
        assert retention.apply(log, 5000) == []
        assert [one["base_offset"] for one in log.segments()] == [2]
        assert log.log_start_offset == 3 and log.storage_error is None
        assert not list(disk.glob("topic-0/*0[01].log"))
        assert log.read(2, 100)[0] == OUT_OF_RANGE
        retention.apply(log, 5000)  # the others have made room
        assert [one["base_offset"] for one in log.segments()] == [3]
        log.close()
    told = [record.getMessage() for record in caplog.records]
    assert ["2 segments" in told[0], "1 segments" in told[1], len(told)] == [True, True, 2]


def test_nothing_above_the_high_watermark_goes(tmp_path):
    log = filled(tmp_path / "topic-0", 3, retention_ms=0)
    log.hold_high_watermark(True)
    for number in range(3, 6):
        log.roll()
        log.append(batch(b"v", timestamp=1000 + number))
    retention.apply(log, NOW)
    assert log.log_start_offset == 3 == log.high_watermark
    log.hold_high_watermark(False)
    retention.apply(log, NOW)
    assert log.log_start_offset == 6
    log.close()


def test_the_time_of_the_file_counts_where_records_have_none(tmp_path):
    log = open_log(tmp_path / "topic-0", retention_ms=100)
    for changed_s in (50, 60, 0):
        log.append(batch(b"v", timestamp=-1))
        if changed_s:
            os.utime(log.segments()[-1]["path"], (changed_s, changed_s))
            log.roll()
    assert log_retention.largest_timestamp(log, 0) == 50_000
    retention.apply(log, 50_101)
    assert log.log_start_offset == 1
    with pytest.raises(FileNotFoundError):
        log_retention.largest_timestamp(log, 0)
    log.close()


def test_records_of_the_future_stay_and_keep_what_follows(tmp_path):
    log = open_log(tmp_path / "topic-0", retention_ms=100)
    for timestamp in (10, NOW * 9, 10, 10):
        log.append(batch(b"v", timestamp=timestamp))
        log.roll()
    retention.apply(log, NOW)
    assert log.log_start_offset == 1
    log.close()


def test_epochs_and_snapshots_go_with_their_segments(tmp_path):
    folder = tmp_path / "topic-0"
    log = open_log(folder, file_delete_delay_ms=0, leader_epoch=None)
    for epoch in range(4):
        log.become_leader(epoch)
        log.append(batch(b"v", producer_id=7, producer_epoch=0, base_sequence=epoch))
        log.roll()
    log.set_log_start_offset(2)
    assert log.end_offset_for_epoch(1) == (1, 2) and log.end_offset_for_epoch(2) == (2, 3)
    assert [name for name in names(folder) if name.endswith("snapshot")] == [
        f"{base:020d}.snapshot" for base in (2, 3, 4)
    ]
    again = batch(b"v", producer_id=7, producer_epoch=0, base_sequence=3)
    assert log.append(again)[:2] == (0, 3), "its producer is not forgotten"
    log.close()
    epochs = (folder / "leader-epoch-checkpoint").read_text().splitlines()
    assert epochs == ["0", "2", "2 2", "3 3"]


def test_appends_and_reads_go_on_while_files_are_renamed(tmp_path, monkeypatch):
    """Nobody who renames a thousand files has the role of writer."""
    log = filled(tmp_path / "topic-0", 50, retention_ms=100)
    rename = log_trim.set_aside
    seen = []

    def slowly(folder, bases, delay_ms):
        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join(30)
        return rename(folder, bases, delay_ms)

    def meanwhile():
        assert log.append(batch(b"v", timestamp=NOW))[0] == 0
        assert log.roll()
        seen.append((log.log_start_offset, log.read(49, 100)[0], len(read_all(log))))

    monkeypatch.setattr(log_trim, "set_aside", slowly)
    assert len(retention.apply(log, 5000)) >= 150
    assert seen == [(50, OUT_OF_RANGE, 1)]
    log.close()


def test_who_renames_files_excludes_others_who_do(tmp_path, monkeypatch):
    log = filled(tmp_path / "topic-0", 5, retention_ms=100)
    rename, order = log_trim.set_aside, []

    def slowly(folder, bases, delay_ms):
        if not order:
            order.append("retention")
            thread = threading.Thread(target=start_anew)
            thread.start()
            threads.append(thread)
        return rename(folder, bases, delay_ms)

    def start_anew():
        log.truncate_fully(2)
        order.append("truncation")

    threads = []
    monkeypatch.setattr(log_trim, "set_aside", slowly)
    left = retention.apply(log, 1103)
    threads[0].join(30)
    assert order == ["retention", "truncation"] and left
    assert (log.log_start_offset, log.end_offset) == (2, 2)
    assert (tmp_path / "topic-0" / f"{2:020d}.log").exists()
    log.close()


@pytest.mark.parametrize("renamed", [0, 1, 2, 5, 11, 12])
def test_a_crash_between_renames(tmp_path, renamed, monkeypatch):
    """What stops in between leaves a shorter log, never one with a hole."""
    log = filled(tmp_path / "topic-0", 6, retention_ms=100)
    rename, done = os.rename, []

    def dies(source, target):
        if len(done) == renamed:
            raise KeyboardInterrupt
        done.append(source)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", dies)
        with pytest.raises(KeyboardInterrupt):
            retention.apply(log, 1105)  # all but the last
    log.remove()
    log = open_log(tmp_path / "topic-0", clean=False)
    left = [record[0] for record in read_all(log)]
    assert left == list(range(log.log_start_offset, 6)) and left
    assert log.end_offset == 6 and log.append(batch(b"v"))[:2] == (0, 6)
    assert not list((tmp_path / "topic-0").glob("*.deleted"))
    log.close()


def test_readers_of_what_goes_are_told_never_given_what_follows(tmp_path):
    log = filled(tmp_path / "topic-0", 600, file_delete_delay_ms=0)
    wrong, answered, ended = [], set(), threading.Event()

    def read():
        while not ended.is_set():
            offset = log.log_start_offset
            error, data = log.read(offset, 100)
            answered.add(error)
            if error != OUT_OF_RANGE and int.from_bytes(data[:8], "big") != offset:
                wrong.append((offset, error, data[:8]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for offset in range(1, 600):
        log.set_log_start_offset(offset)
    ended.set()
    for reader in readers:
        reader.join()
    assert not wrong and 0 in answered
    log.close()


# --- by the clock ---

NEVER = 3_600_000


async def running(path, **intervals):
    chosen = Intervals(*[NEVER] * 5)._replace(**intervals)
    manager = LogManager(LogFolder.open(path), chosen)
    await manager.start(lambda topic: SETTINGS)
    return manager


SETTINGS = {"segment_bytes": 200, "file_delete_delay_ms": 30, "retention_ms": 100}


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_folder_is_looked_through_by_the_clock(tmp_path):
    async def main():
        manager = await running(tmp_path, first_retention_ms=10, retention_ms=10)
        logs = [await manager.create_partition("t", bytes(16), n, SETTINGS) for n in range(3)]
        for log in logs:
            log.become_leader(0)
            for _ in range(5):
                log.append(batch(b"x" * 100, timestamp=1000))
        await until(lambda: all(log.log_start_offset == 5 for log in logs))
        await until(lambda: not list(tmp_path.glob("*/*.deleted")))
        assert {len(log.segments()) for log in logs} == {1}
        assert await manager.shutdown()
        manager = await running(tmp_path)
        assert {log.log_start_offset for log in manager.logs.values()} == {5}
        await manager.shutdown()

    asyncio.run(main())


def test_what_was_renamed_before_a_stop_goes_at_the_next_start(tmp_path):
    async def main():
        manager = await running(tmp_path, first_retention_ms=10, retention_ms=10)
        settings = {**SETTINGS, "file_delete_delay_ms": NEVER}
        log = await manager.create_partition("t", bytes(16), 0, settings)
        log.become_leader(0)
        log.append(batch(b"x", timestamp=1000))
        await until(lambda: log.log_start_offset == 1)
        await until(lambda: list(tmp_path.glob("*/*.deleted")))
        manager.abort()
        manager = await running(tmp_path)
        assert not list(tmp_path.glob("*/*.deleted"))
        assert manager.get("t", 0).log_start_offset == 1
        await manager.shutdown()

    asyncio.run(main())
