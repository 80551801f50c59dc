"""Opens logs and reads their batches back, for the tests of the engine."""

from fastlog_ext.batch_records import build, records
from fastlog_ext.partition_log import Log

SMALL = {"segment_bytes": 4000, "index_interval_bytes": 300, "file_delete_delay_ms": 0}


def open_log(
    folder, *, clean=True, leader_epoch=0, recovery_point=0, log_start_offset=0, **settings
):
    """A log that clients may append to (unless its leader epoch is None), with small segments."""
    log = Log.open(
        str(folder),
        topic="topic",
        partition=0,
        topic_id=bytes(16),
        settings={**SMALL, **settings},
        clean=clean,
        recovery_point=recovery_point,
        log_start_offset=log_start_offset,
    )
    if leader_epoch is not None:
        log.become_leader(leader_epoch)
    return log


def batch(*values, timestamp=1000, **options):
    """A batch of values that have keys, all of one time."""
    return build([(timestamp, b"key", value) for value in values], **options)


def split(data):
    """The whole batches in the bytes of a fetch."""
    found = []
    position = 0
    while position + 61 <= len(data):
        end = position + 12 + int.from_bytes(data[position + 8 : position + 12], "big")
        if end > len(data):
            break
        found.append(data[position:end])
        position = end
    return found


def read_all(log, offset=None, bound=2, max_bytes=1 << 20):
    """[(offset, timestamp, value)] from `offset` (the log start) to the end, as a consumer sees
    it."""
    offset = log.log_start_offset if offset is None else offset
    found = []
    while True:
        error, data = log.read(offset, max_bytes, bound=bound)
        assert error == 0
        if not data:
            return found
        for one in split(data):
            for record in records(one):
                if record.offset >= offset:
                    found.append((record.offset, record.timestamp, bytes(record.value)))
                    offset = record.offset + 1
