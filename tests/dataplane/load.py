"""Load from another process: produces and fetches until told to stop, then prints what it saw.

python -m tests.dataplane.load HOST PORT TOPIC SECONDS
"""

import sys
import time

from .wire import Client, batch, offsets_of


def main(host, port, topic, seconds):
    data = batch(b"x" * 200)
    produced = fetched = 0
    worst = 0.0
    print("ready", flush=True)
    deadline = time.monotonic() + float(seconds)
    with Client((host, int(port))) as client:
        while time.monotonic() < deadline:
            started = time.monotonic()
            (part,) = client.produce({topic: [(0, data)]}, acks=-1)
            assert part.error == 0
            (got,) = client.fetch({topic: [(0, part.base_offset)]}, max_wait=1000)
            assert offsets_of(got.records)[0] == part.base_offset
            worst = max(worst, time.monotonic() - started)
            produced += 1
            fetched += 1
    print(produced, worst, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
