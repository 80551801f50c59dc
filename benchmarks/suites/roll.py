"""Beginning a new segment."""

from . import material, subject


def roll():
    """One batch, so that there is something to close, and the roll."""
    scratch = material.Scratch()
    log, data = scratch.log(), material.batch(1 << 10)

    def call():
        log.append(data)
        log.roll()

    yield call
    scratch.remove()


class Roll(subject._Subject):
    operation = "roll"

    def time_roll(self):
        self.call()

    def track_instructions(self):
        return self.instructions()

    track_instructions.unit = "instructions"
