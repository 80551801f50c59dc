"""A disk with little room left: appends are refused and taken again, with a line for each."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastlog.logs.free_space import FreeSpace
from fastlog_ext.disk import Disk
from fastlog_ext.partition_log import Log
from tests.engine.logs import SMALL, batch

KIB, GIB = 1 << 10, 1 << 30
STORAGE_ERROR = 56


@pytest.fixture
def free(monkeypatch):
    """A disk of 1000 KiB, of which so much is free."""
    disk = SimpleNamespace(f_bavail=500, f_blocks=1000, f_frsize=KIB)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    return disk


@pytest.fixture
def disk():
    made = Disk()
    yield made
    made.close()


def test_two_lines_and_appends_in_between_are_refused(free, disk, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    names = {"topic": "t", "partition": 0, "topic_id": bytes(16)}
    log = Log.open(str(tmp_path / "t-0"), **names, settings=SMALL, clean=True, disk=disk)
    log.become_leader(0)
    space = FreeSpace(Path("/data"), disk, 100 * KIB)

    def append(free_kib):
        free.f_bavail = free_kib
        space.look()
        return log.append(batch(b"v"))[0]

    assert append(101) == 0 == append(100)
    assert append(99) == STORAGE_ERROR == append(0)
    assert append(109) == STORAGE_ERROR, "it takes a tenth more"
    assert log.append_verbatim(batch(b"v", base_offset=2))[0] == 0, "replicas go on"
    assert log.set_log_start_offset(2) == [] and log.read(2, 100)[0] == 0
    assert append(110) == 0 == append(100)
    assert log.end_offset == 5 and log.storage_error is None and not disk.full
    assert [record.getMessage() for record in caplog.records] == [
        "/data: 101376 bytes are free, less than fastlog.disk.free.min.bytes (102400): clients' "
        "appends are refused until there are more",
        "/data: 112640 bytes are free, appends are taken again; 3 batches were refused",
    ]
    log.close()


@pytest.mark.parametrize("blocks, floor", [(1000, 10), (200 * GIB // KIB, GIB // KIB)])
def test_the_floor_is_a_share_of_the_disk(free, disk, blocks, floor, caplog):
    space = FreeSpace(Path("/data"), disk, -1)
    free.f_blocks = blocks
    for free.f_bavail, lines in ((floor, 0), (floor - 1, 1)):
        space.look()
        assert len(caplog.records) == lines
