"""Consumers of two reactors wait at the end of one partition, again and again.

python -m tests.planted.waiting FOLDER
"""

import contextlib
import sys
from pathlib import Path

from tests.dataplane.conftest import Broker
from tests.dataplane.wire import batch, fetch, produce

CONSUMERS = 8
ROUNDS = 20


def main(folder: Path) -> None:
    broker = Broker(folder, reactors=2)
    broker.topic("t")
    broker.plane.start()
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(broker.client()) for _ in range(1 + CONSUMERS)]
        producer, *consumers = clients
        for offset in range(ROUNDS):
            for consumer in consumers:
                consumer.send(fetch({"t": [(0, offset)]}, max_wait=60000))
            producer.send(produce({"t": [(0, batch(b"value"))]}))
            for client in clients:
                client.receive()
    assert broker.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
