"""Finding a place in a log through the sparse indexes."""

import random

from fastlog_ext.partition_log import TO_END

from . import material, subject

BATCHES = 5000


def filled(scratch):
    """A log with an index entry every few batches, in several segments."""
    log = scratch.log(segment_bytes=1 << 20, index_interval_bytes=1 << 10)
    for number in range(BATCHES):
        log.append(material.batch(400, number=number))
    return log


def by_offset():
    """A read of one batch somewhere."""
    scratch, places = material.Scratch(), random.Random(1)
    log = filled(scratch)
    end = log.end_offset
    yield lambda: log.read(places.randrange(end), 1, bound=TO_END)
    scratch.remove()


def by_time():
    """The first offset at a time or later."""
    scratch, places = material.Scratch(), random.Random(1)
    log = filled(scratch)
    yield lambda: log.offset_for_timestamp(material.START_MS + places.randrange(BATCHES))
    scratch.remove()


class ByOffset(subject._Subject):
    operation = "by_offset"

    def time_find(self):
        self.call()

    def track_instructions(self):
        return self.instructions()

    track_instructions.unit = "instructions"


class ByTime(subject._Subject):
    operation = "by_time"

    def time_find(self):
        self.call()

    def track_instructions(self):
        return self.instructions()

    track_instructions.unit = "instructions"
