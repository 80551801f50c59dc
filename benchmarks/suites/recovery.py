"""Opening logs: after a crash, when every batch behind the recovery point is checked, and many."""

from concurrent.futures import ThreadPoolExecutor

from fastlog.logs.folder import LogFolder
from fastlog.logs.housekeeping import Housekeeping
from fastlog.logs.loading import Loader
from fastlog.logs.partition import write_topic_id
from fastlog_ext.disk import Disk

from . import counting, material, subject


def recover(batches):
    """An unclean open of so many batches of 1 KiB, and the close."""
    scratch = material.Scratch()
    log, data = scratch.log("crashed"), material.batch(1 << 10)
    for _ in range(batches):
        log.append(data)
    log.close()

    def call():
        scratch.log("crashed", clean=False).close()
        scratch.logs.pop()

    yield call
    scratch.remove()


class Recover(subject._Subject):
    operation, params, param_names = "recover", [1000], ["batches"]
    count = 5

    def time_recover(self, batches):
        self.call()

    def peakmem_recover(self, batches):
        self.call()

    def track_instructions(self, batches):
        return self.instructions(batches)

    track_instructions.unit = "instructions"


def open_quiet(count):
    """The start and the stop of so many logs that were closed in order, each with one record."""
    scratch = material.Scratch()
    for number in range(count):
        log = scratch.log(f"quiet{number}")
        log.append(material.batch(100))
        log.close()
        write_topic_id(scratch.path / f"quiet{number}-0", bytes([number]) * 16)
    folder, disk = LogFolder.open(scratch.path), Disk()
    keeping = Housekeeping(folder, {}, lambda partition, paths: None)
    loader = Loader(folder, keeping, True, lambda topic: {}, disk)
    partitions, _ = loader.partitions()

    def open_and_close():
        for _, log in loader.open_all(partitions, {}):
            log.become_leader(0)
            log.close()

    with ThreadPoolExecutor(1) as pool:  # the thread whose system calls are counted
        yield lambda: pool.submit(open_and_close).result()
    disk.close()
    folder.close()
    scratch.remove()


class OpenQuiet(subject._Subject):
    operation, params, param_names = "open_quiet", [50], ["logs"]
    SMALL = {"params": [2]}
    count = 10

    def time_open_quiet(self, logs):
        self.call()

    def track_instructions(self, logs):
        return self.instructions(logs)

    def track_system_calls(self, logs):
        found = counting.system_calls("recovery", self.operation, logs, count=self.count)
        return found["calls"]

    track_instructions.unit = "instructions"
    track_system_calls.unit = "system calls"
