"""ControlledShutdown: the facts of its request and response. See the package."""

KEY = 7
REQUEST = """
ControlledShutdownRequest 0-3 flexible=3+
  broker_id int32 0+
  broker_epoch int64 2+ default=-1 ignorable
"""
RESPONSE = """
ControlledShutdownResponse 0-3 flexible=3+
  error_code int16 0+
  remaining_partitions []RemainingPartition 0+
    topic_name string 0+
    partition_index int32 0+
"""
