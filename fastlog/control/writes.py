"""The writes that create and delete a topic, cut into multi-operations of bounded size.

Each is to be led by the check of /controller_epoch. A controller that dies between two leaves a
state that its successor completes: the topic node commits a creation, the marker in
/admin/delete_topics a deletion.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from fastlog.coordination import znodes
from fastlog.coordination.interface import Create, Delete, Operation, Set
from fastlog.coordination.znodes import LeaderAndIsr, TopicAssignment

OPERATIONS_MAX = 200


def creation(
    name: str,
    topic_id: bytes,
    assignment: Mapping[int, Sequence[int]],
    configs: Mapping[str, str],
    states: Mapping[int, LeaderAndIsr],
    config_exists: bool = False,
) -> Iterator[list[Operation]]:
    """`config_exists`: a configuration was left there, or put there for a topic to come."""
    replicas = {number: tuple(ids) for number, ids in assignment.items()}
    path, data = znodes.config("topics", name), znodes.encode_config(configs)
    first: list[Operation] = [
        Set(path, data, None) if config_exists else Create(path, data),
        Create(znodes.topic(name), TopicAssignment(topic_id, replicas).encode()),
        Create(znodes.partitions(name)),
    ]
    yield from _chunks(first, state_creations(name, states))


def state_creations(name: str, states: Mapping[int, LeaderAndIsr]) -> list[list[Operation]]:
    """For each partition, what belongs together."""
    return [
        [
            Create(znodes.partition(name, number)),
            Create(znodes.partition_state(name, number), states[number].encode()),
        ]
        for number in sorted(states)
    ]


def completion(
    name: str, states: Mapping[int, LeaderAndIsr], there: Collection[str]
) -> Iterator[list[Operation]]:
    """What a creation that was cut short still lacks. `there`: the nodes below the topic."""
    first: list[Operation] = [Create(znodes.partitions(name))]
    groups = [first, *state_creations(name, states)]
    groups = [[one for one in group if one.path not in there] for group in groups]
    yield from _chunks([], groups)


def deletion(name: str, nodes: Sequence[str], config_exists: bool) -> Iterator[list[Operation]]:
    """What follows the marker. `nodes`: all below the topic, each after its parent."""
    deepest_first: list[list[Operation]] = [[Delete(path, None)] for path in reversed(nodes)]
    last: list[Operation] = [Delete(znodes.topic(name), None)]
    if config_exists:
        last.append(Delete(znodes.config("topics", name), None))
    last.append(Delete(znodes.delete_topic(name), None))
    yield from _chunks([], [*deepest_first, last])


def _chunks(first: list[Operation], groups: list[list[Operation]]) -> Iterator[list[Operation]]:
    """Fills multis with whole groups."""
    chunk = first
    for group in groups:
        if chunk and len(chunk) + len(group) > OPERATIONS_MAX - 1:  # one is the check
            yield chunk
            chunk = []
        chunk = [*chunk, *group]
    if chunk:
        yield chunk
