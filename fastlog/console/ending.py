"""Sees to it that a stop comes to its end, whatever it waits for: a disk may stand still."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable

AT_ONCE = (signal.SIGTERM, signal.SIGINT)
LOOK_S = 0.5


def end_at_once(number: int) -> None:
    """No clean marker is written: the next start recovers the logs."""
    os.write(2, b"fastlog: ended at once by a second signal\n")
    os._exit(128 + number)


class Watch(threading.Thread):
    """From `start` on, another signal ends the process at once (128 + its number), and so does a
    stop that does not go on (1): `stage()`, what it waits for, stays the same for `patience_s`.

    It takes the signals from asyncio, whose loop may be what waits. A thread in a call that cannot
    be interrupted keeps the process's remains until the disk goes on or the machine ends.
    """

    def __init__(self, stage: Callable[[], str], patience_s: float) -> None:
        super().__init__(daemon=True)
        self.stage, self.patience_s = stage, patience_s
        self.signals, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def run(self) -> None:
        seen, since = "", 0.0
        while seen == "" or time.monotonic() - since < self.patience_s:
            if (stage := self.stage()) != seen:
                seen, since = stage, time.monotonic()
            if select.select([self.signals], [], [], LOOK_S)[0]:
                number = os.read(self.signals, 1)[0]
                if number in AT_ONCE:
                    end_at_once(number)
        text = f"fastlog: gave up waiting for {seen}; the next start recovers the logs\n"
        os.write(2, text.encode())
        os._exit(1)
