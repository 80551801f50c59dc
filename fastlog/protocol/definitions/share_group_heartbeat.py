"""ShareGroupHeartbeat: the facts of its request and response. See the package."""

KEY = 76
REQUEST = """
ShareGroupHeartbeatRequest 0-1 flexible=0+
  group_id string 0+
  member_id string 0+
  member_epoch int32 0+
  rack_id string 0+ nullable=0+ default=null
  subscribed_topic_names []string 0+ nullable=0+ default=null
"""
RESPONSE = """
ShareGroupHeartbeatResponse 0-1 flexible=0+
  struct TopicPartitions
    topic_id uuid 0+
    partitions []int32 0+
  throttle_time_ms int32 0+
  error_code int16 0+
  error_message string 0+ nullable=0+ default=null
  member_id string 0+ nullable=0+ default=null
  member_epoch int32 0+
  heartbeat_interval_ms int32 0+
  assignment Assignment 0+ nullable=0+ default=null
    topic_partitions []TopicPartitions 0+
"""
