"""Commands that are bound to the session's broker."""

import uuid
from collections.abc import Callable

import pytest

from tests.console import command
from tests.peers.fastlog import FastlogBroker


class Client:
    """`fastlog` against one broker; the options that name it go after the command's own."""

    def __init__(self, broker: FastlogBroker) -> None:
        self.broker = broker
        self.there = ["--bootstrap-server", broker.address]

    def __call__(self, *arguments: object, stdin: bytes = b"") -> bytes:
        """The output of a command that must succeed."""
        return command.output(*arguments, *self.there, stdin=stdin)

    def failure(self, *arguments: object, stdin: bytes = b"") -> str:
        """The one line of a command that must fail."""
        return command.failure(*arguments, *self.there, stdin=stdin)


@pytest.fixture
def client(shared_fastlog: FastlogBroker) -> Client:
    return Client(shared_fastlog)


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Names of topics that no other test uses."""
    return lambda: f"console-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(client: Client, new_name: Callable[[], str]) -> str:
    """A new topic with three partitions."""
    name = new_name()
    client("topic", "create", name, "-p", 3)
    return name
