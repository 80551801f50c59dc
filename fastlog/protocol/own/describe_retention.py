"""DescribeRetention: which segments a topic's partitions have, and how long each is kept.

`timestamp`: the largest of the segment's records, or when its file was written last. `why`: a name
of fastlog.logs.retention.Why. `until_ms`: when the segment goes by its age, and `until_bytes`: how
much the log grows until it goes by its size; -1 where it does not. Whichever comes first counts.
"""

KEY = 30001
REQUEST = """
DescribeRetentionRequest 0
  topic string 0+
"""
RESPONSE = """
DescribeRetentionResponse 0
  error_code int16 0+
  retention_ms int64 0+
  retention_bytes int64 0+
  partitions []Partition 0+
    partition_index int32 0+
    error_code int16 0+
    log_start_offset int64 0+
    high_watermark int64 0+
    segments []Segment 0+
      base_offset int64 0+
      end_offset int64 0+
      size_bytes int64 0+
      timestamp int64 0+
      why string 0+
      until_ms int64 0+
      until_bytes int64 0+
"""
