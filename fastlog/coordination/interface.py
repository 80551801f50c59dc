"""The tree of versioned nodes that the control plane stands on, and what its stores promise.

Nodes, versions, ephemerals, sequence nodes, atomic multi-operations and one-shot watches mean what
they mean in ZooKeeper, so that one conformance suite holds every store. The outcome of a write is
one of three: it returns (done), it raises `Refused` (it changed nothing, and never will), or it
raises `Unknown` (done or not: read again and compare before doing it once more). A cancelled write
is of the third kind.

All coroutines of one session run on one event loop. Operations of a session take effect in the
order they were called. A watch tells its change before the session sees the result of any read
that follows it.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

BYTES_MAX = 512 * 1024  # of one write; ZooKeeper drops the connection of a client that sends 1 MiB
OPERATIONS_MAX = 1000


class CoordinationError(Exception):
    """`path` is the node concerned; `index` the failed operation's place in its multi."""

    def __init__(self, path: str = "", index: int | None = None, message: str = "") -> None:
        super().__init__(message or path)
        self.path = path
        self.index = index


class Refused(CoordinationError):
    """The store did nothing, and will do nothing, of what was asked."""


class NoNode(Refused): ...


class NodeExists(Refused): ...


class BadVersion(Refused): ...


class NotEmpty(Refused): ...


class NoChildrenForEphemerals(Refused): ...


class SessionExpired(Refused):
    """The session was over before the operation began; its ephemerals and watches are gone."""


class StoreFull(Refused):
    """The store has no room for the write, and has taken it back whole."""


class Unknown(CoordinationError):
    """The store did not answer: the write may be done, or may still be done."""


class State(Enum):
    """What a session tells its listeners."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"  # no contact; the session may be over without our knowing
    LOST = "lost"  # the session is over; ephemerals and watches are gone


class Stat(NamedTuple):
    """A node's metadata. Times in ms since 1970; ephemeral_owner is 0 for a lasting node."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


class Event(Enum):
    CREATED = "created"
    DELETED = "deleted"
    CHANGED = "changed"
    CHILDREN = "children"


class WatchEvent(NamedTuple):
    event: Event
    path: str


Watch = Callable[[WatchEvent], None]


class Create(NamedTuple):
    """Results in the path, which a sequence node's ten digits are part of."""

    path: str
    data: bytes = b""
    ephemeral: bool = False
    sequence: bool = False


class Set(NamedTuple):
    """Results in the node's new Stat. `version` None writes over any version."""

    path: str
    data: bytes
    version: int | None


class Delete(NamedTuple):
    """Results in None. `version` None deletes any version."""

    path: str
    version: int | None


class Check(NamedTuple):
    """Results in None; the whole multi fails unless the node has this version (None: exists)."""

    path: str
    version: int | None


Operation = Create | Set | Delete | Check


class Coordination(ABC):
    """One session with a store. A watch is called once, on the event loop; it only enqueues."""

    @property
    @abstractmethod
    def session_id(self) -> int:
        """Owner of this session's ephemerals."""

    @abstractmethod
    async def connect(self) -> None:
        """Begins a new session. OSError or Unknown: the store cannot be reached."""

    @abstractmethod
    async def close(self) -> None:
        """Ends the session, if it is not over; its ephemerals are gone when this returns."""

    @abstractmethod
    def listen(self, listener: Callable[[State], None]) -> None:
        """Calls `listener` on the event loop at each change of state; it should only enqueue."""

    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequence: bool = False
    ) -> str:
        """NoNode: no parent. NodeExists. NoChildrenForEphemerals. Returns the path as created."""
        return (await self.multi([Create(path, data, ephemeral, sequence)]))[0]

    async def set(self, path: str, data: bytes, version: int | None) -> Stat:
        """NoNode, BadVersion. `version` None, said out loud, writes over any version."""
        return (await self.multi([Set(path, data, version)]))[0]

    async def delete(self, path: str, version: int | None) -> None:
        """NoNode, BadVersion, NotEmpty."""
        await self.multi([Delete(path, version)])

    async def multi(self, operations: Sequence[Operation]) -> list:
        """All of the operations or none. Raises what the first that fails would, with its index."""
        check_operations(operations)
        return await self._write(list(operations)) if operations else []

    async def get(self, path: str, watch: Watch | None = None) -> tuple[bytes, Stat]:
        """NoNode (and then no watch is set). The watch tells of CHANGED and DELETED."""
        check_path(path)
        return await self._get(path, watch)

    async def data(self, paths: Sequence[str]) -> list[tuple[bytes, int] | None]:
        """Data and version of each node, None where there is none; not all of one moment."""
        for path in paths:
            check_path(path)
        return await self._data(paths)

    async def exists(self, path: str, watch: Watch | None = None) -> Stat | None:
        """The watch tells of CREATED, CHANGED and DELETED."""
        check_path(path)
        return await self._exists(path, watch)

    async def children(self, path: str, watch: Watch | None = None) -> list[str]:
        """Names, in no order. NoNode. The watch tells of CHILDREN (come or gone) and DELETED."""
        check_path(path)
        return await self._children(path, watch)

    async def ensure(self, path: str) -> None:
        """Creates the node, empty, and what is missing above it; leaves what is there alone."""
        check_path(path)
        for one in with_parents(path):
            if await self.exists(one) is None:
                with suppress(NodeExists):  # another session may be faster
                    await self.create(one)

    @abstractmethod
    async def _write(self, operations: list[Operation]) -> list: ...

    @abstractmethod
    async def _get(self, path: str, watch) -> tuple[bytes, Stat]: ...

    async def _data(self, paths: Sequence[str]) -> list[tuple[bytes, int] | None]:
        async def one(path: str) -> tuple[bytes, int] | None:
            try:
                data, stat = await self._get(path, None)
            except NoNode:
                return None
            return data, stat.version

        return await asyncio.gather(*map(one, paths))

    @abstractmethod
    async def _exists(self, path: str, watch) -> Stat | None: ...

    @abstractmethod
    async def _children(self, path: str, watch) -> list[str]: ...


def parent_of(path: str) -> str:
    return path[: path.rfind("/")] or "/"


def with_parents(path: str) -> list[str]:
    """The nodes that the path needs, itself the last: /a, /a/b, /a/b/c."""
    return [path[:i] for i, c in enumerate(path) if c == "/" and i] + [path]


_UNTAKABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\uf8ff\\ufff0-\\U0010ffff]")


def check_path(path: str) -> None:
    """ZooKeeper's rules. ValueError: a mistake of the caller's, never of the store's state."""
    if not path.startswith("/") or (path != "/" and path.endswith("/")):
        raise ValueError(f"not an absolute path without a slash at its end: {path!r}")
    if path != "/" and not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
        raise ValueError(f"an empty or relative part in {path!r}")
    if _UNTAKABLE.search(path):
        raise ValueError(f"a character that no store takes in {path!r}")


def check_operations(operations: Sequence[Operation]) -> None:
    """ValueError: an operation that is wrong whatever the store holds.

    -1 as a version means "any" to ZooKeeper and is refused here: a forgotten check looks like it.
    """
    size = 0
    for operation in operations:
        check_path(operation.path)
        size += len(operation.path)
        if isinstance(operation, (Create, Set)):
            if not isinstance(operation.data, (bytes, bytearray)):
                raise TypeError(f"the data of {operation.path} must be bytes")
            size += len(operation.data)
        if not isinstance(operation, Create):
            version = operation.version
            if version is not None and (isinstance(version, bool) or version < 0):
                raise ValueError(f"version {version} of {operation.path}; None means any")
        if isinstance(operation, (Create, Delete)) and operation.path == "/":
            raise ValueError("the root neither comes nor goes")
    if size > BYTES_MAX or len(operations) > OPERATIONS_MAX:
        raise ValueError(f"a write of {len(operations)} operations and {size} bytes is too large")
