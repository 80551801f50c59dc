"""One connection that produces or fetches as much as it can, until its standard input ends.

python -m tests.dataplane.heavy HOST PORT produce|fetch
"""

import os
import select
import sys

from .wire import Client, batch, fetch, produce

IN_FLIGHT = 5


def main(host, port, what):
    if what == "produce":
        request = produce({"heavy": [(0, batch(os.urandom((1 << 20) - 1000)))]})
    else:
        request = fetch({"heavy": [(0, 0)]}, partition_max=50 << 20)
    with Client((host, int(port))) as client:
        client.send(*[request] * IN_FLIGHT)
        while not select.select([sys.stdin], [], [], 0)[0]:
            client.receive()
            client.send(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
