"""A log's settings: their defaults, and how the control plane changes them."""
from libc.stdint cimport INT64_MAX
from fastlog_ext.system cimport store32, store64

DEFAULTS = {
    "segment_bytes": 1073741824, "segment_ms": 604800000, "segment_jitter_ms": 0,
    "segment_index_bytes": 10485760, "index_interval_bytes": 4096, "max_message_bytes": 1048588,
    "timestamp_type": 0, "timestamp_before_max_ms": INT64_MAX, "timestamp_after_max_ms": INT64_MAX,
    "preallocate": 0, "compacted": 0, "producer_id_expiration_ms": 86400000,
    "file_delete_delay_ms": 60000, "retention_ms": -1, "retention_bytes": -1}


cdef void apply_settings(PartitionLog *log, dict settings) except *:
    unknown = settings.keys() - DEFAULTS.keys()
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    if settings.get("segment_bytes", 1) < 1:
        raise ValueError("segment_bytes must be positive")
    log.settings.segment_bytes = settings.get("segment_bytes", log.settings.segment_bytes)
    log.settings.segment_ms = settings.get("segment_ms", log.settings.segment_ms)
    log.settings.segment_jitter_ms = settings.get("segment_jitter_ms",
                                                  log.settings.segment_jitter_ms)
    log.settings.segment_index_bytes = settings.get("segment_index_bytes",
                                                    log.settings.segment_index_bytes)
    log.settings.index_interval_bytes = settings.get("index_interval_bytes",
                                                     log.settings.index_interval_bytes)
    log.settings.producer_id_expiration_ms = settings.get(
        "producer_id_expiration_ms", log.settings.producer_id_expiration_ms)
    log.settings.file_delete_delay_ms = settings.get("file_delete_delay_ms",
                                                     log.settings.file_delete_delay_ms)
    log.settings.retention_ms = settings.get("retention_ms", log.settings.retention_ms)
    log.settings.retention_bytes = settings.get("retention_bytes", log.settings.retention_bytes)
    log.settings.preallocate = settings.get("preallocate", log.settings.preallocate)
    store32(&log.max_message_bytes, settings.get("max_message_bytes", log.max_message_bytes))
    store32(&log.timestamp_type, settings.get("timestamp_type", log.timestamp_type))
    store64(&log.timestamp_before_max_ms,
            settings.get("timestamp_before_max_ms", log.timestamp_before_max_ms))
    store64(&log.timestamp_after_max_ms, settings.get("timestamp_after_max_ms",
                                                      log.timestamp_after_max_ms))
    store32(&log.compacted, settings.get("compacted", log.compacted))
