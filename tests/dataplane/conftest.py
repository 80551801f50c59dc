"""A data plane over real logs, with no control plane unless a test brings one."""

import os
import select
import threading

import pytest

from fastlog_ext.disk import Disk
from fastlog_ext.partition_log import Log
from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics

from .wire import Client

SETTINGS = {
    "segment_bytes": 1 << 30,
    "segment_ms": 604800000,
    "segment_jitter_ms": 0,
    "segment_index_bytes": 10485760,
    "index_interval_bytes": 4096,
    "max_message_bytes": 1048588,
    "timestamp_type": 0,
    "timestamp_before_max_ms": (1 << 63) - 1,
    "timestamp_after_max_ms": (1 << 63) - 1,
    "preallocate": 0,
    "compacted": 0,
    "producer_id_expiration_ms": 86400000,
    "file_delete_delay_ms": 0,
}


class Broker:
    """Topics, their logs and a data plane."""

    def __init__(self, folder, **options):
        self.folder, self.logs, self.ids = folder, {}, {}
        self.topics, self.disk = Topics(), Disk()
        settings = {"reactors": 2, "node_id": 1, **options}
        self.plane = DataPlane(self.topics, **settings)
        self.address = self.plane.listen("127.0.0.1", 0, "PLAINTEXT")

    def topic(self, name, partitions=1, missing=(), **settings):
        topic_id = os.urandom(16)
        logs = {}
        for index in set(range(partitions)) - set(missing):
            log = Log.open(
                str(self.folder / f"{name}-{index}"),
                topic=name,
                partition=index,
                topic_id=topic_id,
                settings={**SETTINGS, **settings},
                clean=True,
                disk=self.disk,
            )
            log.become_leader(0)
            logs[index] = log
        self.topics.publish(name, topic_id, logs, partitions)
        self.logs[name], self.ids[name] = logs, topic_id
        return logs

    def client(self, **options):
        return Client(self.address, **options)

    def close(self):
        stopped = self.plane.stop(0)
        for name, logs in self.logs.items():
            self.topics.remove(name)
            for log in logs.values():
                log.close()
        return self.disk.close() and stopped


class ControlPlane:
    """Answers every request that is handed over, by `answer(request) -> bytes | None`."""

    def __init__(self, plane, answer):
        self.plane, self.answer, self.ending = plane, answer, False
        self.seen = []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending:
            if not select.select([self.plane.request_fd], [], [], 0.05)[0]:
                continue
            os.read(self.plane.request_fd, 8)
            for request in self.plane.take_requests(100):
                self.seen.append(request)
                answer = self.answer(request)
                if answer is None:
                    request.close()
                else:
                    request.respond(answer)

    def close(self):
        self.ending = True
        self.thread.join()


@pytest.fixture
def make_broker(tmp_path):
    made = []

    def make(start=True, **options):
        folder = tmp_path / f"broker{len(made)}"
        folder.mkdir()
        made.append(Broker(folder, **options))
        if start:
            made[-1].plane.start()
        return made[-1]

    yield make
    for broker in made:
        assert broker.close(), "a reactor could not be joined, or kept a connection"


@pytest.fixture
def broker(make_broker):
    return make_broker()


@pytest.fixture
def control(broker):
    made = []

    def make(answer):
        made.append(ControlPlane(broker.plane, answer))
        return made[-1]

    yield make
    for plane in made:
        plane.close()
