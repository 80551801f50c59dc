"""The `fastlog` command.

Each noun is a module with `SUMMARY`, `add_arguments(parser)` and `run(arguments) -> int`; only the
module of the command that was asked for is imported, so that `fastlog serve` starts quickly.
"""

import argparse
import gc
import importlib
import os
import signal
import sys
import types

from fastlog import __version__
from fastlog.console.errors import CommandError

COMMANDS = {
    "serve": ("fastlog.console.serve", "run a broker"),
    "topic": ("fastlog.console.topic", "create, list, describe, trim and delete topics"),
    "produce": ("fastlog.console.produce", "send records from stdin or files"),
    "consume": ("fastlog.console.consume", "print records to stdout"),
    "log": ("fastlog.console.log", "look into a broker's files: dump, verify"),
}


def usage() -> str:
    """The text of `fastlog --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fastlog COMMAND [options]     (fastlog COMMAND --help tells the options)",
            "",
            "A log storage engine and a broker that speaks the Kafka protocol.",
            "",
            *lines,
            "",
            "  --version  print the version",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0 done, 1 failed, 2 wrong usage."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"fastlog {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        print(f"fastlog: there is no command '{argv[0]}'; {nearest(argv[0])}", file=sys.stderr)
        return 2
    module = imported(COMMANDS[argv[0]][0])
    parser = argparse.ArgumentParser(
        prog=f"fastlog {argv[0]}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    # Options may stand between a command's arguments, but argparse does not allow it with verbs.
    verbs = any(action.nargs == argparse.PARSER for action in parser._actions)
    parse = parser.parse_args if verbs else parser.parse_intermixed_args
    return run(module, parse(argv[1:]))


def imported(name: str) -> types.ModuleType:
    """The module, with all that it imports put out of the garbage collector's sight for good.

    None of it is garbage; looking for some meanwhile takes a tenth of a broker's start.
    """
    gc.disable()
    module = importlib.import_module(name)
    gc.freeze()
    gc.enable()
    return module


def nearest(name: str) -> str:
    """What to say after an unknown command."""
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(COMMANDS)}"


def run(module, arguments) -> int:
    """Runs a command's module; a failure is one line on stderr."""
    try:
        return module.run(arguments)
    except CommandError as error:
        print(f"fastlog: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our stdout went away (`| head`): no error, and nothing more to flush there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # What the command itself did not foresee; above all a full disk under our stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = f"{error.filename}: " if error.filename else ""
        print(f"fastlog: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
