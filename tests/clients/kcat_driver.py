"""kcat performing the steps of a scenario; what kcat cannot do at all, confluent-kafka does.

kcat has no administration, and gives no timestamps to what it produces: topics are created and
records with timestamps are produced through confluent-kafka. Everything else here is kcat's.
"""

import itertools
import re
import subprocess
from collections.abc import Iterator
from typing import Any

from tests.clients.confluent_driver import ConfluentDriver
from tests.clients.drivers import Step
from tests.peers.processes import require_program

# Separators that no key and no value that kcat sends contains, and no header.
KEY_END, RECORD_END, HEAD_END = b"\x1c", b"\x1d", b"\x1e"
CONSUMED = r"%o %T %K %S %h\x1e%k%s"
DEADLINE_S = 30


class KcatDriver(ConfluentDriver):
    """Debian's kcat with the librdkafka it was built with."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._kcat = require_program("kcat", "kcat")

    def _run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [self._kcat, "-b", self.address, "-m", "10", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE_S)

    def produce(self, step: Step) -> Any:
        if any("timestamp" in record for record in step["records"]):
            return super().produce(step)
        outcomes = []
        for how, records in itertools.groupby(step["records"], key=_how_to_send):
            done = self._run(*self._produce_arguments(step, *how), stdin=_input(list(records)))
            outcomes.append("sent" if done.returncode == 0 else errors_in(done.stderr))
        return outcomes

    def _produce_arguments(
        self, step: Step, partition: int, keyed: bool, null: bool, headers: tuple[Any, ...]
    ) -> list[str]:
        arguments = ["-P", "-t", step["topic"], "-p", str(partition), "-D", r"\x1d"]
        arguments += ["-z", step.get("codec", "none")]
        settings = {
            "topic.acks": {"all": "-1"}.get(step.get("acks", "all"), step.get("acks")),
            "enable.idempotence": str(step.get("idempotent", False)).lower(),
            "message.max.bytes": "20000000",
            "message.timeout.ms": "8000",
            "topic.metadata.propagation.max.ms": "2000",
            "linger.ms": "5",
        }
        for key, value in settings.items():
            arguments += ["-X", f"{key}={value}"]
        for name, value in headers:
            arguments += ["-H", name if value is None else f"{name}={value.decode()}"]
        if keyed:
            arguments += ["-K", r"\x1c"]
        return [*arguments, "-Z"] if null else arguments

    def consume(self, step: Step) -> Any:
        arguments = ["-C", "-q", "-e", "-t", step["topic"], "-p", str(step.get("partition", 0))]
        arguments += ["-o", str(step["start"]), "-f", CONSUMED]
        settings = {"check.crcs": "true", "auto.offset.reset": "error", "fetch.wait.max.ms": "100"}
        if "fetch_bytes" in step:
            settings["fetch.message.max.bytes"] = str(step["fetch_bytes"])
        for key, value in settings.items():
            arguments += ["-X", f"{key}={value}"]
        done = self._run(*arguments)
        records = list(parsed(done.stdout))
        return records if done.returncode == 0 else [*records, errors_in(done.stderr)]

    def times(self, step: Step) -> Any:
        answers: list[Any] = []
        for wanted in step["times"]:
            done = self._run("-Q", "-t", f"{step['topic']}:{step.get('partition', 0)}:{wanted}")
            found = re.search(rb"\] offset (-?[0-9]+)", done.stdout)
            if found is None:
                answers.append(errors_in(done.stderr))
            else:
                answers.append(None if int(found[1]) == -1 else {"offset": int(found[1])})
        return answers

    def partitions(self, step: Step) -> Any:
        done = self._run("-L", "-t", step["topic"], "-X", "allow.auto.create.topics=false")
        found = re.search(rb'topic "[^"]*" with ([0-9]+) partitions:?(.*)', done.stdout)
        if found is None:
            return errors_in(done.stderr)
        return {"count": int(found[1]), "state": found[2].decode().strip()}


def errors_in(output: bytes) -> dict[str, list[str]]:
    """The distinct complaints, without the names and addresses of this run."""
    texts = set()
    for line in output.decode(errors="replace").splitlines():
        if "% Auto-selecting" in line or "terminating" in line and "ERROR" not in line:
            continue
        text = re.sub(r"(topic|Topic) \S+", "topic T", line)
        text = re.sub(r"127\.0\.0\.1:[0-9]+(/\S+)?", "BROKER", text)
        text = re.sub(r"\(broker [0-9]+\)", "(broker N)", text)
        texts.add(re.sub(r"\b[0-9]+ms\b|%[0-9]\|[0-9.]+\|", "N", text))
    return {"error": sorted(texts)}


def _how_to_send(record: dict[str, Any]) -> tuple[int, bool, bool, tuple[Any, ...]]:
    """Records that one run of kcat can send together."""
    headers = tuple((name, value) for name, value in record.get("headers", []))
    return record.get("partition", 0), record["key"] is not None, record["value"] is None, headers


def _input(records: list[dict[str, Any]]) -> bytes:
    lines = []
    for record in records:
        key = b"" if record["key"] is None else record["key"] + KEY_END
        lines.append(key + (record["value"] or b""))
    return RECORD_END.join(lines) + RECORD_END


def parsed(output: bytes) -> Iterator[dict[str, Any]]:
    """The records of a consuming run: keys and values by their lengths, so any byte may stand."""
    at = 0
    while at < len(output):
        head_end = output.index(HEAD_END, at)
        offset, timestamp, key_size, value_size, headers = output[at:head_end].split(b" ", 4)
        key_at = head_end + 1
        value_at = key_at + max(int(key_size), 0)
        at = value_at + max(int(value_size), 0)
        yield {
            "offset": int(offset),
            "timestamp": int(timestamp),
            "key": output[key_at:value_at] if int(key_size) >= 0 else None,
            "value": output[value_at:at] if int(value_size) >= 0 else None,
            "headers": headers,
        }
