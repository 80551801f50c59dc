"""Looks into the files of a log folder or of one partition; no broker is needed.

fastlog log dump DIR_OR_FILE      prints batches, records, indexes, snapshots and checkpoints
fastlog log verify DIR            checks CRCs, offsets and indexes; exit code 1 on a finding
"""

import argparse
import importlib

VERBS = {
    "dump": ("fastlog.console.log_dump", "prints what a file or folder holds"),
    "verify": ("fastlog.console.log_verify", "checks every batch and index entry"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog log`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))
    for name, (module, summary) in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        importlib.import_module(module).add_arguments(sub)


def run(arguments) -> int:
    """Runs the verb that was asked for."""
    return importlib.import_module(VERBS[arguments.verb][0]).run(arguments)
