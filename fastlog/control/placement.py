"""Which brokers a new partition's replicas go to. Pure; random starting points are passed in."""

from collections.abc import Sequence


def place(
    brokers: Sequence[int], partitions: int, replicas: int, start: int, shift: int
) -> dict[int, tuple[int, ...]]:
    """Replicas by partition, the preferred leader first.

    Leaders go round the brokers from `start`. The other replicas of a partition follow its leader
    at a distance that grows by one with each round, so that the partitions of a broker that fails
    have their next leaders spread over all others.
    """
    count = len(brokers)
    assignment = {}
    for number in range(partitions):
        if number and number % count == 0:
            shift += 1
        leader = (start + number) % count
        others = [(leader + 1 + (shift + i) % (count - 1)) % count for i in range(replicas - 1)]
        assignment[number] = tuple(brokers[i] for i in [leader, *others])
    return assignment
