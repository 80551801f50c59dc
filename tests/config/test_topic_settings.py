"""Topic settings: where defaults come from, and refusals in the words of Kafka 3.9.2."""

import pytest

from fastlog.config import InvalidConfig, Settings, TopicSettings
from fastlog.config.topic_settings import validate


def test_engine_defaults():
    assert TopicSettings(Settings.of()).engine() == {
        "segment_bytes": 1073741824,
        "segment_ms": 604800000,
        "segment_jitter_ms": 0,
        "segment_index_bytes": 10485760,
        "index_interval_bytes": 4096,
        "max_message_bytes": 1048588,
        "timestamp_type": 0,
        "timestamp_before_max_ms": (1 << 63) - 1,
        "timestamp_after_max_ms": (1 << 63) - 1,
        "preallocate": 0,
        "compacted": 0,
        "producer_id_expiration_ms": 86400000,
        "file_delete_delay_ms": 60000,
        "retention_ms": 604800000,
        "retention_bytes": -1,
    }


def test_the_topic_comes_before_the_broker():
    settings = Settings.of({"log.segment.bytes": 5000, "message.max.bytes": 6000})
    topic = TopicSettings(settings, {"segment.bytes": " 7000 "})
    assert (topic["segment.bytes"], topic.where("segment.bytes")) == (7000, "topic")
    assert (topic["max.message.bytes"], topic.where("max.message.bytes")) == (
        6000,
        "message.max.bytes",
    )
    assert topic.where("segment.ms") == "default"


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ({}, 604_800_000),
        ({"log.roll.hours": 2}, 7_200_000),
        ({"log.roll.hours": 2, "log.roll.ms": 5}, 5),
    ],
)
def test_roll_time_in_both_units(broker, expected):
    assert TopicSettings(Settings.of(broker))["segment.ms"] == expected


def test_the_jitter_is_no_longer_than_the_roll_time():
    settings = Settings.of({"log.roll.ms": 1000, "log.roll.jitter.hours": 1})
    assert TopicSettings(settings).engine()["segment_jitter_ms"] == 1000


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"nope": "1"}, "Unknown topic config name: nope"),
        (
            {"segment.bytes": "x"},
            "Invalid value x for configuration segment.bytes: Not a number of type INT",
        ),
        (
            {"segment.bytes": "13"},
            "Invalid value 13 for configuration segment.bytes: Value must be at least 14",
        ),
        (
            {"segment.bytes": "0x100000"},
            "Invalid value 0x100000 for configuration segment.bytes: Not a number of type INT",
        ),
        (
            {"segment.bytes": ""},
            "Invalid value  for configuration segment.bytes: Not a number of type INT",
        ),
        (
            {"message.timestamp.type": "bad"},
            "Invalid value bad for configuration message.timestamp.type: "
            "String must be one of: CreateTime, LogAppendTime",
        ),
        (
            {"preallocate": "yes"},
            "Invalid value yes for configuration preallocate: "
            "Expected value to be either true or false",
        ),
        (
            {"segment.ms": "99999999999999999999"},
            "Invalid value 99999999999999999999 for configuration segment.ms: "
            "Not a number of type LONG",
        ),
        (
            {"min.cleanable.dirty.ratio": "2"},
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: "
            "Value must be no more than 1",
        ),
        (
            {"min.cleanable.dirty.ratio": "abc"},
            "Invalid value abc for configuration min.cleanable.dirty.ratio: "
            "Not a number of type DOUBLE",
        ),
        (
            {"cleanup.policy": "foo"},
            "Invalid value foo for configuration cleanup.policy: "
            "String must be one of: compact, delete",
        ),
        (
            {"compression.type": "foo"},
            "Invalid value foo for configuration compression.type: "
            "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            {"retention.ms": "-2"},
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        ({"segment.bytes": None}, "Null value not supported for topic configs: segment.bytes"),
    ],
)
def test_refused_in_kafkas_words(overrides, message):
    with pytest.raises(InvalidConfig) as caught:
        validate(overrides)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        {"flush.ms": "1000"},
        {"cleanup.policy": "compact"},
        {"compression.type": "zstd"},
        {"min.insync.replicas": "2"},
        {"flush.messages": "1"},
        {"remote.storage.enable": "true"},
        {"unclean.leader.election.enable": "true"},
    ],
)
def test_what_has_no_effect_yet_is_refused(overrides):
    with pytest.raises(InvalidConfig, match="not supported in this version of fastlog"):
        validate(overrides)


def test_what_is_the_case_anyway_is_accepted():
    overrides = {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "min.insync.replicas": "1",
        "preallocate": "TRUE",
        "segment.bytes": "+1000000",
    }
    topic = TopicSettings(Settings.of(), overrides)
    assert topic["cleanup.policy"] == ("delete",)
    assert topic["segment.bytes"] == 1000000
    assert topic.engine()["preallocate"] == 1


@pytest.mark.parametrize(
    "broker, topic, engine",
    [
        ({}, {}, (604_800_000, -1)),
        ({"log.retention.hours": 2}, {}, (7_200_000, -1)),
        ({"log.retention.hours": 2, "log.retention.minutes": 3}, {}, (180_000, -1)),
        ({"log.retention.minutes": 3, "log.retention.ms": 4}, {}, (4, -1)),
        ({"log.retention.hours": -1, "log.retention.bytes": 5}, {}, (-1, 5)),
        ({"log.retention.ms": 4}, {"retention.ms": "0", "retention.bytes": "6"}, (0, 6)),
    ],
)
def test_retention(broker, topic, engine):
    found = TopicSettings(Settings.of(broker), topic).engine()
    assert (found["retention_ms"], found["retention_bytes"]) == engine
