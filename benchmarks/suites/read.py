"""Reading one log from its start, as a consumer does."""

from fastlog_ext.partition_log import TO_END

from . import material, subject


def read_on(size):
    """The next fetch of a sequential reader, which begins again at the end."""
    scratch = material.Scratch()
    log, data = scratch.log(), material.batch(4 << 10)
    for _ in range(1000):
        log.append(data)
    reader = log.reader(0)

    def call():
        nonlocal reader
        if not reader.read(size, bound=TO_END)[1]:
            reader = log.reader(0)

    yield call
    scratch.remove()


class ReadOn(subject._Subject):
    operation, params, param_names = "read_on", [64 << 10], ["bytes"]

    def time_read(self, size):
        self.call()

    def peakmem_read(self, size):
        self.call()

    def track_instructions(self, size):
        return self.instructions(size)

    track_instructions.unit = "instructions"
