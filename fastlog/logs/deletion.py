"""Files and folders that go after a while, so that readers on their way can finish."""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path

logger = logging.getLogger(__name__)


class DelayedDeletion:
    """Belongs to one event loop. What is left at `cancel` is found again at the next start."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: set[asyncio.TimerHandle] = set()
        self._cancelled = False

    def remove_later(self, paths: Sequence[str | os.PathLike[str]], delay_ms: int) -> None:
        """Removes files or whole folders in `delay_ms` milliseconds, one after the other."""
        handle: asyncio.TimerHandle
        if self._cancelled:
            return

        def due() -> None:
            self._waiting.discard(handle)
            self._executor.submit(_remove_all, paths)

        handle = asyncio.get_running_loop().call_later(max(delay_ms, 0) / 1000, due)
        self._waiting.add(handle)

    def cancel(self) -> None:
        """Removes nothing more."""
        self._cancelled = True
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()


def _remove_all(paths: Iterable[str | os.PathLike[str]]) -> None:
    for path in paths:
        _remove(Path(path))


def _remove(path: Path) -> None:
    import shutil  # not for the start: it brings every compressor along

    try:
        if path.is_dir():
            shutil.rmtree(path)
            logger.info("deleted %s", path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        logger.error("%s is not deleted: %s", path, error)
