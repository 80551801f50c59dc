"""fastlog's own settings, under a prefix of their own so that no Kafka name can collide."""

from fastlog.config.setting import INT_MAX, Kind, OneOf, Range
from fastlog.config.tables.rows import works

ROWS = (
    works(
        "fastlog.control.request.max.bytes",
        Kind.INT,
        8388608,
        "Largest request that is neither Produce nor Fetch; a longer one closes the connection.",
        check=Range(1024),
    ),
    works(
        "fastlog.decompressed.max.bytes",
        Kind.INT,
        134217728,
        "Bytes that the records of one Produce request may expand to, where they are looked at; "
        "a batch beyond it is answered with MESSAGE_TOO_LARGE. A lookup by time walks as many; "
        "beyond them the header of a batch answers.",
        check=Range(1024),
    ),
    works(
        "fastlog.disk.free.min.bytes",
        Kind.LONG,
        -1,
        "Bytes that must be free on the disk of a log folder: below it, clients' appends are "
        "refused with KAFKA_STORAGE_ERROR until a tenth more is free, while reads and retention "
        "go on. -1: a hundredth of the disk, at most 1 GiB; 0: no such floor.",
        check=Range(-1),
    ),
    works(
        "fastlog.drain.timeout.ms",
        Kind.INT,
        30000,
        "How long a stop waits for requests and responses under way before it goes on.",
        check=Range(0),
    ),
    works(
        "fastlog.first.request.timeout.ms",
        Kind.INT,
        60000,
        "A connection that has not sent a whole request by then is closed. 0: never.",
        check=Range(0),
    ),
    works(
        "fastlog.log.format",
        Kind.STRING,
        "text",
        "Form of the broker's own log lines: text, or one JSON object a line.",
        check=OneOf(("text", "json")),
    ),
    works(
        "fastlog.log.level",
        Kind.STRING,
        "info",
        "The least severe of the broker's own log lines that is written.",
        check=OneOf(("debug", "info", "warning", "error")),
    ),
    works(
        "fastlog.open.segments.max",
        Kind.INT,
        0,
        "Sealed segments kept open at most; 0 derives it from the limit on open files.",
        check=Range(0, INT_MAX),
    ),
    works(
        "fastlog.profile",
        Kind.STRING,
        "default",
        "hardened: the stricter limits of the table below. What is set explicitly comes first.",
        check=OneOf(("default", "hardened")),
    ),
    works(
        "fastlog.reactors",
        Kind.INT,
        0,
        "Reactor threads; 0 takes num.network.threads, or one a core when that is not given "
        "either.",
        check=Range(0, 1024),
    ),
    works(
        "fastlog.receive.timeout.ms",
        Kind.INT,
        60000,
        "A request that has begun and does not come to its end, or 64 KiB further, within this "
        "time closes its connection. 0: never.",
        check=Range(0),
    ),
    works(
        "fastlog.request.elements.max",
        Kind.INT,
        131072,
        "Elements that all arrays of one request together may have; in a Produce or a Fetch, its "
        "topics and partitions. One with more closes the connection.",
        check=Range(1000, 2**31 - 1),
    ),
    works(
        "fastlog.validate.records",
        Kind.BOOLEAN,
        False,
        "Decompress and check every record of every produced batch, as Kafka does, and not only "
        "the batch's header and checksum.",
    ),
)
