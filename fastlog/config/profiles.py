"""Settings that stand together under one name, for `fastlog.profile`."""

# For a broker that strangers can reach.
HARDENED: dict[str, object] = {
    "auto.create.topics.enable": False,
    "connections.max.idle.ms": 120_000,
    "fastlog.control.request.max.bytes": 1_048_576,
    "fastlog.decompressed.max.bytes": 16_777_216,
    "fastlog.first.request.timeout.ms": 10_000,
    "fastlog.receive.timeout.ms": 10_000,
    "fastlog.request.elements.max": 16_384,
    "fastlog.validate.records": True,
    "max.connection.creation.rate": 200,
    "max.connections": 10_000,
    "max.connections.per.ip": 256,
    "queued.max.request.bytes": 134_217_728,
    "socket.request.max.bytes": 16_777_216,
}

PROFILES: dict[str, dict[str, object]] = {"default": {}, "hardened": HARDENED}
