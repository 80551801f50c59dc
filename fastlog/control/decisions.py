"""What a controller decides, as functions of what it knows. No I/O, no clock, no own randomness.

Refusals are KafkaErrors with Kafka's codes, in its order and words: clients show them to people.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastlog.config import InvalidConfig
from fastlog.config.topic_settings import validate
from fastlog.control.names import colliding, problem_with_name
from fastlog.control.placement import place
from fastlog.coordination.interface import BYTES_MAX
from fastlog.coordination.znodes import NO_LEADER, LeaderAndIsr, TopicAssignment, encode_config
from fastlog.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from random import Random

DEFAULT = -1  # of a count in a request: the broker's own


class CreateRequest(NamedTuple):
    name: str
    partitions: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Mapping[int, Sequence[int]] | None = None
    configs: Mapping[str, str | None] = {}


class NewTopic(NamedTuple):
    """A topic that may be created as it stands."""

    name: str
    assignment: Mapping[int, tuple[int, ...]]
    configs: Mapping[str, str]


def decide_creation(
    request: CreateRequest,
    existing: Collection[str],
    live: Sequence[int],
    default_partitions: int,
    default_replication_factor: int,
    random: "Random",
) -> NewTopic:
    """The topic to create. Raises KafkaError: 36, 40, 42, 37, 38, 17, 39, 40, in this order."""
    if request.name in existing:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{request.name}' already exists.")
    nulls = [name for name, value in request.configs.items() if value is None]
    if nulls:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Null value not supported for topic configs: {','.join(nulls)}",
        )
    if request.assignments:
        if (request.partitions, request.replication_factor) != (DEFAULT, DEFAULT):
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                "Both numPartitions or replicationFactor and replicasAssignments were set. "
                "Both cannot be used at the same time.",
            )
        assignment = {n: tuple(ids) for n, ids in sorted(request.assignments.items())}
    else:
        partitions = _or_default(request.partitions, default_partitions)
        replicas = _or_default(request.replication_factor, default_replication_factor)
        assignment = _placed(partitions, replicas, live, random)
    _check_name(request.name, existing)
    if request.assignments:
        _check_assignment(assignment, live)
    configs = {name: value or "" for name, value in request.configs.items()}
    topic = NewTopic(request.name, assignment, configs)
    _check_configs(topic)
    return topic


def _or_default(value: int, default: int) -> int:
    return default if value == DEFAULT else value


def _placed(partitions: int, replicas: int, live: Sequence[int], random: "Random"):
    if partitions <= 0:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS, "Number of partitions must be larger than 0."
        )
    if replicas <= 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0."
        )
    if replicas > len(live):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Replication factor: {replicas} larger than available brokers: {len(live)}.",
        )
    if partitions * (6 + 2 * replicas) > BYTES_MAX:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"{partitions} partitions are more than the record of a topic has room for.",
        )
    start, shift = random.randrange(len(live)), random.randrange(len(live))
    return place(sorted(live), partitions, replicas, start, shift)


def _check_name(name: str, existing: Collection[str]) -> None:
    problem = problem_with_name(name)
    if problem:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {problem}")
    others = colliding(name, existing)
    if others:
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic '{name}' collides with existing topics: {', '.join(others)}",
        )


def _check_assignment(assignment: Mapping[int, tuple[int, ...]], live: Sequence[int]) -> None:
    problem = None
    if len({len(replicas) for replicas in assignment.values()}) != 1:
        problem = "All partitions should have the same number of replicas"
    elif any(len(set(replicas)) != len(replicas) for replicas in assignment.values()):
        problem = f"Duplicate replica assignment found: {dict(assignment)}"
    elif list(assignment) != list(range(len(assignment))):
        problem = "partitions should be a consecutive 0-based integer sequence"
    elif not assignment[0]:
        problem = "A partition needs at least one replica"
    else:
        unknown = sorted({b for replicas in assignment.values() for b in replicas} - set(live))
        if unknown:
            problem = f"The assignment names broker {unknown[0]}, which is not alive"
    if problem:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem)


def _check_configs(topic: NewTopic) -> None:
    try:
        validate(topic.configs)
    except InvalidConfig as error:
        raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from None
    size = len(TopicAssignment(bytes(16), topic.assignment).encode())
    if size + len(encode_config(topic.configs)) + 4096 > BYTES_MAX:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "The topic is larger than its record has room for."
        )


def first_state(
    replicas: Sequence[int], live: Collection[int], controller_epoch: int, leader_epoch: int = 0
) -> LeaderAndIsr | None:
    """State of a new partition: the live replicas are in sync, the first of them leads.

    None: nobody is alive, and none is written until somebody is. (A state with no one in sync
    stops Kafka's controller for good.)
    """
    isr = tuple(replica for replica in replicas if replica in live)
    return LeaderAndIsr(isr[0], leader_epoch, controller_epoch, isr) if isr else None


def state_after_start(
    state: LeaderAndIsr,
    replicas: Sequence[int],
    live: Collection[int],
    unclean: Collection[int],
    controller_epoch: int,
) -> LeaderAndIsr | None:
    """What a controller that comes to power makes of a partition; None: leaves it as it is.

    As in Kafka, a leader that is alive stays, at its epoch, and otherwise the first live replica
    in sync leads at the next. Unlike Kafka, a leader that comes back from an unclean stop
    (`unclean`) gets a new epoch too: it may have lost records that clients saw, and the epoch is
    how they find out (KIP-320).
    """
    if state.leader in live and state.leader not in unclean:
        return None
    isr = tuple(replica for replica in state.isr if replica in live)
    leader = next((replica for replica in replicas if replica in isr), NO_LEADER)
    if leader == NO_LEADER:
        if state.leader == NO_LEADER:
            return None
        isr = state.isr  # the last ones in sync stay on record: only they may lead again
    return LeaderAndIsr(
        leader, state.leader_epoch + 1, controller_epoch, isr, state.recovering, state.extra
    )
