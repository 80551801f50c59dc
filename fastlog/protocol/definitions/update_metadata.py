"""UpdateMetadata: the facts of its request and response. See the package."""

KEY = 6
REQUEST = """
UpdateMetadataRequest 0-8 flexible=6+
  struct UpdateMetadataPartitionState
    topic_name string 0-4 ignorable
    partition_index int32 0+
    controller_epoch int32 0+
    leader int32 0+
    leader_epoch int32 0+
    isr []int32 0+
    zk_version int32 0+
    replicas []int32 0+
    offline_replicas []int32 4+ ignorable
  controller_id int32 0+
  is_kraft_controller bool 8+
  type int8 8+ tag=0
  controller_epoch int32 0+
  broker_epoch int64 5+ default=-1 ignorable
  ungrouped_partition_states []UpdateMetadataPartitionState 0-4
  topic_states []UpdateMetadataTopicState 5+
    topic_name string 5+
    topic_id uuid 7+ ignorable
    partition_states []UpdateMetadataPartitionState 5+
  live_brokers []UpdateMetadataBroker 0+
    id int32 0+
    v0_host string 0 ignorable
    v0_port int32 0 ignorable
    endpoints []UpdateMetadataEndpoint 1+ ignorable
      port int32 1+
      host string 1+
      listener string 3+ ignorable
      security_protocol int16 1+
    rack string 2+ nullable=0+ ignorable
"""
RESPONSE = """
UpdateMetadataResponse 0-8 flexible=6+
  error_code int16 0+
"""
