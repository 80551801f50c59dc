"""DeleteRecords: where partitions begin afterwards, for good and odd offsets. See raw_cases."""

from tests.clients.batches import Batch
from tests.clients.raw_cases import FETCH, LIST_OFFSETS, PRODUCE, made_topic
from tests.clients.raw_client import RawClient

DELETE_RECORDS = 21
VERSIONS = range(0, 3)


def delete_records(client: RawClient, version: int) -> None:
    topic = made_topic(client, "trimmed", 3)
    for _ in range(5):
        data = [{"index": 0, "records": Batch().encode()}]
        sent = {"acks": 1, "timeout_ms": 10_000}
        client.ask(PRODUCE, 7, topic_data=[{"name": topic, "partition_data": data}], **sent)

    def ask(*wanted: tuple[int, int], name: str = topic, timeout_ms: int = 10_000) -> None:
        parts = [{"partition_index": number, "offset": offset} for number, offset in wanted]
        topics = [{"name": name, "partitions": parts}]
        client.ask(DELETE_RECORDS, version, topics=topics, timeout_ms=timeout_ms)

    def look() -> None:
        parts = [{"partition_index": 0, "timestamp": when} for when in (-2,)]
        topics = [{"name": topic, "partitions": parts}]
        client.ask(LIST_OFFSETS, 4, replica_id=-1, topics=topics)
        for offset in (1, 4):
            part = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 100}
            topics = [{"topic": topic, "partitions": [part]}]
            client.ask(FETCH, 5, replica_id=-1, max_bytes=100, topics=topics)

    for offset in (0, 3, 2, 3, -2, -(1 << 63), 6, (1 << 63) - 1):
        ask((0, offset))
        look()
    ask((0, 4), timeout_ms=0)
    ask((0, 4), timeout_ms=-5)
    ask((1, 0), (2, 1), (0, 1))
    for number in (3, -1):
        ask((number, 0))
    ask((0, 0), name="absent")
    ask((0, 0), name="")
    ask((0, 5), (0, -7))  # the last one counts
    look()
    ask((0, -7), (0, -1))
    look()
    ask((1, -1), (2, -1))
    ask()
    twice = [{"name": topic, "partitions": [{"partition_index": n, "offset": 1}]} for n in (0, 1)]
    client.ask(DELETE_RECORDS, version, topics=twice, timeout_ms=1000)
    client.ask(DELETE_RECORDS, version, topics=[], timeout_ms=1000)


CASES = [delete_records]
