"""Java kafka-clients performing the steps of a scenario: ScenarioRunner.java in one JVM."""

import base64
import json
import subprocess
import tempfile
from typing import Any

from tests.clients.drivers import Step
from tests.peers.java import compiled, java_command
from tests.peers.processes import ProcessFailed


class JavaDriver:
    """kafka-clients of one Kafka release."""

    def __init__(self, address: str, release: str) -> None:
        classes = compiled("ScenarioRunner.java", release)
        command = java_command(release, "ScenarioRunner", address, classes=classes)
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def perform(self, step: Step) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(step, default=_to_text) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise ProcessFailed("the Java client ended:\n" + self._errors.read().decode()[-4000:])
        return _with_bytes(json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._errors.close()


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{value!r} does not go into a step")


def _with_bytes(answer: Any) -> Any:
    """Received records hold base64 where the other drivers hold bytes."""
    if not isinstance(answer, list):
        return answer
    for record in answer:
        if isinstance(record, dict) and "headers" in record:
            record["key"] = _to_bytes(record["key"])
            record["value"] = _to_bytes(record["value"])
            record["headers"] = [[name, _to_bytes(value)] for name, value in record["headers"]]
    return answer


def _to_bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
