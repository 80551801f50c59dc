"""The broker's folder of logs: its lock and identity, its checkpoint files, and the logs in it.

    folder       the folder itself: lock, meta.properties, the marker of a clean stop
    checkpoints  offsets of all partitions in one small file each
    partition    names of partition folders, partition.metadata
    manager      opens, creates, removes and closes the logs; the work by the clock

Every file is Kafka 3.9's, so that the folder can change hands in both directions.
"""
