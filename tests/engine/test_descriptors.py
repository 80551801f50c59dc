"""Each of thousands of logs keeps one descriptor: its active segment's."""

import os

from tests.engine.logs import batch, open_log, read_all

LOGS = 20
ROOMY = {"segment_bytes": 1 << 20, "index_interval_bytes": 100}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_an_open_log_keeps_one_descriptor(tmp_path):
    before = descriptors()
    for clean in (True, True, False):
        logs = [open_log(tmp_path / f"t-{n}", clean=clean, **ROOMY) for n in range(LOGS)]
        assert descriptors() - before == LOGS
        for log in logs:
            for number in range(300):  # more index entries than are kept in memory
                assert log.append(batch(b"%d" % number))[0] == 0
            log.flush()
        assert descriptors() - before == LOGS
        count = len(read_all(logs[0]))
        assert count % 300 == 0 and count > 0
        for log in logs:
            log.close()
        assert descriptors() == before
