"""Telling what happens too often for a line each: a hostile peer, a lack of descriptors."""

import logging
import math
import time
from collections.abc import Callable

TOLD_EACH_SECONDS = 5.0


class Noticed:
    """Logs events; a kind of event at most once in TOLD_EACH_SECONDS."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self.log = log
        self.clock = clock
        self.told_at: dict[str, float] = {}
        self.untold: dict[str, int] = {}

    def tell(self, kind: str, text: str) -> None:
        """Logs the event, with the number of those of its kind that were left out before it."""
        now = self.clock()
        if now - self.told_at.get(kind, -math.inf) < TOLD_EACH_SECONDS:
            self.untold[kind] = self.untold.get(kind, 0) + 1
            return
        self.told_at[kind] = now
        untold = self.untold.pop(kind, 0)
        more = f" (and {untold} times before)" if untold else ""
        self.log.warning("%s: %s%s", kind.replace("_", " "), text, more)
