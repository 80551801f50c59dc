"""The tree of nodes in SQLite, and what each operation does to it. No threads here."""

import sqlite3
import time
from collections.abc import Iterable

from fastlog.coordination.interface import (
    BadVersion,
    Check,
    Create,
    Delete,
    Event,
    NoChildrenForEphemerals,
    NodeExists,
    NoNode,
    NotEmpty,
    Operation,
    Refused,
    Set,
    Stat,
    WatchEvent,
    parent_of,
)

SCHEMA = 1
_TABLES = """
CREATE TABLE node (
    path TEXT PRIMARY KEY, parent TEXT NOT NULL, data BLOB NOT NULL,
    czxid INTEGER NOT NULL, mzxid INTEGER NOT NULL, pzxid INTEGER NOT NULL,
    ctime INTEGER NOT NULL, mtime INTEGER NOT NULL,
    version INTEGER NOT NULL, cversion INTEGER NOT NULL, owner INTEGER NOT NULL
);
CREATE INDEX node_parent ON node (parent);
CREATE INDEX node_owner ON node (owner) WHERE owner != 0;
CREATE TABLE counter (zxid INTEGER NOT NULL, session INTEGER NOT NULL);
INSERT INTO counter VALUES (0, 0);
INSERT INTO node VALUES ('/', '', x'', 0, 0, 0, 0, 0, 0, 0, 0);
"""
_STAT = (
    "SELECT czxid, mzxid, ctime, mtime, version, cversion, owner, length(data), "
    "(SELECT count(*) FROM node AS child WHERE child.parent = node.path), pzxid{} "
    "FROM node WHERE path = ?"
)
_LIGHT = "SELECT version, cversion, owner FROM node WHERE path = ?"  # counts no children
_DATA = "SELECT data, version FROM node WHERE path = ?"
_STAT_ONLY, _STAT_DATA = _STAT.format(""), _STAT.format(", data")


class Tree:
    """Owns the connection; for one thread. `begin` and `commit` enclose many operations."""

    def __init__(self, path: str) -> None:
        """Opens or creates the file; drops old ephemerals. sqlite3.Error, ValueError."""
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # one process at a time, and no -shm file
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a commit returns when the disk has it
        db.execute("BEGIN IMMEDIATE")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        elif found != SCHEMA:
            raise ValueError(f"its format is {found}, this version of fastlog knows {SCHEMA}")
        self._zxid, self._session = db.execute("SELECT zxid, session FROM counter").fetchone()
        self._saved = self._durable = (self._zxid, self._session)
        owners = db.execute("SELECT DISTINCT owner FROM node WHERE owner != 0").fetchall()
        for (owner,) in owners:
            self.end_session(owner)
        self.commit()

    def close(self) -> None:
        self._db.close()

    def begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Durable when it returns. sqlite3.Error: nobody knows what the disk holds; stop."""
        if (self._zxid, self._session) != self._saved:
            self._db.execute(
                "UPDATE counter SET zxid = ?, session = ?", (self._zxid, self._session)
            )
            self._saved = (self._zxid, self._session)
        self._db.execute("COMMIT")
        self._durable = self._saved

    def roll_back(self) -> None:
        """Undoes all since `begin`. sqlite3.Error: nobody knows what the disk holds; stop."""
        if self._db.in_transaction:  # SQLite may have done it already
            self._db.execute("ROLLBACK")
        self._zxid, self._session = self._saved = self._durable

    def new_session(self) -> int:
        """An id that no session of this store ever had."""
        self._session += 1
        return self._session

    def end_session(self, session: int) -> list[WatchEvent]:
        """Deletes the session's ephemerals."""
        rows = self._db.execute("SELECT path FROM node WHERE owner = ?", (session,)).fetchall()
        return self.write([Delete(path, None) for (path,) in rows], session)[1] if rows else []

    def stat(self, path: str) -> Stat | None:
        row = self._db.execute(_STAT_ONLY, (path,)).fetchone()
        return Stat(*row) if row else None

    def get(self, path: str) -> tuple[bytes, Stat]:
        row = self._db.execute(_STAT_DATA, (path,)).fetchone()
        if row is None:
            raise NoNode(path)
        return row[-1], Stat(*row[:-1])

    def data(self, path: str) -> tuple[bytes, int] | None:
        """Data and version."""
        found: tuple[bytes, int] | None = self._db.execute(_DATA, (path,)).fetchone()
        return found

    def children(self, path: str) -> list[str]:
        if self._db.execute(_LIGHT, (path,)).fetchone() is None:
            raise NoNode(path)
        rows = self._db.execute("SELECT path FROM node WHERE parent = ?", (path,))
        return [child[child.rfind("/") + 1 :] for (child,) in rows]

    def write(self, operations: Iterable[Operation], session: int) -> tuple[list, list[WatchEvent]]:
        """All operations or none, as one change of one zxid: (results, events in order)."""
        self._db.execute("SAVEPOINT write")
        self._zxid += 1
        now = int(time.time() * 1000)
        results: list = []
        events: list[WatchEvent] = []
        try:
            for index, operation in enumerate(operations):
                results.append(self._apply(operation, session, now, events, index))
        except Refused:
            self._db.execute("ROLLBACK TO write")
            self._zxid -= 1
            raise
        finally:
            self._db.execute("RELEASE write")
        return results, events

    def _apply(self, operation: Operation, session: int, now: int, events: list, index: int):
        if isinstance(operation, Create):
            return self._create(operation, session, now, events, index)
        found = self._db.execute(_LIGHT, (operation.path,)).fetchone()
        if found is None:
            raise NoNode(operation.path, index)
        if operation.version is not None and operation.version != found[0]:
            raise BadVersion(operation.path, index)
        if isinstance(operation, Check):
            return None
        if isinstance(operation, Set):
            return self._set(operation, now, events)
        return self._delete(operation, events, index)

    def _create(self, operation: Create, session: int, now: int, events: list, index: int) -> str:
        parent = parent_of(operation.path)
        above = self._db.execute(_LIGHT, (parent,)).fetchone()
        if above is None:
            raise NoNode(parent, index)
        _, cversion, parents_owner = above
        if parents_owner:
            raise NoChildrenForEphemerals(parent, index)
        path = operation.path + (f"{cversion:010d}" if operation.sequence else "")
        if self._db.execute(_LIGHT, (path,)).fetchone() is not None:
            raise NodeExists(path, index)
        owner, zxid = session if operation.ephemeral else 0, self._zxid
        self._db.execute(
            "INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
            (path, parent, bytes(operation.data), zxid, zxid, zxid, now, now, owner),
        )
        self._touch_children(parent)
        events += [WatchEvent(Event.CREATED, path), WatchEvent(Event.CHILDREN, parent)]
        return path

    def _set(self, operation: Set, now: int, events: list) -> Stat | None:
        self._db.execute(
            "UPDATE node SET data = ?, mzxid = ?, mtime = ?, version = version + 1 WHERE path = ?",
            (bytes(operation.data), self._zxid, now, operation.path),
        )
        events.append(WatchEvent(Event.CHANGED, operation.path))
        return self.stat(operation.path)

    def _delete(self, operation: Delete, events: list, index: int) -> None:
        child = "SELECT 1 FROM node WHERE parent = ? LIMIT 1"
        if self._db.execute(child, (operation.path,)).fetchone():
            raise NotEmpty(operation.path, index)
        parent = parent_of(operation.path)
        self._db.execute("DELETE FROM node WHERE path = ?", (operation.path,))
        self._touch_children(parent)
        events += [
            WatchEvent(Event.DELETED, operation.path),
            WatchEvent(Event.CHILDREN, parent),
        ]

    def _touch_children(self, parent: str) -> None:
        self._db.execute(
            "UPDATE node SET cversion = cversion + 1, pzxid = ? WHERE path = ?",
            (self._zxid, parent),
        )
