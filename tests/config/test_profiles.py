"""One name for many settings; whatever is given explicitly comes over it."""

import pytest

from fastlog.config import ConfigError, Settings, load
from fastlog.config.profiles import HARDENED, PROFILES
from fastlog.config.setting import Status
from fastlog.config.table import BROKER


def test_hardened_sets_what_it_says():
    settings = load(pairs=["fastlog.profile=hardened"], environ={})
    for name, value in HARDENED.items():
        assert settings[name] == value, name
        assert settings.where(name) == "fastlog.profile=hardened"
    assert settings["num.partitions"] == 1 and settings.where("num.partitions") == "default"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_changes_what_has_an_effect(profile):
    for name, value in PROFILES[profile].items():
        assert BROKER[name].status is Status.WORKS
        assert BROKER[name].default != value


def test_stricter_everywhere():
    """No bound of the hardened profile is wider than the default, -1 and 0 being no bound."""
    default = load(environ={})
    for name, value in HARDENED.items():
        if type(value) is int:
            assert value < default[name] or default[name] in (-1, 0), name


def test_explicit_settings_come_first(tmp_path):
    file = tmp_path / "a.properties"
    file.write_text("max.connections=7\nfastlog.profile=hardened\n")
    environ = {"FASTLOG_MAX_CONNECTIONS_PER_IP": "8"}
    settings = load(file, ["auto.create.topics.enable=true"], environ)
    assert settings["max.connections"] == 7
    assert settings["max.connections.per.ip"] == 8
    assert settings["auto.create.topics.enable"] is True
    assert settings["fastlog.receive.timeout.ms"] == 10_000
    assert load(file, ["fastlog.profile=default"], {})["fastlog.receive.timeout.ms"] == 60_000


def test_an_unknown_profile():
    with pytest.raises(ConfigError, match="must be one of: default, hardened"):
        Settings.of({"fastlog.profile": "lenient"})


def test_overrides_by_host():
    settings = Settings.of({"max.connections.per.ip.overrides": "a.example:3, [::1]:4,10.0.0.1:0"})
    assert settings.connection_overrides == [("a.example", 3), ("::1", 4), ("10.0.0.1", 0)]
