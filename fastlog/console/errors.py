"""What a command says when it cannot do what it was asked."""


class CommandError(Exception):
    """A failure that the user can act on: printed as one line, exit code 1."""
