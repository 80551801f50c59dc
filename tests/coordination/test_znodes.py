"""Formats of the tree. The byte strings were written by Kafka 3.9.2 itself."""

import pytest

from fastlog.coordination import znodes
from fastlog.coordination.znodes import (
    BrokerRegistration,
    Controller,
    LeaderAndIsr,
    Malformed,
    ProducerIdBlock,
    TopicAssignment,
)

BROKER = (
    b'{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},'
    b'"endpoints":["PLAINTEXT://127.0.0.1:42092"],"rack":"r1","jmx_port":-1,"port":42092,'
    b'"host":"127.0.0.1","version":5,"timestamp":"1795432621648"}'
)
TOPIC = (
    b'{"partitions":{"0":[7],"1":[7],"2":[7]},"topic_id":"1ksGVLWzSgWAHHMcvItSfg",'
    b'"adding_replicas":{},"removing_replicas":{},"version":3}'
)
STATE = b'{"controller_epoch":1,"leader":7,"version":1,"leader_epoch":0,"isr":[7]}'
RECOVERING = (
    b'{"controller_epoch":3,"leader":1,"version":1,"leader_recovery_state":1,'
    b'"leader_epoch":5,"isr":[1]}'
)
CONTROLLER = b'{"version":2,"brokerid":7,"timestamp":"1795432621793","kraftControllerEpoch":-1}'
BLOCK = b'{"version":1,"broker":7,"block_start":"0","block_end":"999"}'


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        (
            BrokerRegistration,
            BROKER,
            BrokerRegistration(
                endpoints=("PLAINTEXT://127.0.0.1:42092",),
                security_protocols={"PLAINTEXT": "PLAINTEXT"},
                host="127.0.0.1",
                port=42092,
                timestamp_ms=1795432621648,
                rack="r1",
            ),
        ),
        (
            TopicAssignment,
            TOPIC,
            TopicAssignment(
                bytes.fromhex("d64b0654b5b34a05801c731cbc8b527e"), {0: (7,), 1: (7,), 2: (7,)}
            ),
        ),
        (LeaderAndIsr, STATE, LeaderAndIsr(7, 0, 1, (7,))),
        (LeaderAndIsr, RECOVERING, LeaderAndIsr(1, 5, 3, (1,), recovering=True)),
        (Controller, CONTROLLER, Controller(7, 1795432621793)),
        (ProducerIdBlock, BLOCK, ProducerIdBlock(7, 0, 999)),
    ],
)
def test_the_bytes_kafka_wrote(kind, data, value):
    assert kind.decode(data) == value
    assert value.encode() == data


def test_the_smaller_formats():
    assert znodes.encode_cluster_id("XPvzifexTcCnRIpu1dVk4g") == (
        b'{"version":"1","id":"XPvzifexTcCnRIpu1dVk4g"}'
    )
    assert znodes.decode_cluster_id(b'{"version":"1","id":"x"}') == "x"
    assert znodes.encode_epoch(3) == b"3"
    assert znodes.decode_epoch(b"3") == 3
    config = {"segment.bytes": "1048576", "max.message.bytes": "2000000"}
    assert znodes.encode_config(config) == (
        b'{"version":1,"config":{"max.message.bytes":"2000000","segment.bytes":"1048576"}}'
    )
    assert znodes.decode_config(znodes.encode_config(config)) == config
    assert znodes.encode_config({}) == b'{"version":1,"config":{}}'
    assert znodes.decode_config(b"") == {}
    assert znodes.encode_config({"x": 'é"\\\u2028'}) == (
        '{"version":1,"config":{"x":"é\\"\\\\\u2028"}}'.encode()
    )
    assert znodes.encode_config_change("topics/T") == b'{"version":2,"entity_path":"topics/T"}'
    assert znodes.decode_config_change(b'{"version":2,"entity_path":"topics/T"}') == "topics/T"
    pairs = b'{"version":1,"partitions":[{"topic":"t","partition":1}]}'
    assert znodes.encode_partition_set({("t", 1)}) == pairs
    assert znodes.decode_partition_set(pairs) == {("t", 1)}
    assert znodes.encode_log_dir_event(3) == b'{"version":1,"broker":3,"event":1}'
    assert znodes.decode_log_dir_event(b'{"version":1,"broker":3,"event":1}') == 3
    acls = (
        b'{"acls":[{"principal":"User:alice","permissionType":"Allow","host":"*",'
        b'"operation":"Read"}],"version":1}'
    )
    assert znodes.encode_acls([("User:alice", "Allow", "*", "Read")]) == acls
    assert znodes.decode_acls(acls) == [("User:alice", "Allow", "*", "Read")]
    assert znodes.encode_acl_change("TOPIC", "n") == b"TOPIC:n"
    assert znodes.encode_acl_change("TOPIC", "n", prefixed=True) == (
        b'{"version":1,"resourceType":"TOPIC","name":"n","patternType":"PREFIXED"}'
    )
    assert znodes.encode_features({}) == b'{"features":{},"version":2,"status":1}'
    assert znodes.decode_ext_format(znodes.encode_ext_format()) == 1
    assert znodes.decode_ext_head(znodes.encode_ext_head(12)) == 12


def test_paths():
    assert znodes.partition_state("t", 3) == "/brokers/topics/t/partitions/3/state"
    assert znodes.broker(7) == "/brokers/ids/7"
    assert znodes.config("users/u/clients", "c") == "/config/users/u/clients/c"
    assert znodes.acl("Topic", "t") == "/kafka-acl/Topic/t"
    assert znodes.acl("Topic", "t", prefixed=True) == "/kafka-acl-extended/prefixed/Topic/t"
    assert znodes.ext_log_entry(5) == "/ext/log/000000000005"


def test_partitions_are_in_the_order_of_their_numbers():
    assignment = TopicAssignment(None, dict.fromkeys((11, 2, 0, 10), (1, 2)), adding={2: (2,)})
    assert assignment.encode() == (
        b'{"partitions":{"0":[1,2],"2":[1,2],"10":[1,2],"11":[1,2]},'
        b'"adding_replicas":{"2":[2]},"removing_replicas":{},"version":3}'
    )
    assert TopicAssignment.decode(assignment.encode()) == assignment


def test_what_others_wrote():
    """Older Kafkas, and keys that are ours or of a Kafka to come."""
    old = TopicAssignment.decode(b'{"version":1,"partitions":{"0":[1]}}')
    assert (old.topic_id, old.partitions) == (None, {0: (1,)})
    registration = BrokerRegistration.decode(
        b'{"version":3,"host":"h","port":9,"jmx_port":1,"timestamp":"2","endpoints":["SSL://h:9"],'
        b'"incarnation":"x"}'
    )
    assert registration.security_protocols == {"SSL": "SSL"}
    assert registration.extra == {"incarnation": "x"}
    assert BrokerRegistration.decode(registration.encode()) == registration
    assert b'"rack"' not in registration.encode()
    state = LeaderAndIsr.decode(STATE[:-1] + b',"elr":[3],"leader_recovery_state":0}')
    assert state.extra == {"elr": [3]}
    assert not state.recovering
    assert Controller.decode(b'{"brokerid":1,"timestamp":"5"}').kraft_epoch is None


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (LeaderAndIsr.decode, b""),
        (LeaderAndIsr.decode, b"[]"),
        (LeaderAndIsr.decode, b"\xff\xfe"),
        (LeaderAndIsr.decode, b'{"leader":1}'),
        (LeaderAndIsr.decode, STATE.replace(b"[7]", b"7")),
        (TopicAssignment.decode, b'{"partitions":{"x":[1]}}'),
        (TopicAssignment.decode, b'{"partitions":[1]}'),
        (TopicAssignment.decode, b'{"partitions":{},"topic_id":"short"}'),
        (TopicAssignment.decode, b'{"partitions":{},"topic_id":"1ksGVLWzSgWAHHMcvItS!!"}'),
        (BrokerRegistration.decode, b'{"version":1,"host":"h","port":9}'),
        (BrokerRegistration.decode, b'{"version":5}'),
        (Controller.decode, b'{"brokerid":"x"}'),
        (ProducerIdBlock.decode, b'{"broker":1,"block_start":"x","block_end":"1"}'),
        (znodes.decode_epoch, b""),
        (znodes.decode_cluster_id, b"{}"),
        (znodes.decode_config, b'{"config":{"a":1}}'),
        (znodes.decode_config, b'{"config":[]}x'),
        (znodes.decode_partition_set, b'{"partitions":1}'),
    ],
)
def test_malformed(decode, data):
    with pytest.raises(Malformed):
        decode(data)


def test_uuids():
    for _ in range(300):
        value = znodes.random_uuid()
        text = znodes.uuid_text(value)
        assert len(text) == 22
        assert text[0] != "-"
        assert znodes.uuid_bytes(text) == value
