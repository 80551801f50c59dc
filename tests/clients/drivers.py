"""The clients that perform a scenario's steps: each takes a step and gives back what it saw.

A step is a dict with "op" and what the operation needs; bytes are bytes in Python. An answer holds
offsets, contents and the client's own names of errors, and nothing that names a broker or a topic.
"""

from typing import Any, Protocol

Step = dict[str, Any]


class Driver(Protocol):
    """One client library or program, connected to one broker."""

    def perform(self, step: Step) -> Any:
        """Perform one step; errors of the broker are part of the answer."""

    def close(self) -> None:
        """End it."""
