"""The folder of logs: its lock, its identity, its clean marker."""

import os
import re
import signal
import subprocess
import sys

import pytest

from fastlog.logs.errors import FolderError, FolderInUse, FolderNotUsable, ForeignFolder
from fastlog.logs.folder import Identity, LogFolder
from fastlog.logs.folder_lock import owner_of

# What Java's FileLock does: a POSIX lock on the whole of the file.
POSIX_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "a+")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("refused", flush=True)
else:
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    opened = LogFolder.open(tmp_path / "data" / "logs")
    yield opened
    opened.close()


def posix_locker(path):
    return subprocess.Popen(
        [sys.executable, "-c", POSIX_LOCK, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# --- the lock ---


def test_the_folder_is_created_and_locked(folder):
    assert os.listdir(folder.path) == [".lock"]
    assert owner_of(folder.path) == (True, os.getpid())


def test_a_second_broker_is_told_the_first_ones_pid(folder):
    with pytest.raises(FolderInUse) as caught:
        LogFolder.open(folder.path)
    assert caught.value.pid == os.getpid()
    assert str(caught.value) == f"{folder.path} is in use by process {os.getpid()}"


def test_the_lock_ends_with_close(folder):
    folder.close()
    folder.close()
    assert owner_of(folder.path) == (False, None)
    again = LogFolder.open(folder.path)
    again.close()


def test_kafka_is_kept_out(folder):
    with posix_locker(folder.path / ".lock") as kafka:
        assert kafka.stdout.readline() == "refused\n"


def test_kafka_keeps_us_out(folder):
    folder.close()
    with posix_locker(folder.path / ".lock") as kafka:
        assert kafka.stdout.readline() == "locked\n"
        assert owner_of(folder.path) == (True, kafka.pid)
        with pytest.raises(FolderInUse) as caught:
            LogFolder.open(folder.path)
        assert caught.value.pid == kafka.pid
        kafka.stdin.close()
        kafka.wait()
    LogFolder.open(folder.path).close()


def test_the_lock_dies_with_its_process(folder):
    folder.close()
    code = (
        "import sys; from fastlog.logs.folder import LogFolder\n"
        "folder = LogFolder.open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, folder.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(FolderInUse, match=f"process {other.pid}"):
            LogFolder.open(folder.path)
        other.send_signal(signal.SIGKILL)
        other.wait()
    LogFolder.open(folder.path).close()


def test_a_forked_child_does_not_keep_the_lock(folder):
    child = os.fork()
    if child == 0:
        os._exit(1 if folder.lock.held else 0)
    assert os.waitpid(child, 0)[1] == 0
    assert folder.lock.held
    assert owner_of(folder.path) == (True, os.getpid())


def test_a_deleted_lock_file_is_made_again(folder):
    (folder.path / ".lock").unlink()  # as a Kafka that was refused does at its exit
    folder.lock.renew()
    with pytest.raises(FolderInUse):
        LogFolder.open(folder.path)
    folder.lock.renew()


def test_a_lock_lost_to_another_is_told(folder):
    (folder.path / ".lock").unlink()
    with posix_locker(folder.path / ".lock") as kafka:
        assert kafka.stdout.readline() == "locked\n"
        with pytest.raises(FolderInUse):
            folder.lock.renew()
        kafka.stdin.close()


@pytest.mark.parametrize("path", ["file/logs", "file"])
def test_a_path_that_is_no_folder(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotUsable) as caught:
        LogFolder.open(tmp_path / path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / path) in str(caught.value)


def test_a_folder_that_cannot_be_written():
    with pytest.raises(FolderNotUsable, match="^/proc/self/task cannot be used for logs: "):
        LogFolder.open("/proc/self/task")


# --- whose it is ---


def test_a_new_folder_has_no_owner(folder):
    assert folder.identity() is None


def test_the_first_claim_is_written_as_kafka_writes_it(folder):
    folder.claim("9obMqZvESiGjTvvOxLQn9w", 771)
    text = (folder.path / "meta.properties").read_text()
    date = r"#\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}"
    lines = ["#", date, "broker.id=771", "version=0", "cluster.id=9obMqZvESiGjTvvOxLQn9w", ""]
    assert re.fullmatch("\n".join(lines), text)
    assert folder.identity() == Identity("9obMqZvESiGjTvvOxLQn9w", 771)
    folder.claim("9obMqZvESiGjTvvOxLQn9w", 771)


def test_another_owner_is_refused(folder):
    folder.claim("cluster-a", 1)
    with pytest.raises(ForeignFolder, match="belongs to the cluster cluster-a, not to cluster-b"):
        folder.claim("cluster-b", 1)
    with pytest.raises(ForeignFolder, match="belongs to the broker 1, not to 2"):
        folder.claim("cluster-a", 2)


def test_what_kafka_left_open_is_filled_in(folder):
    path = folder.path / "meta.properties"
    path.write_text("#\nversion=0\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nbroker.id=4\n")
    folder.claim("some:cluster", 4)
    assert "cluster.id=some\\:cluster\n" in path.read_text()
    others = (("directory.id", "AAAAAAAAAAAAAAAAAAAAAQ"),)
    assert folder.identity() == Identity("some:cluster", 4, others)


def test_a_kraft_folder_is_refused(folder):
    (folder.path / "meta.properties").write_text("version=1\nnode.id=4\ncluster.id=x\n")
    with pytest.raises(ForeignFolder, match="KRaft"):
        folder.claim("x", 4)


@pytest.mark.parametrize("text", ["broker.id=x\n", "cluster.id=\\u12\n"])
def test_a_malformed_identity_is_one_line(folder, text):
    (folder.path / "meta.properties").write_text(text)
    with pytest.raises(FolderError, match=r"meta\.properties is malformed: .+") as caught:
        folder.claim("x", 4)
    assert "\n" not in str(caught.value)


# --- the clean marker ---


def test_the_marker_is_kafkas_and_taken_once(folder):
    assert not folder.take_clean_marker()
    folder.write_clean_marker()
    marker = folder.path / ".kafka_cleanshutdown"
    assert marker.read_bytes() == b'{"version":0,"brokerEpoch":-1}'
    assert folder.take_clean_marker()
    assert not folder.take_clean_marker()


def test_an_old_kafkas_empty_marker_counts(folder):
    (folder.path / ".kafka_cleanshutdown").write_bytes(b"")
    assert folder.take_clean_marker()
