"""Opening a log after a crash: every batch behind the recovery point is checked."""

from . import material, subject


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
