"""ThreadSanitizer finds a race between reactors, as `./dev sanitize thread` would."""

import re

from tests.tools import sanitizing
from tests.tools.planted import planted_tree, run_in

FUNCTION = re.compile(r"^cdef int waiters_add\(.*?(?=^cdef )", re.MULTILINE | re.DOTALL)
LOCKING = re.compile(r"^ +pthread_mutex_\w+\(&waiters.lock\)\n", re.MULTILINE)

# Consumers of two reactors wait at the end of one partition, again and again.
WAITING = """
import contextlib
import sys
from pathlib import Path
from tests.dataplane.conftest import Broker
from tests.dataplane.wire import batch, fetch, produce

broker = Broker(Path(sys.argv[1]), reactors=2)
broker.topic("t")
broker.plane.start()
with contextlib.ExitStack() as opened:
    producer, *consumers = [opened.enter_context(broker.client()) for _ in range(9)]
    for offset in range(20):
        for consumer in consumers:
            consumer.send(fetch({"t": [(0, offset)]}, max_wait=60000))
        producer.send(produce({"t": [(0, batch(b"value"))]}))
        for client in (producer, *consumers):
            client.receive()
assert broker.close()
"""


def without_lock(source: str) -> str:
    """A waiter is put into its list without the list's lock."""
    return FUNCTION.sub(lambda found: LOCKING.sub("", found[0]), source)


def test_a_planted_race_is_found(tmp_path):
    changes = {"waiters": without_lock}
    tree = planted_tree(tmp_path / "tree", changes, "tests", FASTLOG_SANITIZE="thread")
    data = tmp_path / "data"
    data.mkdir()
    start = sanitizing.before("thread")
    done = run_in(tree, "-c", WAITING, data, before=start, **sanitizing.variables("thread"))
    assert "WARNING: ThreadSanitizer: data race" in done.stderr, done.stdout + done.stderr
    assert re.search(r"#0 \w+waiters_add ", done.stderr), done.stderr
    assert done.returncode == 66
