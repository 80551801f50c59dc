"""What every store must do. Subclass `Conformance` and give it a `make_world` fixture."""

import asyncio
import functools
from abc import ABC, abstractmethod

import pytest

from fastlog.coordination.interface import (
    BYTES_MAX,
    BadVersion,
    Check,
    Coordination,
    Create,
    Delete,
    Event,
    NoChildrenForEphemerals,
    NodeExists,
    NoNode,
    NotEmpty,
    SessionExpired,
    Set,
    State,
    WatchEvent,
)


class World(ABC):
    """One empty store for one test."""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """Closes what sessions are left."""

    @abstractmethod
    async def session(self) -> Coordination:
        """A new session, connected."""

    @abstractmethod
    async def expire(self, session: Coordination) -> None:
        """Makes the store end the session; returns when the session knows."""


def scenario(test):
    """Runs an async test(self, world) to its end, in a fresh world, within half a minute."""

    @functools.wraps(test)
    def run(self, make_world):
        async def main():
            world = make_world()
            await world.open()
            try:
                await asyncio.wait_for(test(self, world), 30)
            finally:
                await world.close()

        asyncio.run(main())

    del run.__wrapped__  # pytest looks at the signature
    return run


class Log(list):
    """A watch that keeps what it is told."""

    __hash__ = object.__hash__

    def __call__(self, event) -> None:
        self.append(event)

    async def until(self, count: int) -> list:
        while len(self) < count:
            await asyncio.sleep(0.002)
        return list(self)


class Conformance:
    # nodes and versions

    @scenario
    async def test_a_node_and_its_stat(self, world):
        zk = await world.session()
        assert await zk.create("/a", b"one") == "/a"
        data, stat = await zk.get("/a")
        assert data == b"one"
        assert stat.czxid == stat.mzxid == stat.pzxid > 0
        assert (stat.version, stat.cversion, stat.ephemeral_owner) == (0, 0, 0)
        assert (stat.data_length, stat.num_children) == (3, 0)
        assert stat.ctime == stat.mtime > 1_600_000_000_000
        assert await zk.exists("/a") == stat

        after = await zk.set("/a", b"four", 0)
        assert (after.version, after.data_length, after.czxid) == (1, 4, stat.czxid)
        assert after.mzxid > stat.mzxid
        await zk.create("/a/b")
        data, grown = await zk.get("/a")
        assert data == b"four"
        assert (grown.num_children, grown.cversion, grown.version) == (1, 1, 1)
        assert grown.pzxid > after.mzxid == grown.mzxid
        assert await zk.get("/a/b") == (b"", await zk.exists("/a/b"))
        await zk.delete("/a/b", 0)
        assert (await zk.exists("/a")).num_children == 0
        assert await zk.exists("/a/b") is None

    @scenario
    async def test_refusals(self, world):
        zk = await world.session()
        await zk.create("/a")
        await zk.create("/a/b")
        for error, path, call in [
            (NoNode, "/x", zk.get("/x")),
            (NoNode, "/x", zk.children("/x")),
            (NoNode, "/x", zk.set("/x", b"", None)),
            (NoNode, "/x", zk.delete("/x", None)),
            (NoNode, None, zk.create("/x/y")),
            (NodeExists, "/a", zk.create("/a")),
            (BadVersion, "/a/b", zk.set("/a/b", b"", 1)),
            (BadVersion, "/a/b", zk.delete("/a/b", 7)),
            (NotEmpty, "/a", zk.delete("/a", 0)),
        ]:
            with pytest.raises(error) as caught:
                await call
            assert path is None or caught.value.path == path
        assert await zk.children("/a") == ["b"]

    @scenario
    async def test_none_alone_means_any_version(self, world):
        zk = await world.session()
        await zk.create("/a")
        await zk.set("/a", b"1", None)
        with pytest.raises(BadVersion):
            await zk.set("/a", b"2", 0)  # 0 is a version like any other
        for call in (zk.set("/a", b"", -1), zk.delete("/a", -1), zk.multi([Check("/a", -1)])):
            with pytest.raises(ValueError, match="None means any"):
                await call
        await zk.delete("/a", None)

    @scenario
    async def test_versions_begin_again_but_zxids_do_not(self, world):
        zk = await world.session()
        await zk.create("/a")
        first = await zk.set("/a", b"", 0)
        await zk.delete("/a", 1)
        await zk.create("/a")
        again = await zk.exists("/a")
        assert again.version == 0
        assert again.czxid > first.mzxid

    @scenario
    async def test_mistakes_of_the_caller(self, world):
        zk = await world.session()
        for path in ("a", "/a/", "//", "/a//b", "/a/./b", "/..", "/a\0", "", "/a\ud800"):
            with pytest.raises(ValueError):
                await zk.create(path)
        with pytest.raises(ValueError, match="too large"):
            await zk.create("/a", b"x" * BYTES_MAX)
        with pytest.raises(TypeError):
            await zk.create("/a", "text")
        with pytest.raises(ValueError, match="root"):
            await zk.delete("/", None)
        assert await zk.multi([]) == []
        assert await zk.exists("/a") is None

    @scenario
    async def test_names_and_data_of_every_kind(self, world):
        zk = await world.session()
        data = bytes(range(256)) * 400
        for name in ("a b", "<default>", "é.ü", "_-.", "x" * 249):
            await zk.create("/" + name, data)
            assert (await zk.get("/" + name))[0] == data
        assert {"a b", "<default>", "é.ü"} <= set(await zk.children("/"))

    @scenario
    async def test_ensure(self, world):
        zk = await world.session()
        await zk.create("/a", b"kept")
        await zk.ensure("/a/b/c")
        await zk.ensure("/a/b/c")
        assert (await zk.get("/a"))[0] == b"kept"
        assert await zk.children("/a/b") == ["c"]

    # sequence nodes

    @scenario
    async def test_sequence_nodes_only_ever_count_up(self, world):
        zk = await world.session()
        await zk.create("/q")
        first = await zk.create("/q/n_", b"x", sequence=True)
        assert first == "/q/n_0000000000"
        second = await zk.create("/q/n_", sequence=True)
        await zk.delete(second, 0)
        third = await zk.create("/q/m_", sequence=True)
        assert int(third[-10:]) > int(second[-10:]) > int(first[-10:])
        [path] = await zk.multi([Create("/q/e_", ephemeral=True, sequence=True)])
        assert (await zk.exists(path)).ephemeral_owner == zk.session_id

    # multi

    @scenario
    async def test_multi_does_all(self, world):
        zk = await world.session()
        await zk.create("/a", b"0")
        results = await zk.multi(
            [Check("/a", 0), Set("/a", b"1", 0), Create("/a/b", b"x"), Delete("/a/b", 0)]
        )
        assert (results[0], results[2], results[3]) == (None, "/a/b", None)
        assert results[1].version == 1
        assert results[1].mzxid == (await zk.exists("/a")).mzxid == (await zk.exists("/a")).pzxid

    @scenario
    async def test_a_failed_multi_leaves_no_trace(self, world):
        zk = await world.session()
        await zk.create("/a", b"0")
        before = await zk.get("/a")
        log = Log()
        await zk.exists("/b", log)
        await zk.get("/a", log)
        await zk.children("/a", log)
        for error, last in [
            (BadVersion, Check("/a", 5)),
            (NoNode, Check("/none", None)),
            (NodeExists, Create("/a")),
            (NotEmpty, Delete("/a", None)),
            (NoNode, Set("/none", b"", None)),
        ]:
            with pytest.raises(error) as caught:
                await zk.multi([Set("/a", b"1", 0), Create("/a/c"), Create("/b"), last])
            assert caught.value.index == 3
        assert await zk.get("/a") == before
        assert await zk.exists("/b") is None
        assert log == []
        await zk.create("/b")
        assert await log.until(1) == [WatchEvent(Event.CREATED, "/b")]

    @scenario
    async def test_a_fence_in_a_multi(self, world):
        """How a deposed controller is stopped: the check of a node whose version has moved on."""
        old, new = await world.session(), await world.session()
        await old.create("/controller_epoch", b"1")
        await new.set("/controller_epoch", b"2", 0)
        with pytest.raises(BadVersion) as caught:
            await old.multi([Check("/controller_epoch", 0), Create("/topic")])
        assert (caught.value.index, caught.value.path) == (0, "/controller_epoch")
        assert await new.exists("/topic") is None

    @scenario
    async def test_operations_of_a_session_keep_their_order(self, world):
        zk = await world.session()
        await zk.create("/n", b"0")
        writes = [asyncio.ensure_future(zk.set("/n", b"%d" % i, i)) for i in range(200)]
        read = asyncio.ensure_future(zk.get("/n"))
        assert [stat.version for stat in await asyncio.gather(*writes)] == list(range(1, 201))
        assert (await read)[0] == b"199"

    # watches

    @scenario
    async def test_watches_fire_once_each_for_its_change(self, world):
        zk, other = await world.session(), await world.session()
        data, exists, children = Log(), Log(), Log()
        await zk.exists("/a", exists)
        await other.create("/a")
        assert await exists.until(1) == [WatchEvent(Event.CREATED, "/a")]
        await zk.get("/a", data)
        await zk.children("/a", children)
        await other.create("/a/b")
        await other.set("/a", b"1", 0)
        await other.set("/a", b"2", 1)
        assert await data.until(1) == [WatchEvent(Event.CHANGED, "/a")]
        assert await children.until(1) == [WatchEvent(Event.CHILDREN, "/a")]
        await zk.get("/a")
        assert (len(data), len(exists), len(children)) == (1, 1, 1)

        await zk.exists("/a/b", exists)
        await zk.get("/a/b", data)
        await zk.children("/a", children)
        await other.delete("/a/b", 0)
        assert (await exists.until(2))[1] == WatchEvent(Event.DELETED, "/a/b")
        assert (await data.until(2))[1] == WatchEvent(Event.DELETED, "/a/b")
        assert (await children.until(2))[1] == WatchEvent(Event.CHILDREN, "/a")
        await zk.children("/a", children)
        await other.delete("/a", None)
        assert (await children.until(3))[2] == WatchEvent(Event.DELETED, "/a")

    @scenario
    async def test_a_read_that_fails_sets_no_watch(self, world):
        zk = await world.session()
        log = Log()
        with pytest.raises(NoNode):
            await zk.get("/a", log)
        with pytest.raises(NoNode):
            await zk.children("/a", log)
        await zk.create("/a")
        await zk.set("/a", b"", 0)
        await zk.get("/a")
        assert log == []

    @scenario
    async def test_a_watch_comes_before_what_follows_the_change(self, world):
        zk, other = await world.session(), await world.session()
        await zk.create("/a", b"0")
        for round in range(50):
            log = Log()
            await zk.get("/a", log)
            write = asyncio.ensure_future(other.set("/a", b"%d" % (round + 1), None))
            while (await zk.get("/a"))[0] != b"%d" % (round + 1):
                pass
            assert log == [WatchEvent(Event.CHANGED, "/a")]
            await write

    @scenario
    async def test_a_multi_fires_each_watch(self, world):
        zk = await world.session()
        await zk.create("/a")
        log = Log()
        await zk.get("/a", log)
        await zk.exists("/b", log)
        await zk.multi([Set("/a", b"", 0), Set("/a", b"", 1), Create("/b")])
        assert set(await log.until(2)) == {
            WatchEvent(Event.CHANGED, "/a"),
            WatchEvent(Event.CREATED, "/b"),
        }
        await zk.get("/a")
        assert len(log) == 2

    # sessions and ephemerals

    @scenario
    async def test_an_ephemeral_belongs_to_its_session(self, world):
        zk, other = await world.session(), await world.session()
        assert zk.session_id != other.session_id
        await zk.create("/e", b"mine", ephemeral=True)
        assert (await other.exists("/e")).ephemeral_owner == zk.session_id
        with pytest.raises(NoChildrenForEphemerals):
            await zk.create("/e/x")
        with pytest.raises(NodeExists):
            await other.create("/e", ephemeral=True)
        log = Log()
        await other.exists("/e", log)
        await zk.close()
        assert await log.until(1) == [WatchEvent(Event.DELETED, "/e")]
        assert await other.exists("/e") is None

    @scenario
    async def test_a_session_that_expires(self, world):
        zk, other = await world.session(), await world.session()
        states, watch, gone = Log(), Log(), Log()
        zk.listen(states)
        await zk.create("/e", ephemeral=True)
        await zk.create("/kept")
        await zk.exists("/kept", watch)
        await other.exists("/e", gone)
        former = zk.session_id
        await world.expire(zk)
        assert states[-1] is State.LOST
        assert await gone.until(1) == [WatchEvent(Event.DELETED, "/e")]
        with pytest.raises(SessionExpired):
            await zk.get("/kept")
        with pytest.raises(SessionExpired):
            await zk.create("/more")

        await zk.connect()
        assert states[-1] is State.CONNECTED
        assert zk.session_id != former
        assert await zk.exists("/e") is None
        assert await zk.exists("/kept") is not None
        await other.set("/kept", b"", 0)
        await zk.get("/kept")
        assert watch == []  # a watch ends with its session: read again what it was for

    @scenario
    async def test_close_is_the_end_of_a_session(self, world):
        zk = await world.session()
        await zk.close()
        await zk.close()
        with pytest.raises(SessionExpired):
            await zk.exists("/")
