"""ApiVersions, DescribeCluster, FindCoordinator, InitProducerId, and the registry itself."""

import asyncio
import struct
import subprocess
import sys

import pytest

from fastlog.api import registry
from fastlog.protocol import ErrorCode, KafkaError, RequestHeader, encode_request, messages
from tests.api.broker import Broker, Connection, ask

API_VERSIONS, FIND_COORDINATOR, INIT_PRODUCER_ID, DESCRIBE_CLUSTER = 18, 10, 22, 60

# Kafka 3.9's oldest and Kafka 4.1's newest stable version; Produce and Fetch as Kafka 4.1 has them.
ADVERTISED = {
    0: (0, 13),
    1: (4, 18),
    2: (0, 10),
    3: (0, 13),
    10: (0, 6),
    18: (0, 4),
    19: (0, 7),
    20: (0, 6),
    21: (0, 2),
    22: (0, 5),
    60: (0, 2),
}


def send(broker, frame):
    return asyncio.run(registry.dispatch(broker, Connection(frame)))


@pytest.mark.parametrize("version", range(5))
def test_api_versions(version):
    software = {"client_software_name": "a-client", "client_software_version": "1.0"}
    response = ask(Broker(), API_VERSIONS, version, **(software if version >= 3 else {}))
    assert response.error_code == 0
    found = {one.api_key: (one.min_version, one.max_version) for one in response.api_keys}
    assert found == ADVERTISED
    assert (response.supported_features, response.finalized_features_epoch) == ([], -1)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a\n", "ä"])
def test_api_versions_of_strange_software(name):
    for names in ((name, "1"), ("a", name)):
        response = ask(
            Broker(),
            API_VERSIONS,
            3,
            client_software_name=names[0],
            client_software_version=names[1],
        )
        assert (response.error_code, response.api_keys) == (42, [])


@pytest.mark.parametrize("version", [5, 99, -1])
def test_api_versions_of_the_future(version):
    # The answer of Kafka 3.9, byte by byte; the body is not looked at.
    frame = struct.pack(">hhih", API_VERSIONS, version, 7, -1) + b"\x00\xff\xff"
    assert send(Broker(), frame) == bytes.fromhex("00000007 0023 00000001 0012 0000 0004")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        struct.pack(">hhih", 3, 99, 7, -1) + b"\x00",  # no such version
        struct.pack(">hhih", 3, -1, 7, -1),
        struct.pack(">hhih", 1795, 0, 7, -1),  # no such API
        struct.pack(">hhih", 11, 0, 7, -1) + bytes(50),  # an API that is not served
        struct.pack(">hhih", 0, 3, 7, -1) + bytes(50),  # Produce belongs to the data plane
        struct.pack(">hhih", 3, 1, 7, -1) + b"\x7f\xff\xff\xff",  # a body that is not
        struct.pack(">hhih", API_VERSIONS, 3, 7, -1) + b"\x00\x02a\x02",
        struct.pack(">hhih", 3, 1, 7, 500),
    ],
)
def test_what_closes_the_connection(frame):
    assert send(Broker(), frame) is None


def test_handlers_declare_what_the_registry_says():
    for key, served in registry.SERVED.items():
        if served.module is not None:
            assert callable(registry.handler_of(key))
        low, high = messages.get(key).request.SCHEMA.versions
        assert low <= served.min_version <= served.max_version <= high


def test_handlers_are_loaded_on_their_first_request():
    script = (
        "import sys, fastlog.api.registry\n"
        "loaded = sorted(m for m in sys.modules if m.startswith('fastlog.api.'))\n"
        "assert loaded == ['fastlog.api.context', 'fastlog.api.registry'], loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("version", range(3))
def test_describe_cluster(version):
    broker = Broker()
    response = ask(broker, DESCRIBE_CLUSTER, version, include_cluster_authorized_operations=True)
    assert (response.error_code, response.error_message) == (0, None)
    assert (response.cluster_id, response.controller_id) == ("a-cluster", 1)
    assert response.cluster_authorized_operations == 8096
    (address,) = response.brokers
    assert (address.broker_id, address.host, address.port) == (1, "127.0.0.1", 9092)
    broker.controller = 5  # not among the brokers
    response = ask(broker, DESCRIBE_CLUSTER, version)
    assert (response.controller_id, response.cluster_authorized_operations) == (-1, -(1 << 31))


@pytest.mark.parametrize("version, endpoint_type, error", [(1, 2, 114), (1, 9, 115), (2, 0, 115)])
def test_describe_cluster_of_another_kind(version, endpoint_type, error):
    response = ask(Broker(), DESCRIBE_CLUSTER, version, endpoint_type=endpoint_type)
    assert (response.error_code, response.brokers) == (error, [])
    assert (response.cluster_id, response.controller_id) == ("", -1)


@pytest.mark.parametrize("version", range(4))
def test_find_the_coordinator_of_a_group(version):
    response = ask(Broker(), FIND_COORDINATOR, version, key="g")
    assert (response.error_code, response.node_id) == (0, 1)
    assert (response.host, response.port) == ("127.0.0.1", 9092)
    assert response.error_message == ("NONE" if version >= 1 else "")


@pytest.mark.parametrize("version", range(4, 7))
def test_find_the_coordinators_of_groups(version):
    response = ask(Broker(), FIND_COORDINATOR, version, coordinator_keys=["g", "", "h"])
    found = [(c.key, c.error_code, c.node_id, c.host, c.port) for c in response.coordinators]
    assert found == [(key, 0, 1, "127.0.0.1", 9092) for key in ("g", "", "h")]


@pytest.mark.parametrize("version", range(1, 7))
def test_no_coordinator_for_transactions(version):
    keys = {"key": "t"} if version < 4 else {"coordinator_keys": ["t"]}
    response = ask(Broker(), FIND_COORDINATOR, version, key_type=1, **keys)
    answer = response if version < 4 else response.coordinators[0]
    assert answer.error_code == (53 if version < 4 else 35)
    assert (answer.node_id, answer.host, answer.port) == (-1, "", -1)
    assert "no transactions" in answer.error_message


@pytest.mark.parametrize(
    "version, key_type, error", [(3, 2, 42), (5, 2, 42), (6, 2, 15), (3, 7, 42), (6, 7, 42)]
)
def test_no_coordinator_for_anything_else(version, key_type, error):
    keys = {"key": "x"} if version < 4 else {"coordinator_keys": ["x"]}
    response = ask(Broker(), FIND_COORDINATOR, version, key_type=key_type, **keys)
    answer = response if version < 4 else response.coordinators[0]
    assert (answer.error_code, answer.node_id) == (error, -1)


@pytest.mark.parametrize("version", range(6))
def test_producer_ids(version):
    broker = Broker()
    asked = {"transactional_id": None, "transaction_timeout_ms": 0}
    for expected in (1001, 1002):
        response = ask(broker, INIT_PRODUCER_ID, version, **asked)
        assert (response.error_code, response.producer_id) == (0, expected)
        assert response.producer_epoch == 0
    if version >= 3:
        again = ask(broker, INIT_PRODUCER_ID, version, producer_id=5, producer_epoch=3, **asked)
        assert (again.error_code, again.producer_id, again.producer_epoch) == (0, 1003, 0)
        for half in ({"producer_id": 5}, {"producer_epoch": 5}):
            refused = ask(broker, INIT_PRODUCER_ID, version, **half, **asked)
            assert (refused.error_code, refused.producer_id) == (42, -1)
    broker.refusals["producer ids"] = KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    response = ask(broker, INIT_PRODUCER_ID, version, **asked)
    assert (response.error_code, response.producer_id, response.producer_epoch) == (14, -1, -1)


@pytest.mark.parametrize("transactional_id, error", [("", 42), ("t", 53)])
def test_no_producer_ids_for_transactions(transactional_id, error):
    response = ask(Broker(), INIT_PRODUCER_ID, 4, transactional_id=transactional_id)
    assert (response.error_code, response.producer_id) == (error, -1)


def test_a_handler_sees_the_connection():
    broker = Broker()
    frame = encode_request(RequestHeader(3, 1, 7, "c"), messages.request_class(3)(topics=[]))
    connection = Connection(frame, listener="INSIDE", local=("10.1.2.3", 1234))
    response = asyncio.run(registry.dispatch(broker, connection))
    decoded = messages.get(3).response.decode(1, response, 4)
    (address,) = decoded.brokers
    assert (address.host, address.port, address.rack) == ("10.1.2.3", 1234, "rack-of-INSIDE")
