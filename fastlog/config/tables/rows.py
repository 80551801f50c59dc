"""How a row of the table is written down: one function for each status."""

from functools import partial

from fastlog.config.setting import Setting, Status

works = partial(Setting, status=Status.WORKS)
planned = partial(Setting, status=Status.PLANNED)  # Kafka's setting, its effect is not here yet
no_effect = partial(
    Setting, status=Status.NO_EFFECT
)  # accepted with a notice: fastlog is built otherwise
refused = partial(
    Setting, status=Status.REFUSED
)  # names a Java class, KRaft, or a format fastlog does not have
