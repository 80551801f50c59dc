"""Reading settings: sources and their order, and everything that stops a start."""

import pytest

from fastlog.config import ConfigError, Settings, load
from fastlog.config.listeners import Listener
from fastlog.config.setting import Status
from fastlog.config.sources import environment_name
from fastlog.config.table import BROKER, TOPIC

KAFKAS_SAMPLE = """
broker.id=0
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kafka-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
"""


def problems(tmp_path, text="", name="server.properties", pairs=(), environ=None) -> list[str]:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, pairs, environ or {})
    assert str(caught.value).splitlines() == caught.value.problems
    return [problem.replace(f"{file}:", "") for problem in caught.value.problems]


def test_defaults():
    settings = load(environ={})
    assert settings["num.partitions"] == 1
    assert settings["log.segment.bytes"] == 1 << 30
    assert settings["message.max.bytes"] == 1048588
    assert settings["log.retention.hours"] == 168
    assert settings.where("num.partitions") == "default"
    assert settings.listeners == [Listener("PLAINTEXT", "127.0.0.1", 9092)]
    assert settings.advertised_listeners == settings.listeners
    assert settings.log_dirs == ["fastlog-data"]
    assert settings.broker_id == -1
    assert settings.reactors >= 1
    assert settings.notices == []


def test_what_has_no_effect_cannot_be_read():
    with pytest.raises(KeyError, match="no effect in this version"):
        load(environ={})["zookeeper.connect"]
    with pytest.raises(KeyError, match="nearest is num"):
        load(environ={})["num.partition"]


def test_order_of_sources(tmp_path):
    file = tmp_path / "a.properties"
    file.write_text("num.partitions=2\nlog.roll.hours=5\nmessage.max.bytes=7\n")
    settings = load(
        file, ["num.partitions=4"], {"FASTLOG_NUM_PARTITIONS": "3", "FASTLOG_LOG_ROLL_HOURS": "6"}
    )
    assert settings["num.partitions"] == 4
    assert settings.where("num.partitions") == "--set"
    assert settings["log.roll.hours"] == 6
    assert settings.where("log.roll.hours") == "FASTLOG_LOG_ROLL_HOURS"
    assert settings["message.max.bytes"] == 7
    assert settings.where("message.max.bytes") == f"{file}:3"


def test_toml(tmp_path):
    file = tmp_path / "broker.toml"
    file.write_text(
        'listeners = ["PLAINTEXT://127.0.0.1:1", "OTHER://127.0.0.1:2"]\n'
        'listener.security.protocol.map = "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT"\n'
        '"log.dir" = "/data"\n'
        "[log]\n"
        "segment.bytes = 1_000_000\n"
        "preallocate = true\n"
        "[fastlog]\n"
        'log.format = "json"\n'
    )
    settings = load(file, environ={})
    assert [one.port for one in settings.listeners] == [1, 2]
    assert settings.log_dirs == ["/data"]
    assert settings["log.segment.bytes"] == 1_000_000
    assert settings["log.preallocate"] is True
    assert settings["fastlog.log.format"] == "json"
    assert settings.where("log.segment.bytes") == f"{file}:5"


def test_toml_problems(tmp_path):
    text = "[log]\nsegment.bytes = true\nwhen = 2020-01-01\nrool.ms = 4\n[num]\npartitions = 1.5\n"
    got = problems(tmp_path, text, "b.toml")
    assert sorted(got, key=lambda line: int(line.split(":")[0])) == [
        "2: Invalid value true for configuration log.segment.bytes: Not a number of type INT",
        "3: log.when: a date cannot be a setting's value",
        "4: unknown setting log.rool.ms; the nearest is log.roll.ms",
        "6: Invalid value 1.5 for configuration num.partitions: Not a number of type INT",
    ]
    assert "not valid TOML" in problems(tmp_path, "a = ", "c.toml")[0]


def test_every_problem_is_told_at_once(tmp_path):
    text = "num.partitons=1\n\nnum.partitions=x\nlog.segment.bytes=13\nlog.dirs=/a,/b,/a/\n"
    assert problems(tmp_path, text, pairs=["nonsense"], environ={"FASTLOG_BROKER_IDS": "1"}) == [
        "--set nonsense: give it as key=value",
        "1: unknown setting num.partitons; the nearest is num.partitions",
        "3: Invalid value x for configuration num.partitions: Not a number of type INT",
        "4: Invalid value 13 for configuration log.segment.bytes: Value must be at least 14",
        "FASTLOG_BROKER_IDS: unknown setting broker.ids; the nearest is broker.id",
        "5: log.dirs: /a is given twice",
    ]


def test_a_topics_setting_in_the_brokers_file(tmp_path):
    assert problems(tmp_path, "segment.bytes=100") == [
        "1: segment.bytes belongs to a topic; for the broker it is log.segment.bytes"
    ]


def test_kafkas_sample_file(tmp_path):
    """What has its effect or truly none is taken; the rest stops the start, never ignored."""
    assert problems(tmp_path, KAFKAS_SAMPLE.lstrip()) == [
        "15: zookeeper.connect = localhost:2181 is not supported in this version of fastlog",
        "16: zookeeper.connection.timeout.ms = 18000 is not supported in this version of fastlog",
        "17: group.initial.rebalance.delay.ms = 0 is not supported in this version of fastlog",
    ]
    file = tmp_path / "server.properties"
    file.write_text("\n".join(KAFKAS_SAMPLE.splitlines()[:15]))
    settings = load(file, environ={})
    assert settings.broker_id == 0
    assert settings.reactors == 3
    assert [notice.split(":")[2].split()[0] for notice in settings.notices] == [
        "num.io.threads",
        "num.recovery.threads.per.data.dir",
    ]


@pytest.mark.parametrize("unit", ["ms", "minutes", "hours"])
def test_no_retention_at_all_is_for_topics_only(tmp_path, unit):
    assert problems(tmp_path, f"log.retention.{unit}=0") == [
        f"1: log.retention.{unit}: must be unlimited (-1) or 1 or more"
    ]
    assert load(pairs=["log.retention.ms=5", f"log.retention.{unit}=5"], environ={})


def test_nobody_may_connect():
    """Kafka starts with it as well."""
    (notice,) = Settings.of({"max.connections": 0}).notices
    assert notice == "given: max.connections = 0 lets nobody connect"
    assert Settings.of({"max.connections": 1}).notices == []


def test_secrets_are_not_shown(tmp_path):
    (problem,) = problems(tmp_path, "ssl.keystore.password=hunter2")
    assert "hunter2" not in problem


def test_java_classes_are_refused(tmp_path):
    assert problems(tmp_path, "create.topic.policy.class.name=com.example.Policy") == [
        "1: create.topic.policy.class.name = com.example.Policy is not a setting for fastlog "
        "(A Java class that approves new topics)"
    ]
    assert "authorizer.class.name" in problems(tmp_path, "authorizer.class.name=x")[0]


def test_a_repeated_key_counts_as_in_java(tmp_path):
    file = tmp_path / "a.properties"
    file.write_text("num.partitions=1\nnum.partitions=2\n")
    settings = load(file, environ={})
    assert settings["num.partitions"] == 2
    assert settings.notices == [f"{file}:2: num.partitions is given again; the last one counts"]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["broker.id=1", "node.id=2"], "differ: 1 and 2"),
        (["broker.id=-2"], "must be -1"),
        (["broker.id=1001"], "clash"),
        (["broker.id.generation.enable=false"], "without an id"),
        (["fastlog.reactors=2", "num.network.threads=3"], "differ"),
        (["max.connections.per.ip=0"], "allow no connection"),
        (["max.connections.per.ip.overrides=a:1,b"], "b is not host:count"),
        (["max.connections.per.ip.overrides=a:1,a:2"], "given twice"),
        (["queued.max.request.bytes=1000"], "does not fit"),
        (["log.dir="], "a folder is needed"),
        (["listeners=SSL://:1"], "SSL is not supported in this version"),
        (["listeners=X://:1"], "listener X is missing in listener.security.protocol.map"),
        (["listeners=PLAINTEXT://a:1,PLAINTEXT://b:2"], "given twice"),
        (["listeners=9092"], "not NAME://host:port"),
        (["listeners=PLAINTEXT://a:65536"], "above 65535"),
        (["listeners=PLAINTEXT://::1:9"], "brackets"),
        (["listeners="], "at least one"),
        (["listeners=PLAINTEXT://:1", "advertised.listeners=B://h:2"], "B is missing"),
        (["advertised.listeners=PLAINTEXT://0.0.0.0:2"], "no client can reach"),
        (["listeners=A://h:1,B://h:1", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"],
         "port 1 of h is used by two"),
        (["listener.security.protocol.map=A:B"], "is not LISTENER:PROTOCOL"),
        (["default.replication.factor=3"], "only 1 is accepted"),
        (["min.insync.replicas=2"], "only 1 is accepted"),
        (["listener.name.x.ssl.key=1"], "single listener"),
    ],
)  # fmt: skip
def test_impossible_combinations(pairs, words):
    with pytest.raises(ConfigError) as caught:
        load(pairs=pairs, environ={})
    assert any(words in problem for problem in caught.value.problems)
    assert all(problem.startswith(("--set", "default")) for problem in caught.value.problems)


def test_listeners():
    settings = Settings.of(
        {"listeners": "PLAINTEXT://[::1]:0", "advertised.listeners": "plaintext://broker.example:9"}
    )
    assert settings.listeners == [Listener("PLAINTEXT", "::1", 0)]
    assert str(settings.listeners[0]) == "PLAINTEXT://[::1]:0"
    assert settings.advertised_listeners == [Listener("PLAINTEXT", "broker.example", 9)]


def test_variables_of_others_are_left_alone():
    load(
        environ={
            "FASTLOG_DEBUG": "1",
            "FASTLOG_MODULES": "x",
            "FASTLOG_SERVICE_HOST": "10.0.0.1",
            "FASTLOG_SERVICE_PORT_KAFKA": "9092",
            "FASTLOG_PORT": "tcp://10.0.0.1:9092",
            "FASTLOG_PORT_9092_TCP_ADDR": "10.0.0.1",
            "HOME": "/",
        }
    )


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none", environ={})


def test_the_table_holds_together():
    variables = [environment_name(name) for name in BROKER]
    assert len(set(variables)) == len(variables)
    for row in [*BROKER.values(), *TOPIC.values()]:
        assert row.doc.endswith("."), row.name
        assert "|" not in row.doc
        assert set(row.broker_names) <= set(BROKER), row.name
        if row.status is Status.WORKS:
            assert not row.today
            if row.default is not None and row.check:
                assert row.check.problem(row.default) is None, row.name
        for value in row.today:
            assert row.refusal(value) is None
