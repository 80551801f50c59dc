"""Decisions about topics. Codes, order and words are what Kafka 3.9.2 answered, unless said."""

from collections import Counter
from random import Random

import pytest

from fastlog.control.decisions import (
    CreateRequest,
    decide_creation,
    first_state,
    state_after_start,
)
from fastlog.control.names import colliding, problem_with_name
from fastlog.control.placement import place
from fastlog.coordination.znodes import NO_LEADER, LeaderAndIsr
from fastlog.protocol.errors import KafkaError


def decide(name="t", existing=(), live=(7,), **request):
    return decide_creation(
        CreateRequest(name, **request), set(existing), list(live), 1, 1, Random(1)
    )


def refusal(*arguments, **keywords) -> tuple[int, str | None]:
    with pytest.raises(KafkaError) as caught:
        decide(*arguments, **keywords)
    return int(caught.value.code), caught.value.message


def test_defaults():
    topic = decide()
    assert (topic.assignment, topic.configs) == ({0: (7,)}, {})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("x" * 250, f"the length of '{'x' * 250}' is longer than the max allowed length 249"),
        (
            "bad name",
            "'bad name' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'",
        ),
        ("a\n", "'a\n' contains one or more characters other than ASCII alphanumerics, "
         "'.', '_' and '-'"),
    ],
)  # fmt: skip
def test_names_that_are_refused(name, problem):
    assert problem_with_name(name) == problem
    assert refusal(name) == (17, f"Topic name is invalid: {problem}")


@pytest.mark.parametrize("name", ["x" * 249, "...", "a.b_c-D9", "_", "__consumer_offsets"])
def test_names_that_are_fine(name):
    assert problem_with_name(name) is None


def test_collisions():
    assert refusal("a_b", existing=["a.b", "c"]) == (
        17,
        "Topic 'a_b' collides with existing topics: a.b",
    )
    assert colliding("ab", ["a.b", "a_b"]) == []
    assert colliding("a.b.c", ["a_b.c", "a.b_c", "a-b-c"]) == ["a.b_c", "a_b.c"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"partitions": 0}, (37, "Number of partitions must be larger than 0.")),
        ({"partitions": -2}, (37, "Number of partitions must be larger than 0.")),
        ({"partitions": 0, "replication_factor": 2},
         (37, "Number of partitions must be larger than 0.")),
        ({"replication_factor": 0}, (38, "Replication factor must be larger than 0.")),
        ({"replication_factor": -2}, (38, "Replication factor must be larger than 0.")),
        ({"replication_factor": 2},
         (38, "Replication factor: 2 larger than available brokers: 1.")),
        ({"assignments": {0: [7], 1: [7]}, "partitions": 2},
         (42, "Both numPartitions or replicationFactor and replicasAssignments were set. "
              "Both cannot be used at the same time.")),
        ({"assignments": {1: [7]}},
         (39, "partitions should be a consecutive 0-based integer sequence")),
        ({"assignments": {0: [7], 2: [7]}},
         (39, "partitions should be a consecutive 0-based integer sequence")),
        ({"assignments": {0: [7], 1: [7, 8]}},
         (39, "All partitions should have the same number of replicas")),
        # Kafka 3.9 takes the next two and never finds a leader; a broker in KRaft mode refuses them
        ({"assignments": {0: [7], 1: [8]}},
         (39, "The assignment names broker 8, which is not alive")),
        ({"assignments": {0: []}}, (39, "A partition needs at least one replica")),
        ({"configs": {"nope": "1"}}, (40, "Unknown topic config name: nope")),
        ({"configs": {"segment.bytes": None}},
         (40, "Null value not supported for topic configs: segment.bytes")),
    ],
)  # fmt: skip
def test_refusals(request_, expected):
    assert refusal(**request_) == expected


def test_duplicates_in_an_assignment():
    code, message = refusal(assignments={0: [7, 7]})
    assert code == 39
    assert message.startswith("Duplicate replica assignment found: ")


def test_the_order_of_the_checks():
    wrong = {"partitions": 0, "assignments": {0: [7, 7]}, "configs": {"nope": None}}
    assert refusal("a b", existing=["a b"], **wrong) == (36, "Topic 'a b' already exists.")
    assert refusal("a b", **wrong)[0] == 40
    wrong["configs"] = {"nope": "1"}
    assert refusal("a b", **wrong)[0] == 42
    assert refusal("a b", partitions=0, configs={"nope": "1"})[0] == 37
    assert refusal("a b", configs={"nope": "1"})[0] == 17
    assert refusal("a b", assignments={0: [7, 7]})[0] == 17
    assert refusal("ab", assignments={0: [7, 7]}, configs={"nope": "1"})[0] == 39


def test_a_topic_that_does_not_fit_its_record():
    assert refusal(partitions=100_000)[0] == 37
    assert refusal(partitions=2**31 - 1)[0] == 37
    assert len(decide(partitions=20_000).assignment) == 20_000


def test_manual_assignment():
    topic = decide(live=(1, 2, 3), assignments={1: [3, 1], 0: [1, 2]})
    assert topic.assignment == {0: (1, 2), 1: (3, 1)}


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (3, 2), (3, 3), (5, 3), (7, 4)])
def test_placement_is_even(brokers, replicas):
    for start in range(brokers):
        for shift in range(brokers):
            placed = place(range(brokers), 4 * brokers, replicas, start, shift)
            assert all(len(set(ids)) == replicas for ids in placed.values())
            assert set(Counter(ids[0] for ids in placed.values()).values()) == {4}
            assert set(Counter(b for ids in placed.values() for b in ids).values()) == {
                4 * replicas
            }


def test_first_state():
    assert first_state((1, 2, 3), {2, 3}, 9) == LeaderAndIsr(2, 0, 9, (2, 3))
    assert first_state((1, 2), set(), 9) is None


@pytest.mark.parametrize(
    ("state", "live", "unclean", "expected"),
    [
        ((1, 5, (1, 2)), {1, 2}, (), None),
        ((1, 5, (1, 2)), {2}, (), (2, 6, (2,))),
        ((1, 5, (1, 2, 3)), {2, 3}, (), (3, 6, (2, 3))),  # the order of the assignment decides
        ((1, 5, (1,)), {2, 3}, (), (NO_LEADER, 6, (1,))),
        ((NO_LEADER, 6, (1,)), {2, 3}, (), None),
        ((NO_LEADER, 6, (1,)), {1}, (), (1, 7, (1,))),
        ((1, 5, (1,)), {1}, (1,), (1, 6, (1,))),
        ((2, 5, (1, 2)), {1, 2}, (1,), None),
    ],
)
def test_state_after_start(state, live, unclean, expected):
    leader, epoch, isr = state
    new = state_after_start(LeaderAndIsr(leader, epoch, 1, isr), (3, 1, 2), live, unclean, 8)
    assert (new and (new.leader, new.leader_epoch, new.isr)) == expected
    assert new is None or new.controller_epoch == 8
