"""Why a folder of logs cannot be used. Each message is one line that names the folder."""

from pathlib import Path


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


class TopicIdMismatch(FolderError):
    """A partition's folder was written for an earlier topic of the same name."""
