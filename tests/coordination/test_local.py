"""The local store: the conformance suite, and what a single file must survive."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from fastlog.coordination.interface import Check, Create, State, StoreFull, Unknown
from fastlog.coordination.local import FILE_NAME, LocalStore
from fastlog.coordination.tree import Tree
from tests.coordination.conformance import Conformance, World


class LocalWorld(World):
    def __init__(self, folder) -> None:
        self.store = LocalStore(folder)
        self.sessions = []

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        for session in self.sessions:
            await session.close()
        assert not any(t.name == "coordination" for t in threading.enumerate())

    async def session(self):
        session = self.store.session()
        await session.connect()
        self.sessions.append(session)
        return session

    async def expire(self, session) -> None:
        await session.expire()


class TestConformance(Conformance):
    @pytest.fixture
    def make_world(self, tmp_path):
        return lambda: LocalWorld(tmp_path)


async def connected(folder):
    session = LocalStore(folder).session()
    await session.connect()
    return session


def test_what_is_written_is_there_again(tmp_path):
    async def first():
        session = await connected(tmp_path)
        await session.create("/a", b"x")
        stat = await session.set("/a", b"y", 0)
        await session.close()
        return session.session_id, stat

    async def second(stat):
        session = await connected(tmp_path)
        assert await session.get("/a") == (b"y", stat)
        await session.create("/b")
        assert (await session.exists("/b")).czxid > stat.mzxid
        await session.close()

    _, stat = asyncio.run(first())
    asyncio.run(second(stat))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]  # Kafka refuses folders only


CRASH = """
import asyncio, os, signal, sys
from fastlog.coordination import local

async def main():
    session = local.LocalStore(sys.argv[1]).session()
    await session.connect()
    await session.create("/before", b"1")
    await session.create("/ephemeral", b"1", ephemeral=True)
    await session.create("/q")
    await session.create("/q/n_", sequence=True)
    local._Worker._deliver = lambda worker: os.kill(os.getpid(), signal.SIGKILL)
    print("sent", flush=True)
    await session.multi(OPS)
    print("answered", flush=True)

from fastlog.coordination.interface import Check, Create, Set
OPS = [Check("/before", 0), Set("/before", b"2", 0), Create("/after", b"3")]
asyncio.run(main())
"""


def test_killed_between_commit_and_reply(tmp_path):
    """The writer never hears of it, yet it is done, whole; its ephemeral is gone."""
    child = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout == "sent\n"

    async def look():
        session = await connected(tmp_path)
        data, stat = await session.get("/before")
        assert (data, stat.version) == (b"2", 1)
        assert (await session.get("/after"))[0] == b"3"
        assert await session.exists("/ephemeral") is None
        assert (await session.exists("/")).num_children == 3
        assert int((await session.create("/q/n_", sequence=True))[-10:]) > 0
        assert session.session_id > 1  # an id of the dead session would own its ephemerals
        await session.close()

    asyncio.run(look())


WRITER = """
import asyncio, sys
from fastlog.coordination.local import LocalStore

async def main():
    session = LocalStore(sys.argv[1]).session()
    await session.connect()
    start = (await session.exists("/")).num_children
    for n in range(start, start + 100000):
        await session.create(f"/n{n}")
        print(n, flush=True)

asyncio.run(main())
"""


def test_killed_at_any_time(tmp_path):
    """Every answered write is there, and at most the one that was on its way besides."""
    count = 0
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        seen = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        seen += [int(line) for line in child.stdout.read().splitlines()]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        assert seen == list(range(count, count + len(seen)))

        async def names():
            session = await connected(tmp_path)
            found = await session.children("/")
            await session.close()
            return found

        found = asyncio.run(names())
        assert {f"n{n}" for n in range(seen[-1] + 1)} <= set(found)
        assert len(found) in (seen[-1] + 1, seen[-1] + 2)
        count = len(found)


def test_many_writes_share_a_commit(tmp_path, monkeypatch):
    commits = []
    monkeypatch.setattr(
        Tree, "commit", lambda self, real=Tree.commit: (commits.append(1), real(self))
    )

    async def main():
        session = await connected(tmp_path)
        await asyncio.gather(*(session.create(f"/n{i}") for i in range(500)))
        await session.close()

    asyncio.run(main())
    assert len(commits) < 50


def test_the_loop_is_free_while_the_disk_works(tmp_path, monkeypatch):
    gate = threading.Event()

    async def main():
        session = await connected(tmp_path)
        real = Tree.commit
        monkeypatch.setattr(Tree, "commit", lambda self: (gate.wait(20), real(self)))
        write = asyncio.ensure_future(session.create("/a"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not write.done()
        gate.set()
        assert await write == "/a"
        await session.close()

    asyncio.run(main())


def test_a_failed_commit_is_told_as_unknown_and_ends_the_store(tmp_path, monkeypatch):
    def fail(self):
        raise sqlite3.OperationalError("disk I/O error")

    async def main():
        session = await connected(tmp_path)
        states, events = [], []
        session.listen(states.append)
        await session.create("/a")
        await session.get("/a", events.append)
        with monkeypatch.context() as patch:
            patch.setattr(Tree, "commit", fail)
            results = await asyncio.gather(
                session.set("/a", b"1", 0), session.create("/b"), return_exceptions=True
            )
            assert [type(result) for result in results] == [Unknown, Unknown]
        assert states == [State.LOST]
        assert events == []
        with pytest.raises(Unknown, match="disk I/O error"):
            await session.connect()
        await session.close()
        again = await connected(tmp_path)
        assert await again.exists("/a") is not None
        await again.close()

    asyncio.run(main())


def test_a_full_disk_undoes_the_batch_and_the_store_goes_on(tmp_path, monkeypatch):
    def fail(self):
        self._db.execute("PRAGMA max_page_count = 1")  # what there is, and not a page more
        try:
            self._db.execute(
                "INSERT INTO node SELECT path || 'x', path, zeroblob(100000),"
                " 0, 0, 0, 0, 0, 0, 0, 0 FROM node"
            )
        finally:
            self._db.execute("PRAGMA max_page_count = 1000000")

    async def main():
        session = await connected(tmp_path)
        states, events = [], []
        session.listen(states.append)
        stat = await session.create("/a") and await session.exists("/a")
        with monkeypatch.context() as patch:
            patch.setattr(Tree, "commit", fail)
            other = session.store.session()
            results = await asyncio.gather(
                session.set("/a", b"1", 0),
                session.create("/b"),
                other.connect(),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [StoreFull] * 3
        assert states == []
        assert await session.exists("/a") == stat
        assert await session.exists("/b") is None
        await session.get("/a", events.append)
        await session.set("/a", b"2", 0)
        assert len(events) == 1
        assert (await session.exists("/a")).mzxid == stat.mzxid + 1
        await session.close()
        again = await connected(tmp_path)
        assert await again.get("/a") == (b"2", (await again.exists("/a")))
        await again.close()

    asyncio.run(main())


def test_one_process_at_a_time(tmp_path):
    async def main():
        session = await connected(tmp_path)
        with pytest.raises(OSError, match="in use by another process"):
            await connected(tmp_path)
        await session.close()
        await (await connected(tmp_path)).close()

    asyncio.run(main())


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_file_that_is_not_ours(tmp_path, content):
    if content:
        (tmp_path / FILE_NAME).write_bytes(content)
    else:
        db = sqlite3.connect(tmp_path / FILE_NAME)
        db.execute("PRAGMA user_version = 99")
        db.close()
    with pytest.raises(
        OSError, match=r"cannot be opened: (file is not a database|its format is 99)"
    ):
        asyncio.run(connected(tmp_path))


def test_no_folder(tmp_path):
    with pytest.raises(OSError, match="cannot be opened"):
        asyncio.run(connected(tmp_path / "none"))


def test_a_watch_that_raises_harms_nobody(tmp_path):
    async def main():
        errors = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        session = await connected(tmp_path)

        def broken(event):
            raise ZeroDivisionError

        await session.exists("/a", broken)
        assert await session.create("/a") == "/a"
        await session.close()
        assert isinstance(errors[0]["exception"], ZeroDivisionError)

    asyncio.run(main())


def test_ten_thousand_nodes(tmp_path):
    """A multi at its limits, many of them at once; a slow tree would show here."""

    async def main():
        session = await connected(tmp_path)
        await session.create("/t")
        batches = [[Create(f"/t/{b}-{i}") for i in range(200)] for b in range(50)]
        await asyncio.gather(*(session.multi([Check("/t", 0), *batch]) for batch in batches))
        assert len(await session.children("/t")) == 10_000
        assert (await session.exists("/t")).num_children == 10_000
        await session.close()

    asyncio.run(main())
