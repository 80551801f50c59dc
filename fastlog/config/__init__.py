"""Every setting: named, typed and checked as Kafka does, refused where its effect is missing."""

from fastlog.config.setting import InvalidConfig
from fastlog.config.settings import ConfigError, Settings, load
from fastlog.config.topic_settings import TopicSettings

__all__ = ["ConfigError", "InvalidConfig", "Settings", "TopicSettings", "load"]
