"""Odd and wrong requests, byte by byte: fastlog answers as Apache Kafka 3.9 does.

Where Kafka itself fails with UNKNOWN_SERVER_ERROR, any error is a good answer.
"""

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from fastlog.protocol import messages
from tests.clients import delete_records_cases, fetch_session_cases
from tests.clients.raw_cases import (
    CASES,
    VERSIONS,
    Case,
    produce_limits,
    produce_odd_batches,
    produce_odd_records,
)
from tests.clients.raw_client import RawClient
from tests.peers.fastlog import FastlogBroker
from tests.peers.kafka import Broker

# a topic with a partition for each odd batch takes a while: where the answers change is enough
FEW = {produce_odd_batches: (3, 7, 8, 11), produce_odd_records: (3, 7, 11)}
CHECKS_RECORDS = {"fastlog.validate.records": "true"}
ALL = [
    pytest.param(case, version, id=f"{case.__name__}-v{version}")
    for key, cases in CASES.items()
    for case in cases
    if case is not produce_odd_records  # by default the broker does not read these
    for version in FEW.get(case, VERSIONS[key])
]
ALL += [
    pytest.param(case, version, id=f"{case.__name__}-v{version}")
    for module in (fetch_session_cases, delete_records_cases)
    for case in module.CASES
    for version in module.VERSIONS
]


def answers(broker: Broker, case: Case, version: int) -> list[Any]:
    with RawClient((broker.host, broker.port)) as client:
        case(client, version)
        return client.answers


def differing(expected: Any, actual: Any, path: str = "") -> list[str]:
    """The places where two answers differ."""
    if expected == -1 and path.endswith("error_code"):
        return [] if actual != 0 else [f"{path}: Kafka fails with -1, fastlog takes it"]
    if path.endswith("error_message") and expected is None:
        return []  # a reason more than Kafka gives
    if isinstance(expected, dict) and isinstance(actual, dict):
        parts = [differing(expected[name], actual.get(name), f"{path}.{name}") for name in expected]
        return [line for part in parts for line in part]
    kind = type(expected)
    if kind in (tuple, list) and kind is type(actual) and len(expected) == len(actual):
        both = enumerate(zip(expected, actual, strict=True))
        parts = [differing(one, other, f"{path}[{place}]") for place, (one, other) in both]
        return [line for part in parts for line in part]
    return [] if expected == actual else [f"{path}: Kafka {expected!r}, fastlog {actual!r}"]


@pytest.fixture(scope="module")
def careful_fastlog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastlogBroker]:
    """One that reads every record, as Kafka always does."""
    broker = FastlogBroker(tmp_path_factory.mktemp("careful"), CHECKS_RECORDS)
    try:
        broker.start()
        yield broker
        broker.stop()
    finally:
        broker.kill()


@pytest.mark.parametrize("version", FEW[produce_odd_records])
@pytest.mark.parametrize("case", [produce_odd_batches, produce_odd_records, produce_limits])
def test_same_answer_when_records_are_read(
    kafka_broker: Broker, careful_fastlog: FastlogBroker, case: Case, version: int
) -> None:
    compare(kafka_broker, careful_fastlog, case, version)


@pytest.mark.parametrize(("case", "version"), ALL)
def test_same_answer(
    kafka_broker: Broker, shared_fastlog: FastlogBroker, case: Case, version: int
) -> None:
    compare(kafka_broker, shared_fastlog, case, version)


def compare(kafka: Broker, fastlog: FastlogBroker, case: Case, version: int) -> None:
    expected = answers(kafka, case, version)
    actual = answers(fastlog, case, version)
    assert len(expected) == len(actual)
    found = []
    label = ""
    for place, (one, other) in enumerate(zip(expected, actual, strict=True)):
        label = one if isinstance(one, str) else label
        found += [f"answer {place} ({label}) {line}" for line in differing(one, other)]
    fastlog.check_alive()
    assert not found, "\n".join(found)


def test_advertised_versions(kafka_broker: Broker, shared_fastlog: FastlogBroker) -> None:
    """For each API that fastlog has, at least the range of Kafka 3.9; Fetch alone begins later."""
    ranges = []
    for broker in (kafka_broker, shared_fastlog):
        with RawClient((broker.host, broker.port)) as client:
            keys = client.exchange(18, 3, {"client_software_name": "a"} | VERSION).api_keys
        ranges.append({one.api_key: (one.min_version, one.max_version) for one in keys})
    reference, subject = ranges
    assert set(subject) <= set(reference)
    assert {0, 1, 2, 3, 10, 18, 19, 20, 22, 60} <= set(subject)
    for key, (low, high) in subject.items():
        lowest = 4 if key == 1 else reference[key][0]
        assert low == lowest, f"API {key} from version {low}, Kafka from {lowest}"
        assert high >= reference[key][1], f"API {key} up to {high}, Kafka up to {reference[key][1]}"


VERSION = {"client_software_version": "1"}


def request(key: int, version: int, body: bytes = b"") -> bytes:
    return struct.pack(">hhihs", key, version, 1, 1, b"c") + body


FRAMES = {
    "unknown API": request(999, 0),
    "negative API": request(-1, 0),
    "unknown version": request(3, 99, b"\0\0\0\0"),
    "negative version": request(3, -1, b"\0\0\0\0"),
    "unknown version of Produce": request(0, 99, b"\0" * 20),
    "unknown version of Fetch": request(1, 99, b"\0" * 20),
    "ApiVersions of tomorrow": request(18, 99, b"\0"),
    "no header": b"",
    "half a header": b"\0\x03\0",
    "no body": request(3, 4),
    "half a body": request(3, 4, b"\0\0\0\x05\0\x04ab"),
    "array longer than the frame": request(3, 4, struct.pack(">i", 2**31 - 1)),
    "negative array": request(3, 4, struct.pack(">i", -5)),
    "string longer than the frame": request(3, 4, struct.pack(">ih", 1, 32767)),
    "half a Produce": request(0, 7, struct.pack(">hhi", -1, -1, 1000)),
    "half a Fetch": request(1, 10, struct.pack(">iii", -1, 0, 0)),
    "client id longer than the frame": struct.pack(">hhih", 3, 1, 1, 500),
    "not UTF-8": request(3, 1, struct.pack(">ih2s", 1, 2, b"\xff\xfe")),
}
LENGTHS = {
    "length 0": struct.pack(">i", 0),
    "negative length": struct.pack(">i", -1),
    "length beyond the limit": struct.pack(">i", 104_857_601),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


def outcome(broker: Broker, raw: bytes) -> str:
    """What a broker does with bytes on a fresh connection, and that it goes on serving."""
    with RawClient((broker.host, broker.port)) as client:
        client.send_raw(raw, framed=False)
        return client.answers[0]


@pytest.mark.parametrize("name", FRAMES)
def test_frame(kafka_broker: Broker, shared_fastlog: FastlogBroker, name: str) -> None:
    raw = struct.pack(">i", len(FRAMES[name])) + FRAMES[name]
    expected, actual = outcome(kafka_broker, raw), outcome(shared_fastlog, raw)
    shared_fastlog.check_alive()
    if name == "ApiVersions of tomorrow":
        expected, actual = without_range(expected), without_range(actual)
    if name == "not UTF-8":  # Java replaces what it cannot read; refusing is as good
        assert actual == "closed" or without_addresses(actual, 1) == without_addresses(expected, 1)
        return
    assert actual == expected


@pytest.mark.parametrize("name", LENGTHS)
def test_length(kafka_broker: Broker, shared_fastlog: FastlogBroker, name: str) -> None:
    expected, actual = outcome(kafka_broker, LENGTHS[name]), outcome(shared_fastlog, LENGTHS[name])
    shared_fastlog.check_alive()
    assert actual == expected


def without_range(answer: str) -> str:
    """The answer to a version of ApiVersions nobody has: all but the newest version it names."""
    body = messages.response_class(18).decode(0, bytes.fromhex(answer)[4:])
    return f"{body.error_code} {[(one.api_key, one.min_version) for one in body.api_keys]}"


def without_addresses(answer: str, version: int) -> list[int]:
    body = messages.response_class(3).decode(version, bytes.fromhex(answer)[4:])
    return [topic.error_code for topic in body.topics]
