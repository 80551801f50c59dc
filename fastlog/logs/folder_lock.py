"""The lock on `.lock` that keeps Kafka and fastlog, and two of either, out of one folder.

It is an open-file-description lock: unlike the process's POSIX lock it is not lost when some
library closes another descriptor of the file, and two brokers in one process exclude each other.
Java's FileLock is a POSIX lock on the same file; the two kinds conflict, as they must.
"""

import contextlib
import errno
import fcntl
import os
import struct
import weakref
from pathlib import Path

from fastlog.logs.errors import FolderInUse

# struct flock: type, whence, start, length (0: to the end), pid; padded to its alignment
_FLOCK = struct.Struct("hhqqi0q")
_held: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


class FolderLock:
    """Held from creation to `release`. The owner's process id is written into the file."""

    def __init__(self, folder: Path) -> None:
        """Raises FolderInUse or OSError."""
        self.folder = folder
        self.path = folder / ".lock"
        self._descriptor = self._acquire()
        _held.add(self)

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if not _lock(descriptor):
                    raise FolderInUse(self.folder, _owner(descriptor))
                if _same_file(descriptor, self.path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # Kafka deletes the file when it exits: what was locked is no longer what others find.
            os.close(descriptor)

    def renew(self) -> None:
        """Locks the file again if it was deleted: a Kafka that could not start does that.

        Raises FolderInUse when another broker was quicker, OSError.
        """
        if self._descriptor < 0 or _same_file(self._descriptor, self.path):
            return
        renewed = self._acquire()
        os.close(self._descriptor)
        self._descriptor = renewed

    def release(self) -> None:
        """The file stays: to delete it would take it away from under whoever locks it next."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # the folder's storage has failed
                os.ftruncate(self._descriptor, 0)
            with contextlib.suppress(OSError):
                # Not left to the close: a child in the middle of its fork may hold a copy still.
                _lock(self._descriptor, fcntl.F_UNLCK)
            self.forget()

    def forget(self) -> None:
        """Closes the descriptor alone; after a fork the lock stays with the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int, kind: int = fcntl.F_WRLCK) -> bool:
    request = _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _owner(descriptor: int) -> int | None:
    """Who holds the lock: the kernel knows it of a POSIX lock, the file says it of ours."""
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request)
    kind, *_, pid = _FLOCK.unpack(answer)
    if kind != fcntl.F_UNLCK and pid > 0:
        return pid
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def owner_of(folder: Path) -> tuple[bool, int | None]:
    """Whether a broker holds the folder, and its process id if that can be told. Takes no lock."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False, None
    try:
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request))
        locked = kind != fcntl.F_UNLCK
        return locked, _owner(descriptor) if locked else None
    finally:
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_all)
