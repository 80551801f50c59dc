"""Appending to one log: validation, offsets, one write, indexes."""

from . import material, subject

SIZES = [1 << 10, 16 << 10]


def append(size):
    """One batch."""
    scratch = material.Scratch()
    log, data = scratch.log(), material.batch(size)
    yield lambda: log.append(data)
    scratch.remove()


class Append(subject._Subject):
    operation, params, param_names = "append", SIZES, ["bytes"]
    batches = 2000
    SMALL = {"batches": 20}

    def time_append(self, size):
        self.call()

    def peakmem_append(self, size):
        for _ in range(self.batches):
            self.call()

    def track_instructions(self, size):
        return self.instructions(size)

    track_instructions.unit = "instructions"
