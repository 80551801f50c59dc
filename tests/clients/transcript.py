"""Run a scenario with a client on a broker; write down what can be compared between brokers."""

import hashlib
import time
import uuid
from typing import Any

from tests.clients.drivers import Driver, Step
from tests.clients.scenarios import Scenario

RECENT_MS = 600_000
SHOWN_BYTES = 60


def run(
    scenario: Scenario, driver: Driver, *, drop_timestamps: bool = False
) -> list[tuple[Step, Any]]:
    """Each step with its answer, free of what differs from run to run."""
    started = int(time.time() * 1000)
    now = started - 10_800_000  # three hours ago: what a broker stamps itself is told apart
    topic = f"t-{uuid.uuid4().hex[:12]}"
    transcript = []
    for step in scenario(topic, now):
        if drop_timestamps and step["op"] == "produce":
            step = {**step, "records": [_without_timestamp(one) for one in step["records"]]}
        answer = REPEATED.get(step["op"], perform)(driver, step)
        transcript.append((step, normal(answer, now, started)))
    return transcript


def _without_timestamp(record: Step) -> Step:
    return {key: value for key, value in record.items() if key != "timestamp"}


def _await_end(driver: Driver, step: Step) -> Any:
    """Records sent with acks=0 arrive some time later."""
    deadline = time.monotonic() + 10
    while True:
        answer = driver.perform({"op": "watermarks", "topic": step["topic"]})
        if answer.get("end") == step["end"] or time.monotonic() > deadline:
            return answer


def create_again(driver: Driver, step: Step) -> Any:
    """A deleted topic's name is free only some time after the deletion was answered."""
    deadline = time.monotonic() + 10
    while True:
        answer = driver.perform({**step, "op": "create"})
        if "Exists" not in str(answer) and "EXISTS" not in str(answer):
            return answer
        if time.monotonic() > deadline:
            return answer


def perform(driver: Driver, step: Step) -> Any:
    return driver.perform(step)


REPEATED = {"await_end": _await_end, "create_again": create_again}


def normal(answer: Any, now: int, started: int) -> Any:
    """The answer with timestamps relative to the scenario's, and long contents by their hash."""
    if isinstance(answer, list):
        return [normal(one, now, started) for one in answer]
    if isinstance(answer, dict):
        pairs = {key: normal(value, now, started) for key, value in answer.items()}
        if "timestamp" in answer:
            pairs["timestamp"] = _relative(answer["timestamp"], now, started)
        return pairs
    if isinstance(answer, bytes) and len(answer) > SHOWN_BYTES:
        return f"{len(answer)} bytes, SHA-256 {hashlib.sha256(answer).hexdigest()[:16]}"
    return answer


def _relative(timestamp: int, now: int, started: int) -> int | str:
    if timestamp < 0:
        return timestamp
    return "recent" if abs(timestamp - started) < RECENT_MS else timestamp - now


def differences(reference: list[tuple[Step, Any]], subject: list[tuple[Step, Any]]) -> list[str]:
    """One text for each step whose answers differ."""
    assert len(reference) == len(subject), "a scenario's steps do not depend on the answers"
    found = []
    for number, ((step, expected), (_, actual)) in enumerate(zip(reference, subject, strict=True)):
        if expected != actual:
            parts = _first_difference(expected, actual)
            found.append(f"step {number} {_summary(step)}\n{parts}")
    return found


def _first_difference(expected: Any, actual: Any) -> str:
    if isinstance(expected, list) and isinstance(actual, list):
        for place, (one, other) in enumerate(zip(expected, actual, strict=False)):
            if one != other:
                return f"  at {place}: Kafka   {one}\n  at {place}: fastlog {other}"
        return f"  Kafka {len(expected)} entries, fastlog {len(actual)}: {expected} {actual}"[:2000]
    return f"  Kafka   {expected}\n  fastlog {actual}"


def _summary(step: Step) -> str:
    shown = {key: value for key, value in step.items() if key not in ("op", "records")}
    if "records" in step:
        shown["records"] = len(step["records"])
    return f"{step['op']} {shown}"
