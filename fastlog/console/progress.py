"""A line of progress on a terminal's stderr; silent where nobody watches."""

import sys
import time


class Progress:
    """Counts records and bytes, and shows the rate at most five times a second."""

    def __init__(self, verb: str, *, quiet: bool = False) -> None:
        self.verb = verb
        self.records = 0
        self.bytes = 0
        self.start = time.monotonic()
        self.shown = self.start
        self.live = sys.stderr.isatty() and not quiet

    def add(self, size: int) -> None:
        """One more record of `size` bytes."""
        self.records += 1
        self.bytes += size
        if self.live and self.records % 64 == 0:
            now = time.monotonic()
            if now - self.shown > 0.2:
                self.shown = now
                sys.stderr.write(f"\r\x1b[K{self.text()}")
                sys.stderr.flush()

    def text(self) -> str:
        """For instance `produced 1,200 records, 3.4 MB, 12.1 MB/s`."""
        seconds = max(time.monotonic() - self.start, 1e-6)
        megabytes = self.bytes / 1e6
        return (
            f"{self.verb} {self.records:,} records, {megabytes:,.1f} MB, "
            f"{megabytes / seconds:,.1f} MB/s"
        )

    def finish(self) -> None:
        """Replaces the live line by the final figures."""
        if self.live:
            sys.stderr.write(f"\r\x1b[K{self.text()}\n")
