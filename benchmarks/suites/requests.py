"""Produce and Fetch through the data plane: one reactor, one connection, the socket between."""

from . import material, subject

KIB = 1 << 10


def produce(size):
    """One request of one batch, then its answer."""
    plane = material.Plane()
    frame = material.produce_frame(plane.TOPIC, material.batch(size))
    yield lambda: plane.call(frame)
    plane.close()


def pipelined(requests):
    """So many requests of 1 KiB in one write of the client."""
    plane = material.Plane()
    frames = material.produce_frame(plane.TOPIC, material.batch(KIB)) * requests
    yield lambda: plane.call(frames, requests)
    plane.close()


def fetch(size):
    """The next `size` bytes: one batch."""
    plane = material.Plane()
    data = material.batch(size)
    count = min(200, (32 << 20) // size)
    for _ in range(count):
        plane.log.append(data)
    records = plane.log.end_offset // count
    frames = [material.fetch_frame(plane.TOPIC, n * records, len(data)) for n in range(count)]
    number = 0

    def call():
        nonlocal number
        plane.call(frames[number % count])
        number += 1

    yield call
    plane.close()


class _Request(subject._Subject):
    """What is counted of each."""

    def system_calls(self, argument):
        from . import counting

        return counting.system_calls("requests", self.operation, argument, count=self.count)

    def allocations(self, argument):
        from . import counting

        return counting.allocations("requests", self.operation, argument, count=self.count)


class _Counted(_Request):
    """The counters of requests of one shape, which the parameter tells."""

    def track_instructions(self, shape):
        return self.instructions(shape)

    def track_system_calls(self, shape):
        return self.system_calls(shape)["calls"]

    def track_copied(self, shape):
        return self.system_calls(shape)["copied"]

    def track_allocations(self, shape):
        return self.allocations(shape)

    track_instructions.unit = "instructions"
    track_system_calls.unit = "system calls"
    track_copied.unit = "bytes copied"
    track_allocations.unit = "allocations"


class Produce(_Counted):
    operation, params, param_names = "produce", [16 * KIB], ["bytes"]

    def time_produce(self, size):
        self.call()


class Pipelined(_Counted):
    operation, params, param_names = "pipelined", [20], ["requests"]

    def time_pipelined(self, requests):
        self.call()


class Fetch(_Counted):
    operation, params, param_names = "fetch", [16 * KIB, KIB * KIB], ["bytes"]

    def time_fetch(self, size):
        self.call()
