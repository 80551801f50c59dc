"""Messages of the control plane, encoded and decoded: a Metadata answer about some topics."""

from fastlog.protocol import messages

from . import subject

METADATA, VERSION = 3, 12


def answer(topics):
    """A Metadata response with three partitions a topic."""
    response = messages.response_class(METADATA)
    broker = response.MetadataResponseBroker(node_id=1, host="localhost", port=9092, rack=None)
    made = []
    for number in range(topics):
        partitions = [
            response.MetadataResponsePartition(
                error_code=0,
                partition_index=index,
                leader_id=1,
                leader_epoch=0,
                replica_nodes=[1],
                isr_nodes=[1],
                offline_replicas=[],
            )
            for index in range(3)
        ]
        topic = response.MetadataResponseTopic(
            error_code=0, name=f"topic-{number}", topic_id=bytes(16), partitions=partitions
        )
        made.append(topic)
    return response(brokers=[broker], cluster_id="cluster", controller_id=1, topics=made)


def encode(topics):
    message = answer(topics)
    yield lambda: message.encode(VERSION)


def decode(topics):
    data, message_class = answer(topics).encode(VERSION), messages.response_class(METADATA)
    yield lambda: message_class.decode(VERSION, data)


class Encode(subject._Subject):
    operation, params, param_names = "encode", [10], ["topics"]
    count = 20

    def time_encode(self, topics):
        self.call()

    def track_instructions(self, topics):
        return self.instructions(topics)

    track_instructions.unit = "instructions"


class Decode(subject._Subject):
    operation, params, param_names = "decode", [10], ["topics"]
    count = 20

    def time_decode(self, topics):
        self.call()

    def track_instructions(self, topics):
        return self.instructions(topics)

    track_instructions.unit = "instructions"
