"""A record batch as it came from a client: checksum, header, and the records where they count."""

from fastlog_ext.batch import records, validate

from . import material, subject

SIZES = [1 << 10, 16 << 10]


def accept(size):
    """What every produced batch goes through."""
    data = material.batch(size)
    yield lambda: validate(data)


def walk(size):
    """The records looked at too, as compaction, validation and log append time ask for."""
    data = material.batch(size)
    yield lambda: validate(data, walk_records=True)


def take_apart(size):
    """Records as Python objects, for the tools."""
    data = material.batch(size)
    yield lambda: records(data)


class Accept(subject._Subject):
    operation, params, param_names = "accept", SIZES, ["bytes"]

    def time_accept(self, size):
        self.call()

    def track_instructions(self, size):
        return self.instructions(size)

    track_instructions.unit = "instructions"


class Walk(subject._Subject):
    operation, params, param_names = "walk", SIZES[1:2], ["bytes"]

    def time_walk(self, size):
        self.call()

    def track_instructions(self, size):
        return self.instructions(size)

    track_instructions.unit = "instructions"


class TakeApart(subject._Subject):
    operation, params, param_names = "take_apart", SIZES[1:2], ["bytes"]

    def time_take_apart(self, size):
        self.call()

    def peakmem_take_apart(self, size):
        self.call()
