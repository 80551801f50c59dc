"""What every command has in common."""

import subprocess
import sys

import pytest

from tests.console.command import ROOT, failure, fastlog, output


def test_help_and_version():
    assert output("--help").startswith(b"usage: fastlog COMMAND")
    assert output("--version").startswith(b"fastlog ")
    assert fastlog().returncode == 2


@pytest.mark.parametrize("command", ["serve", "topic", "produce", "consume", "log"])
def test_every_command_explains_itself(command):
    assert f"usage: fastlog {command}".encode() in output(command, "--help")


def test_unknown_command():
    assert "did you mean 'topic'?" in failure("topics", code=2)
    assert "there are serve, topic" in failure("xyzzy", code=2)


def test_without_confluent_kafka():
    """The broker's own install has no client: the command says what to install."""
    script = (
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from fastlog.console.main import main; sys.exit(main(['topic', 'list', '-b', 'h:1']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("fastlog: ")
    assert len(done.stderr.splitlines()) == 1


def test_reader_that_goes_away(client, topic):
    client("produce", topic, stdin=b"line\n" * 20000)
    command = f"{sys.executable} -m fastlog consume {topic} -e -b {client.broker.address} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, cwd=ROOT, timeout=60)
    assert done.stdout == b"line\n"
    assert done.stderr == b""
