"""Coordination for a broker that stands alone: one SQLite file in its data folder.

Every write is durable (SQLite's synchronous = FULL: the write-ahead log is synced) before it is
answered, and so survives `kill -9` and loss of power. All SQL runs in one thread of the store; what
is queued when it turns to its queue goes into one commit. A session lives as long as its object:
ephemerals of a process that died are gone when the file is opened again. A full disk undoes the
commit, and its writes are refused; any other failed commit ends the store: what the disk holds is
unknown until it is opened again.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from fastlog.coordination.interface import (
    Coordination,
    CoordinationError,
    Operation,
    SessionExpired,
    Stat,
    State,
    StoreFull,
    Unknown,
    Watch,
    WatchEvent,
)
from fastlog.coordination.tree import Tree
from fastlog.coordination.watches import Watches

FILE_NAME = "fastlog-coordination.db"  # a plain file: Kafka refuses a folder it does not know
BATCH_MAX = 1000


class LocalStore:
    """The file, its thread and its sessions. Sessions of one process may share it."""

    def __init__(self, folder) -> None:
        self.path = Path(folder) / FILE_NAME
        self._queue: SimpleQueue = SimpleQueue()
        self._opened: Future = Future()
        self._thread: threading.Thread | None = None
        self._users = 0

    def session(self) -> "LocalCoordination":
        return LocalCoordination(self)

    async def _acquire(self) -> None:
        """Opens the file for the first user."""
        self._users += 1
        if self._thread is None:
            self._queue, self._opened = SimpleQueue(), Future()
            worker = _Worker(self.path, self._queue)
            self._thread = threading.Thread(
                target=worker.run, args=(self._opened,), name="coordination", daemon=True
            )
            self._thread.start()
        try:
            await asyncio.shield(asyncio.wrap_future(self._opened))
        except BaseException:
            await self._release()
            raise

    async def _release(self) -> None:
        """Closes the file after its last user."""
        self._users -= 1
        if self._users == 0 and self._thread is not None:
            thread, self._thread = self._thread, None
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def call(self, session: "LocalCoordination", action: Callable) -> asyncio.Future:
        """Queues `action(worker)`; the future has its result once the commit is durable."""
        future = asyncio.get_running_loop().create_future()
        self._queue.put((session, action, future))
        return future


class LocalCoordination(Coordination):
    """One session with a LocalStore."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._id = 0
        self._over = True
        self._listeners: list[Callable[[State], None]] = []
        self.loop: asyncio.AbstractEventLoop

    @property
    def session_id(self) -> int:
        return self._id

    @property
    def store(self) -> LocalStore:
        return self._store

    async def connect(self) -> None:
        if not self._over:
            raise RuntimeError("the session has begun already")
        self.loop = asyncio.get_running_loop()
        first = self._id == 0
        if first:
            await self._store._acquire()
        try:
            self._id = await self._store.call(self, lambda worker: worker.begin_session(self))
        except BaseException:
            if first:
                await self._store._release()
            raise
        self._over = False
        self._tell(State.CONNECTED)

    async def close(self) -> None:
        if self._id == 0:
            return
        try:
            if not self._over:
                await self._store.call(self, lambda worker: worker.end_session(self._id))
        except (Unknown, StoreFull):
            pass  # its ephemerals end when the file is opened again
        finally:
            self._over = True
            self._id = 0
            await self._store._release()

    async def expire(self) -> None:
        """Ends the session as ZooKeeper ends a silent one; `connect` then begins another."""
        await self._store.call(self, lambda worker: worker.end_session(self._id))
        self.lost()

    def listen(self, listener: Callable[[State], None]) -> None:
        self._listeners.append(listener)

    def lost(self) -> None:
        if not self._over:
            self._over = True
            self._tell(State.LOST)

    def _tell(self, state: State) -> None:
        for listener in self._listeners:
            listener(state)

    async def _call(self, action: Callable):
        if self._over:
            raise SessionExpired(message="the session is over")
        return await self._store.call(self, action)

    async def _write(self, operations: list[Operation]) -> list:
        return await self._call(lambda worker: worker.write(operations, self._id))

    async def _get(self, path: str, watch: Watch | None) -> tuple[bytes, Stat]:
        return await self._call(lambda worker: worker.get(path, self._id, watch))

    async def _data(self, paths: Sequence[str]) -> list[tuple[bytes, int] | None]:
        return await self._call(lambda worker: worker.data(paths, self._id))

    async def _exists(self, path: str, watch: Watch | None) -> Stat | None:
        return await self._call(lambda worker: worker.exists(path, self._id, watch))

    async def _children(self, path: str, watch: Watch | None) -> list[str]:
        return await self._call(lambda worker: worker.children(path, self._id, watch))


class _Worker:
    """The store's thread: applies what is queued, commits once for all of it, then answers."""

    def __init__(self, path: Path, queue: SimpleQueue) -> None:
        self._path = path
        self._queue = queue
        self._tree: Tree
        self._watches = Watches()
        self._sessions: dict[int, LocalCoordination] = {}
        self._outbox: list[tuple[asyncio.AbstractEventLoop, Callable, tuple]] = []
        self._failure: Exception | None = None

    def run(self, opened: Future) -> None:
        try:
            self._tree = Tree(str(self._path))
        except Exception as error:
            opened.set_exception(_opening_error(self._path, error))
            return
        opened.set_result(None)
        while (first := self._queue.get()) is not None:
            items, last = self._gather(first)
            self._commit(items)
            self._deliver()
            if last:
                break
        self._tree.close()

    def _gather(self, first) -> tuple[list, bool]:
        """What is queued by now, up to a bound. True: the store is to close after it."""
        items = [first]
        with suppress(Empty):
            while len(items) < BATCH_MAX:
                item = self._queue.get_nowait()
                if item is None:
                    return items, True
                items.append(item)
        return items, False

    def _commit(self, items: list) -> None:
        sessions = dict(self._sessions)
        try:
            if self._failure is None:
                self._tree.begin()
            for session, action, future in items:
                self._apply(session, action, future)
            if self._failure is None:
                self._tree.commit()
        except Exception as error:  # the disk, or a mistake of ours
            if not self._undone(error):
                self._fail(error, items)  # nothing is certain
                return
            self._sessions = sessions
            self._refuse(items)

    def _undone(self, error: Exception) -> bool:
        """Whether the disk is only full, and the tree is what it was before the batch."""
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
            return False
        try:
            self._tree.roll_back()
        except sqlite3.Error:
            return False
        return True

    def _refuse(self, items: list) -> None:
        """Answers a batch that was undone. Watches that it fired stay fired: whoever is told of
        a change that did not last reads what there is and watches again.
        """
        answers = (_resolve, _fail)
        self._outbox = [call for call in self._outbox if call[1] not in answers]
        for session, _, future in items:
            self._put(session, _fail, future, StoreFull(message="the disk is full"))

    def _apply(self, session, action, future) -> None:
        if self._failure is not None:
            self._put(session, _fail, future, Unknown(message=f"the store failed: {self._failure}"))
            return
        try:
            result = action(self)
        except CoordinationError as error:
            self._put(session, _fail, future, error)
        else:
            self._put(session, _resolve, future, result)

    def _fail(self, error: Exception, items: list) -> None:
        """Nothing of this batch is told as done: the disk may hold it or not. Sessions end."""
        self._failure = error
        self._outbox.clear()
        for session, _, future in items:
            self._put(session, _fail, future, Unknown(message=f"the store failed: {error}"))
        for session in self._sessions.values():
            self._put(session, session.lost)
        self._sessions.clear()

    def _put(self, session: LocalCoordination, call: Callable, *arguments) -> None:
        self._outbox.append((session.loop, call, arguments))

    def _deliver(self) -> None:
        """Hands events and answers to their loops, in order, one wake-up for each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list] = {}
        for loop, call, arguments in self._outbox:
            by_loop.setdefault(loop, []).append((call, arguments))
        self._outbox.clear()
        for loop, calls in by_loop.items():
            _post(loop, _run_all, calls)

    def _fire(self, events: list[WatchEvent]) -> None:
        for event in events:
            for session_id, watch in self._watches.take(event):
                session = self._sessions.get(session_id)
                if session is not None:
                    self._put(session, watch, event)

    def begin_session(self, session: LocalCoordination) -> int:
        session_id = self._tree.new_session()
        self._sessions[session_id] = session
        return session_id

    def end_session(self, session_id: int) -> None:
        self._watches.forget(session_id)
        if self._sessions.pop(session_id, None) is not None:
            self._fire(self._tree.end_session(session_id))

    def write(self, operations: list[Operation], session_id: int) -> list:
        self._alive(session_id)
        results, events = self._tree.write(operations, session_id)
        self._fire(events)
        return results

    def get(self, path: str, session_id: int, watch: Watch | None) -> tuple[bytes, Stat]:
        self._alive(session_id)
        result = self._tree.get(path)
        if watch is not None:
            self._watches.add(session_id, path, watch)
        return result

    def data(self, paths: Sequence[str], session_id: int) -> list[tuple[bytes, int] | None]:
        self._alive(session_id)
        return [self._tree.data(path) for path in paths]

    def exists(self, path: str, session_id: int, watch: Watch | None) -> Stat | None:
        self._alive(session_id)
        if watch is not None:
            self._watches.add(session_id, path, watch)
        return self._tree.stat(path)

    def children(self, path: str, session_id: int, watch: Watch | None) -> list[str]:
        self._alive(session_id)
        result = self._tree.children(path)
        if watch is not None:
            self._watches.add(session_id, path, watch, children=True)
        return result

    def _alive(self, session_id: int) -> None:
        if session_id not in self._sessions:
            raise SessionExpired(message="the session is over")


def _opening_error(path: Path, error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return OSError(f"{path} is in use by another process")
    return OSError(f"{path} cannot be opened: {error}")


def _post(loop: asyncio.AbstractEventLoop, call: Callable, *arguments) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(call, *arguments)


def _run_all(calls: list[tuple[Callable, tuple]]) -> None:
    for call, arguments in calls:
        try:
            call(*arguments)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a watch or listener failed", "exception": error}
            )


def _resolve(future: asyncio.Future, result) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
