"""Why a folder of logs cannot be used. Each message is one line that names the folder."""

import errno
from pathlib import Path

# Of these the process, the room on the disk or one name is the reason. Every other error of the
# file system says that the folder's storage is broken or gone.
_HARMLESS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG),
}


def is_storage_failure(error: BaseException) -> bool:
    """Whether the exception means that the storage of a whole folder failed."""
    if isinstance(error, FolderNotUsable):
        error = error.error
    return isinstance(error, OSError) and error.errno not in _HARMLESS


class FolderError(Exception):
    """The folder of logs cannot be used as it is."""


class FolderInUse(FolderError):
    """Another broker, fastlog or Kafka, holds the folder's lock. `pid` is None if it is unknown."""

    def __init__(self, path: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{path} is in use by {owner}")
        self.path = path
        self.pid = pid


class FolderNotUsable(FolderError):
    """The folder cannot be created, read or written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be used for logs: {error.strerror or error}")
        self.path = path
        self.error = error


class DuplicateLog(FolderError):
    """Two folders hold the same partition."""

    def __init__(self, name: str, one: Path, other: Path) -> None:
        super().__init__(
            f"{name} is in two log folders, {one} and {other}: which of them holds its records "
            "cannot be told; move one away"
        )


class ForeignFolder(FolderError):
    """meta.properties says that the folder belongs to another cluster, broker or format."""


class LogsNotOpened(FolderError):
    """Logs in the folder could not be opened. `failures`: (partition folder's name, exception)."""

    def __init__(self, path: Path, failures: list[tuple[str, Exception]]) -> None:
        name, error = failures[0]
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        more = f" (and {len(failures) - 1} more logs)" if len(failures) > 1 else ""
        super().__init__(f"{path / name} cannot be opened: {reason}{more}")
        self.failures = failures

    @property
    def storage_failure(self) -> OSError | None:
        """The first failure that is not of one log but of the folder."""
        found = (error for _, error in self.failures if is_storage_failure(error))
        return next((error for error in found if isinstance(error, OSError)), None)


class OffsetOutOfRange(ValueError):
    """A log cannot begin above its high watermark."""


class TopicIdMismatch(FolderError):
    """A partition's folder was written for an earlier topic of the same name."""
