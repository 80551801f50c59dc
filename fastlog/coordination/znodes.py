"""Every path and format of the tree: Kafka 3.9's, and ours under /ext, which Kafka passes by.

Encoders give the bytes Kafka gives: compact JSON with the keys in its order. (Kafka's order is
that of a hash table; where keys are data, here it is that of the numbers or names.) Decoders take
any order, pass over unknown keys, as Kafka does, and raise `Malformed`.
"""

import base64
import json
import os
from collections.abc import Mapping
from typing import NamedTuple

# What Kafka expects to be there, in the order it creates it.
PERSISTENT_PATHS = (
    "/consumers",
    "/brokers/ids",
    "/brokers/topics",
    "/config/changes",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
)

CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
CLUSTER_ID = "/cluster/id"
BROKER_IDS = "/brokers/ids"
BROKER_SEQUENCE = "/brokers/seqid"  # a generated broker id is the version of a write to it
TOPICS = "/brokers/topics"
CONFIG_CHANGES = "/config/changes"
CONFIG_CHANGE_PREFIX = "/config/changes/config_change_"
DELETE_TOPICS = "/admin/delete_topics"
REASSIGN_PARTITIONS = "/admin/reassign_partitions"
PREFERRED_REPLICA_ELECTION = "/admin/preferred_replica_election"
ISR_CHANGE_PREFIX = "/isr_change_notification/isr_change_"
LOG_DIR_EVENT_PREFIX = "/log_dir_event_notification/log_dir_event_"
PRODUCER_ID_BLOCK = "/latest_producer_id_block"
FEATURE = "/feature"
MIGRATION = "/migration"
DELEGATION_TOKENS = "/delegation_token/tokens"
ACLS = "/kafka-acl"
EXTENDED_ACLS = "/kafka-acl-extended"
ACL_CHANGE_PREFIX = "/kafka-acl-changes/acl_changes_"
EXTENDED_ACL_CHANGE_PREFIX = "/kafka-acl-extended-changes/acl_changes_"
EXT_FORMAT = "/ext/format"
EXT_HEAD = "/ext/head"
EXT_LOG = "/ext/log"
EXT_INCARNATIONS = "/ext/inc"

DEFAULT_ENTITY = "<default>"
NO_LEADER = -1


class Malformed(ValueError):
    """A node's data is not what its path promises."""


def broker(broker_id: int) -> str:
    return f"{BROKER_IDS}/{broker_id}"


def topic(name: str) -> str:
    return f"{TOPICS}/{name}"


def partitions(name: str) -> str:
    return f"{TOPICS}/{name}/partitions"


def partition(name: str, number: int) -> str:
    return f"{TOPICS}/{name}/partitions/{number}"


def partition_state(name: str, number: int) -> str:
    return f"{TOPICS}/{name}/partitions/{number}/state"


def config(entity_type: str, name: str) -> str:
    """`entity_type`: topics, clients, users, brokers, ips, or users/NAME/clients."""
    return f"/config/{entity_type}/{name}"


def delete_topic(name: str) -> str:
    return f"{DELETE_TOPICS}/{name}"


def acl(resource_type: str, name: str, prefixed: bool = False) -> str:
    """`resource_type` as Kafka spells it here: Topic, Group, Cluster, TransactionalId, ..."""
    return (
        f"{EXTENDED_ACLS}/prefixed/{resource_type}/{name}"
        if prefixed
        else (f"{ACLS}/{resource_type}/{name}")
    )


def ext_log_entry(number: int) -> str:
    return f"{EXT_LOG}/{number:012d}"


def ext_incarnation(broker_id: int, incarnation: str) -> str:
    return f"{EXT_INCARNATIONS}/{broker_id}-{incarnation}"


def uuid_text(value: bytes | bytearray) -> str:
    """16 bytes as Kafka writes a Uuid: base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def uuid_bytes(text: str) -> bytes:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise Malformed(f"not a Uuid: {text!r}") from error
    if len(value) != 16:
        raise Malformed(f"not a Uuid: {text!r}")
    return value


def random_uuid() -> bytes:
    """A Uuid as Kafka makes one: of version 4, and its text does not begin with a dash."""
    while True:
        value = bytearray(os.urandom(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        if not uuid_text(value).startswith("-"):
            return bytes(value)


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def load(data: bytes) -> dict:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Malformed(f"not JSON: {data[:100]!r}") from error
    if not isinstance(value, dict):
        raise Malformed(f"not a JSON object: {data[:100]!r}")
    return value


def _decoder(decode):
    """Turns a missing key or a value of the wrong kind into Malformed."""

    def checked(*arguments):
        try:
            return decode(*arguments)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, Malformed):
                raise
            raise Malformed(
                f"{decode.__qualname__}: {error!r} in {arguments[-1][:200]!r}"
            ) from error

    return checked


def _extra(value: dict, known: tuple[str, ...]) -> dict:
    return {key: value[key] for key in value if key not in known}


class Controller(NamedTuple):
    broker_id: int
    timestamp_ms: int
    kraft_epoch: int | None = -1  # None: written by a Kafka before 3.4

    def encode(self) -> bytes:
        return dump(
            {
                "version": 2,
                "brokerid": self.broker_id,
                "timestamp": str(self.timestamp_ms),
                "kraftControllerEpoch": self.kraft_epoch,
            }
        )

    @staticmethod
    @_decoder
    def decode(data: bytes) -> "Controller":
        value = load(data)
        return Controller(
            int(value["brokerid"]), int(value["timestamp"]), value.get("kraftControllerEpoch")
        )


_BROKER_FIELDS = (
    "features",
    "listener_security_protocol_map",
    "endpoints",
    "rack",
    "jmx_port",
    "port",
    "host",
    "version",
    "timestamp",
)


class BrokerRegistration(NamedTuple):
    """An endpoint is LISTENER://host:port. The host and port on top serve clients of Kafka 0.8."""

    endpoints: tuple[str, ...]
    security_protocols: Mapping[str, str]
    host: str | None
    port: int
    timestamp_ms: int
    rack: str | None = None
    jmx_port: int = -1
    features: Mapping = {}
    extra: Mapping = {}  # ours: incarnation, boot_id, clean

    def encode(self) -> bytes:
        value = {
            "features": dict(self.features),
            "listener_security_protocol_map": dict(self.security_protocols),
            "endpoints": list(self.endpoints),
            "rack": self.rack,
            "jmx_port": self.jmx_port,
            "port": self.port,
            "host": self.host,
            "version": 5,
            "timestamp": str(self.timestamp_ms),
            **self.extra,
        }
        if self.rack is None:
            del value["rack"]
        return dump(value)

    @staticmethod
    @_decoder
    def decode(data: bytes) -> "BrokerRegistration":
        value = load(data)
        if not 2 <= value["version"] <= 5:
            raise Malformed(f"version {value['version']} of a broker's registration")
        endpoints = tuple(str(endpoint) for endpoint in value["endpoints"])
        protocols = value.get("listener_security_protocol_map")
        if protocols is None:  # before version 4 a listener was named after its protocol
            protocols = {name: name for name in (end.split("://")[0] for end in endpoints)}
        return BrokerRegistration(
            endpoints=endpoints,
            security_protocols=dict(protocols),
            host=value.get("host"),
            port=value.get("port", -1),
            timestamp_ms=int(value.get("timestamp", -1)),
            rack=value.get("rack"),
            jmx_port=value.get("jmx_port", -1),
            features=value.get("features") or {},
            extra=_extra(value, _BROKER_FIELDS),
        )


def _by_number(replicas: Mapping[int, tuple[int, ...]]) -> dict[str, list[int]]:
    return {str(number): list(replicas[number]) for number in sorted(replicas)}


def _numbered(value: Mapping | None) -> dict[int, tuple[int, ...]]:
    return {int(k): tuple(int(r) for r in v) for k, v in (value or {}).items()}


class TopicAssignment(NamedTuple):
    """Replicas by partition. `topic_id` is None for a topic of a Kafka before 2.8."""

    topic_id: bytes | None
    partitions: Mapping[int, tuple[int, ...]]
    adding: Mapping[int, tuple[int, ...]] = {}
    removing: Mapping[int, tuple[int, ...]] = {}

    def encode(self) -> bytes:
        value: dict[str, object] = {"partitions": _by_number(self.partitions)}
        if self.topic_id is not None:
            value["topic_id"] = uuid_text(self.topic_id)
        value["adding_replicas"] = _by_number(self.adding)
        value["removing_replicas"] = _by_number(self.removing)
        value["version"] = 3
        return dump(value)

    @staticmethod
    @_decoder
    def decode(data: bytes) -> "TopicAssignment":
        value = load(data)
        topic_id = value.get("topic_id")
        return TopicAssignment(
            topic_id=None if topic_id is None else uuid_bytes(topic_id),
            partitions=_numbered(value.get("partitions")),
            adding=_numbered(value.get("adding_replicas")),
            removing=_numbered(value.get("removing_replicas")),
        )


_STATE_FIELDS = (
    "controller_epoch",
    "leader",
    "version",
    "leader_epoch",
    "isr",
    "leader_recovery_state",
)


class LeaderAndIsr(NamedTuple):
    """A partition's state. Its partition epoch is the node's version."""

    leader: int
    leader_epoch: int
    controller_epoch: int
    isr: tuple[int, ...]
    recovering: bool = False  # led by a replica that was not in sync
    extra: Mapping = {}  # ours: elr, last_leader

    def encode(self) -> bytes:
        value: dict[str, object] = {
            "controller_epoch": self.controller_epoch,
            "leader": self.leader,
            "version": 1,
        }
        if self.recovering:
            value["leader_recovery_state"] = 1
        value["leader_epoch"] = self.leader_epoch
        value["isr"] = list(self.isr)
        return dump({**value, **self.extra})

    @staticmethod
    @_decoder
    def decode(data: bytes) -> "LeaderAndIsr":
        value = load(data)
        return LeaderAndIsr(
            leader=int(value["leader"]),
            leader_epoch=int(value["leader_epoch"]),
            controller_epoch=int(value["controller_epoch"]),
            isr=tuple(int(replica) for replica in value["isr"]),
            recovering=value.get("leader_recovery_state", 0) == 1,
            extra=_extra(value, _STATE_FIELDS),
        )


class ProducerIdBlock(NamedTuple):
    """Ids start..end, both included, belong to the broker."""

    broker_id: int
    start: int
    end: int

    def encode(self) -> bytes:
        return dump(
            {
                "version": 1,
                "broker": self.broker_id,
                "block_start": str(self.start),
                "block_end": str(self.end),
            }
        )

    @staticmethod
    @_decoder
    def decode(data: bytes) -> "ProducerIdBlock":
        value = load(data)
        return ProducerIdBlock(
            int(value["broker"]), int(value["block_start"]), int(value["block_end"])
        )


def encode_epoch(epoch: int) -> bytes:
    return b"%d" % epoch


@_decoder
def decode_epoch(data: bytes) -> int:
    return int(data)


def encode_cluster_id(cluster_id: str) -> bytes:
    return dump({"version": "1", "id": cluster_id})


@_decoder
def decode_cluster_id(data: bytes) -> str:
    return str(load(data)["id"])


def encode_config(entries: Mapping[str, str]) -> bytes:
    return dump({"version": 1, "config": {name: entries[name] for name in sorted(entries)}})


@_decoder
def decode_config(data: bytes) -> dict[str, str]:
    """No data at all, as an entity that was never configured has, is no entries."""
    entries = load(data).get("config") or {} if data else {}
    if not all(isinstance(text, str) for text in entries.values()):
        raise Malformed(f"a configuration value that is not text in {data[:200]!r}")
    return dict(entries)


def encode_config_change(entity_path: str) -> bytes:
    """`entity_path`: topics/NAME, brokers/1, users/U/clients/C, ..."""
    return dump({"version": 2, "entity_path": entity_path})


@_decoder
def decode_config_change(data: bytes) -> str:
    return str(load(data)["entity_path"])


def _encode_partitions(found) -> list[dict]:
    return [{"topic": name, "partition": number} for name, number in sorted(found)]


def encode_partition_set(found) -> bytes:
    """(topic, partition) pairs of an ISR change or of a preferred replica election."""
    return dump({"version": 1, "partitions": _encode_partitions(found)})


@_decoder
def decode_partition_set(data: bytes) -> set[tuple[str, int]]:
    return {(str(one["topic"]), int(one["partition"])) for one in load(data)["partitions"]}


def encode_log_dir_event(broker_id: int) -> bytes:
    """A log folder of the broker has failed."""
    return dump({"version": 1, "broker": broker_id, "event": 1})


@_decoder
def decode_log_dir_event(data: bytes) -> int:
    return int(load(data)["broker"])


def encode_acls(entries) -> bytes:
    """(principal, Allow or Deny, host, operation) of each entry."""
    keys = ("principal", "permissionType", "host", "operation")
    return dump({"acls": [dict(zip(keys, one, strict=True)) for one in entries], "version": 1})


@_decoder
def decode_acls(data: bytes) -> list[tuple[str, str, str, str]]:
    return [
        (one["principal"], one["permissionType"], one["host"], one["operation"])
        for one in load(data)["acls"]
    ]


def encode_acl_change(resource_type: str, name: str, prefixed: bool = False) -> bytes:
    """`resource_type` as Kafka spells it here: TOPIC, GROUP, TRANSACTIONAL_ID, ..."""
    if not prefixed:
        return f"{resource_type}:{name}".encode()
    value = {"version": 1, "resourceType": resource_type, "name": name, "patternType": "PREFIXED"}
    return dump(value)


def encode_features(levels: Mapping[str, int]) -> bytes:
    """Feature levels, enabled (status 1), in version 2."""
    features = {name: {"max_version_level": levels[name]} for name in sorted(levels)}
    return dump({"features": features, "version": 2, "status": 1})


EXT_FORMAT_VERSION = 1


def encode_ext_format() -> bytes:
    return dump({"v": EXT_FORMAT_VERSION})


@_decoder
def decode_ext_format(data: bytes) -> int:
    """The major version; one that is not known means hands off."""
    return int(load(data)["v"])


def encode_ext_head(number: int) -> bytes:
    """The number of the newest entry of /ext/log; 0 when there is none yet."""
    return b"%d" % number


decode_ext_head = decode_epoch
