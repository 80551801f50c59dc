"""The settings of a topic: its own overrides over the broker's, as Kafka derives them."""

from collections.abc import Mapping

from fastlog.config.setting import InvalidConfig, Status, text_of
from fastlog.config.settings import Settings
from fastlog.config.table import TOPIC

_UNIT_MS = {"hours": 3_600_000, "minutes": 60_000}


def validate(overrides: Mapping[str, str | None]) -> dict[str, object]:
    """The overrides' values. Raises InvalidConfig in Kafka's words (error 40).

    An override that has no effect yet is refused, unless it asks for what fastlog does anyway.
    """
    for name in overrides:
        if name not in TOPIC:
            raise InvalidConfig(f"Unknown topic config name: {name}")
    missing = sorted(name for name, text in overrides.items() if text is None)
    if missing:
        raise InvalidConfig(f"Null value not supported for topic configs: {','.join(missing)}")
    values = {name: TOPIC[name].parse(text or "") for name, text in overrides.items()}
    for name, value in values.items():
        refusal = TOPIC[name].refusal(value)
        if refusal:
            raise InvalidConfig(f"Topic setting {name} = {text_of(value)} {refusal}")
    return values


class TopicSettings:
    """Effective values of one topic. Immutable."""

    def __init__(self, settings: Settings, overrides: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._values = validate(overrides or {})

    def __getitem__(self, name: str):
        """The value in effect: the topic's, else the broker's, else the default."""
        return self._find(name)[0]

    def where(self, name: str) -> str:
        """`topic`, the name of the broker setting it comes from, or `default`."""
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[object, str]:
        row = TOPIC[name]
        if name in self._values:
            return self._values[name], "topic"
        for broker_name in row.broker_names:
            if self._settings.is_set(broker_name):
                value = self._settings[broker_name]
                unit = _UNIT_MS.get(broker_name.rsplit(".", 1)[1])
                return (value * unit if unit and value >= 0 else value), broker_name
        if row.status in (Status.WORKS, Status.NO_EFFECT):
            return row.default, "default"
        if row.today:
            return row.today[0], "default"
        raise KeyError(f"{name} has no effect in this version of fastlog")

    def engine(self) -> dict[str, int]:
        """What fastlog_ext.partition_log.Log takes: sizes in bytes, times in milliseconds."""
        return {
            "segment_bytes": self["segment.bytes"],
            "segment_ms": self["segment.ms"],
            "segment_jitter_ms": min(self["segment.jitter.ms"], self["segment.ms"]),
            "segment_index_bytes": self["segment.index.bytes"],
            "index_interval_bytes": self["index.interval.bytes"],
            "max_message_bytes": self["max.message.bytes"],
            "timestamp_type": int(self["message.timestamp.type"] == "LogAppendTime"),
            "timestamp_before_max_ms": self["message.timestamp.before.max.ms"],
            "timestamp_after_max_ms": self["message.timestamp.after.max.ms"],
            "preallocate": int(self["preallocate"]),
            "compacted": int("compact" in self["cleanup.policy"]),
            "producer_id_expiration_ms": self._settings["producer.id.expiration.ms"],
            "file_delete_delay_ms": self["file.delete.delay.ms"],
            "retention_ms": self["retention.ms"],
            "retention_bytes": self["retention.bytes"],
        }
