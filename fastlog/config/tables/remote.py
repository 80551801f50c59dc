"""Settings of tiered storage."""

from fastlog.config.setting import LONG_MAX, Kind, Range
from fastlog.config.tables.rows import planned

ROWS = (
    planned(
        "remote.fetch.max.wait.ms",
        Kind.INT,
        500,
        "Longest wait of a fetch for a remote segment.",
        check=Range(1),
        dynamic=True,
    ),
    planned(
        "remote.log.index.file.cache.total.size.bytes",
        Kind.LONG,
        1073741824,
        "Local cache of remote indexes.",
        check=Range(1),
        dynamic=True,
    ),
    planned(
        "remote.log.manager.copier.thread.pool.size",
        Kind.INT,
        -1,
        "Threads that copy segments away.",
    ),
    planned(
        "remote.log.manager.copy.max.bytes.per.second",
        Kind.LONG,
        LONG_MAX,
        "Ceiling of the copying.",
        check=Range(1),
        dynamic=True,
    ),
    planned(
        "remote.log.manager.copy.quota.window.num",
        Kind.INT,
        11,
        "Samples kept for that ceiling.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.copy.quota.window.size.seconds",
        Kind.INT,
        1,
        "Span of one such sample.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.expiration.thread.pool.size",
        Kind.INT,
        -1,
        "Threads that expire remote segments.",
    ),
    planned(
        "remote.log.manager.fetch.max.bytes.per.second",
        Kind.LONG,
        LONG_MAX,
        "Ceiling of reading remote segments.",
        check=Range(1),
        dynamic=True,
    ),
    planned(
        "remote.log.manager.fetch.quota.window.num",
        Kind.INT,
        11,
        "Samples kept for that ceiling.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.fetch.quota.window.size.seconds",
        Kind.INT,
        1,
        "Span of one such sample.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.task.interval.ms",
        Kind.LONG,
        30000,
        "How often segments are examined for copying.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.task.retry.backoff.max.ms",
        Kind.LONG,
        30000,
        "Longest pause after a failed copy.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.task.retry.backoff.ms",
        Kind.LONG,
        500,
        "First pause after a failed copy.",
        check=Range(1),
    ),
    planned(
        "remote.log.manager.task.retry.jitter",
        Kind.DOUBLE,
        0.2,
        "Random part of that pause.",
        check=Range(0, 0.5),
    ),
    planned(
        "remote.log.manager.thread.pool.size",
        Kind.INT,
        10,
        "Threads of tiered storage.",
        check=Range(1),
    ),
    planned(
        "remote.log.metadata.custom.metadata.max.bytes",
        Kind.INT,
        128,
        "Largest note a storage plugin may keep with a segment.",
        check=Range(0),
    ),
    planned(
        "remote.log.metadata.manager.class.name",
        Kind.STRING,
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        "Plugin that keeps the list of remote segments.",
    ),
    planned("remote.log.metadata.manager.class.path", Kind.STRING, None, "Where that plugin is."),
    planned(
        "remote.log.metadata.manager.impl.prefix",
        Kind.STRING,
        "rlmm.config.",
        "Prefix of that plugin's settings.",
    ),
    planned(
        "remote.log.metadata.manager.listener.name", Kind.STRING, None, "Listener that plugin uses."
    ),
    planned(
        "remote.log.reader.max.pending.tasks",
        Kind.INT,
        100,
        "Remote reads that may wait.",
        check=Range(1),
    ),
    planned(
        "remote.log.reader.threads",
        Kind.INT,
        10,
        "Threads that read remote segments.",
        check=Range(1),
    ),
    planned(
        "remote.log.storage.manager.class.name",
        Kind.STRING,
        None,
        "Plugin that stores remote segments.",
    ),
    planned("remote.log.storage.manager.class.path", Kind.STRING, None, "Where that plugin is."),
    planned(
        "remote.log.storage.manager.impl.prefix",
        Kind.STRING,
        "rsm.config.",
        "Prefix of that plugin's settings.",
    ),
    planned(
        "remote.log.storage.system.enable", Kind.BOOLEAN, False, "Tiered storage.", today=(False,)
    ),
)
