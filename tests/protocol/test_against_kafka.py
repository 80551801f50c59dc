"""The codec against Kafka's own classes: the same bytes for every message and every version."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.peers.cache import MESSAGES, kafka_libs
from tests.peers.java import JVM_FLAGS
from tests.peers.processes import require_program
from tests.protocol.content import Maker, every_version, to_json
from tests.tools import refresh_messages

PROGRAM = Path(__file__).parent / "MessageBytes.java"
ROUNDS = 4


def bytes_of_kafka(class_path: str, lines: list[str]) -> list[str]:
    java = require_program("java", "openjdk-17-jre-headless")
    done = subprocess.run(
        [java, *JVM_FLAGS, "-cp", class_path, str(PROGRAM)],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def answers():
    """(message, version, our object, our bytes, Kafka 3.9's answer, Kafka 4's) of many messages."""
    cases = []
    for message_class, version in every_version():
        for turn in range(ROUNDS):
            message = Maker((message_class.__name__, version, turn)).message(message_class, version)
            cases.append((message_class, version, message))
    new = [
        f"{cls.__name__} {version} {json.dumps(to_json(message, cls, version))}"
        for cls, version, message in cases
    ]
    # Kafka 4 renamed one field of a message that both releases have.
    old = [
        line.replace("generationIdOrMemberEpoch", "generationId")
        if line.startswith("TxnOffsetCommitRequest ")
        else line
        for line in new
    ]
    newest = refresh_messages.jar(MESSAGES)
    answers_old = bytes_of_kafka(f"{kafka_libs('3.9')}/*", old)
    answers_new = bytes_of_kafka(f"{newest}:{kafka_libs('4')}/*", new)
    return [(*case, *pair) for case, *pair in zip(cases, answers_old, answers_new, strict=True)]


def test_same_bytes_as_kafka(answers):
    wrong = []
    for message_class, version, message, old, new in answers:
        ours = message.encode(version).hex()
        known = {"3.9": old, "4": new}
        theirs = {release: answer for release, answer in known.items() if answer != "absent"}
        if not theirs or any(answer != ours for answer in theirs.values()):
            wrong.append((message_class.__name__, version, ours[:200], known, repr(message)[:500]))
    assert wrong == []


def test_decoding_gives_the_message_back(answers):
    for message_class, version, message, _, _ in answers:
        assert message_class.decode(version, message.encode(version)) == message


def test_definitions_are_fresh():
    present = {path.name: path.read_text() for path in refresh_messages.DEFINITIONS.glob("*.py")}
    assert present == refresh_messages.definitions()
