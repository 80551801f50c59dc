"""What most suites share: an operation to be timed and to be counted."""

from . import counted


class _Subject:  # the underscore hides it from asv
    """An operation of `module`, named `operation`, for each of `params`."""

    operation = ""
    SMALL: dict[str, object] = {}
    count = 100  # calls between the marks

    def setup(self, *arguments: int) -> None:
        module = type(self).__module__.rpartition(".")[2]
        self.call, self.steps = counted.operation(module, self.operation, *arguments)

    def teardown(self, *arguments: int) -> None:
        counted.finish(self.steps)

    def instructions(self, *arguments: int) -> float:
        from . import counting

        module = type(self).__module__.rpartition(".")[2]
        return counting.instructions(module, self.operation, *arguments, count=self.count)
