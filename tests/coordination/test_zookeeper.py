"""The conformance suite against a real ZooKeeper, through a small adapter for kazoo.

It holds the suite itself to the truth: what it asks of the local store is what ZooKeeper does.
"""

import asyncio
import itertools
import os

import pytest
from kazoo import exceptions as zk
from kazoo.client import KazooClient, KazooState
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.states import EventType

from fastlog.coordination import interface as ours
from fastlog.coordination.interface import Check, Create, Event, Set, Stat, State, WatchEvent
from tests.coordination.conformance import Conformance, World

SESSION_TIMEOUT = 10.0
_ERRORS = {
    zk.NoNodeError: ours.NoNode,
    zk.NodeExistsError: ours.NodeExists,
    zk.BadVersionError: ours.BadVersion,
    zk.NotEmptyError: ours.NotEmpty,
    zk.NoChildrenForEphemeralsError: ours.NoChildrenForEphemerals,
    zk.SessionExpiredError: ours.SessionExpired,
}
_EVENTS = {
    EventType.CREATED: Event.CREATED,
    EventType.DELETED: Event.DELETED,
    EventType.CHANGED: Event.CHANGED,
    EventType.CHILD: Event.CHILDREN,
}


def translated(error: Exception, path: str, index: int | None = None) -> Exception:
    return _ERRORS.get(type(error), ours.Unknown)(path, index, repr(error))


class OneQueue(SequentialThreadingHandler):
    """kazoo tells watches and results from two threads, in no order; here from one, in order."""

    def dispatch_callback(self, callback) -> None:
        self.completion_queue.put(lambda: callback.func(*callback.args))


class KazooSession(ours.Coordination):
    def __init__(self, hosts: str) -> None:
        self._hosts = hosts
        self._client: KazooClient | None = None
        self._listeners: list = []

    @property
    def session_id(self) -> int:
        return self._client.client_id[0] if self._client and self._client.client_id else 0

    async def connect(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = KazooClient(self._hosts, timeout=SESSION_TIMEOUT, handler=OneQueue())
        await asyncio.to_thread(self._client.start, 15)
        for listener in self._listeners:
            listener(State.CONNECTED)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.stop)
            await asyncio.to_thread(client.close)

    async def expire(self) -> None:
        """Opens a second connection to the session and closes it, as ZooKeeper's own tests do."""
        lost = asyncio.Event()

        def listen(state):
            if state == KazooState.LOST:
                self._loop.call_soon_threadsafe(lost.set)

        self._client.add_listener(listen)
        twin = KazooClient(self._hosts, timeout=SESSION_TIMEOUT, client_id=self._client.client_id)
        await asyncio.to_thread(twin.start, 15)
        await asyncio.to_thread(twin.stop)
        await asyncio.to_thread(twin.close)
        await lost.wait()
        await self.close()
        for listener in self._listeners:
            listener(State.LOST)

    def listen(self, listener) -> None:
        self._listeners.append(listener)

    def _watch(self, watch):
        if watch is None:
            return None

        def fire(event):
            if event.type in _EVENTS:
                told = WatchEvent(_EVENTS[event.type], event.path)
                self._loop.call_soon_threadsafe(watch, told)

        return fire

    async def _call(self, path: str, name: str, *arguments):
        if self._client is None:
            raise ours.SessionExpired(path)
        future = self._loop.create_future()
        result = getattr(self._client, name)(path, *arguments)

        def done(result):
            self._loop.call_soon_threadsafe(future.set_result, result)

        result.rawlink(done)
        answer = await future
        if answer.exception is not None:
            raise translated(answer.exception, path)
        return answer.value

    async def _get(self, path, watch):
        data, stat = await self._call(path, "get_async", self._watch(watch))
        return data or b"", self._stat(stat)

    async def _exists(self, path, watch):
        stat = await self._call(path, "exists_async", self._watch(watch))
        return None if stat is None else self._stat(stat)

    async def _children(self, path, watch):
        return await self._call(path, "get_children_async", self._watch(watch))

    @staticmethod
    def _stat(stat) -> Stat:
        return Stat(
            stat.czxid,
            stat.mzxid,
            stat.ctime,
            stat.mtime,
            stat.version,
            stat.cversion,
            stat.ephemeralOwner,
            stat.dataLength,
            stat.numChildren,
            stat.pzxid,
        )

    async def _write(self, operations):
        if self._client is None:
            raise ours.SessionExpired()
        transaction = self._client.transaction()
        for one in operations:
            if isinstance(one, Create):
                transaction.create(one.path, one.data, None, one.ephemeral, one.sequence)
            else:
                version = -1 if one.version is None else one.version
                if isinstance(one, Set):
                    transaction.set_data(one.path, one.data, version)
                elif isinstance(one, Check):
                    transaction.check(one.path, version)
                else:
                    transaction.delete(one.path, version)
        future = self._loop.create_future()
        result = transaction.commit_async()
        result.rawlink(lambda r: self._loop.call_soon_threadsafe(future.set_result, r))
        answer = await future
        if answer.exception is not None:
            raise translated(answer.exception, "")
        results = answer.value
        for index, one in enumerate(results):
            if isinstance(one, Exception) and type(one) in _ERRORS:
                raise translated(one, operations[index].path, index)
        return [
            result
            if isinstance(one, Create)
            else self._stat(result)
            if isinstance(one, Set)
            else None
            for one, result in zip(operations, results, strict=True)
        ]


class ZooKeeperWorld(World):
    counter = itertools.count()

    def __init__(self, hosts: str) -> None:
        self._root = f"/conformance-{os.getpid()}-{next(self.counter)}"
        self._hosts = hosts
        self._sessions: list[KazooSession] = []

    async def open(self) -> None:
        client = KazooClient(self._hosts)
        await asyncio.to_thread(client.start, 15)
        await asyncio.to_thread(client.create, self._root)
        await asyncio.to_thread(client.stop)
        await asyncio.to_thread(client.close)

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()

    async def session(self) -> KazooSession:
        session = KazooSession(self._hosts + self._root)
        await session.connect()
        self._sessions.append(session)
        return session

    async def expire(self, session: KazooSession) -> None:
        await session.expire()


class TestConformance(Conformance):
    @pytest.fixture
    def make_world(self, zookeeper):
        return lambda: ZooKeeperWorld(zookeeper)
