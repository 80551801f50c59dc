"""`fastlog log verify`: checks every batch, record and index entry under a folder."""

import argparse
import json
import sys
from pathlib import Path

from fastlog.console.errors import CommandError
from fastlog.console.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastlog log verify`."""
    parser.add_argument("folder", type=Path, help="a partition's folder, or one that holds several")
    parser.add_argument(
        "--allow-gaps",
        action="store_true",
        help="offsets may be missing, as compaction leaves them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")


def holds_segments(folder: Path) -> bool:
    """Whether a segment is there; a name alone (`dbus-1`) makes no partition."""
    try:
        return any(path.suffix == ".log" and path.stem.isdigit() for path in folder.iterdir())
    except OSError:
        return True  # let the check say what is wrong with it


def partition_folders(folder: Path) -> list[Path]:
    """The folder itself if it holds segments, else the partitions' folders in it. CommandError."""
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from None
    if holds_segments(folder):
        return [folder]
    from fastlog.logs.partition import parse_folder_name

    return [path for path in inside if path.is_dir() and parse_folder_name(path.name)]


def run(arguments) -> int:
    """Returns 1 when something was found, else 0."""
    from fastlog.logs.verification import Finding, PartitionCheck, Summary

    folders = partition_folders(arguments.folder)
    if not any(holds_segments(folder) for folder in folders):
        raise CommandError(f"{arguments.folder} holds no partition")
    warn_if_in_use(arguments.folder)
    summary = Summary()
    progress = Progress("checked", quiet=arguments.json)

    def watch(records: int, size: int) -> None:
        progress.records += records - 1  # `add` counts one more
        progress.add(size)

    for folder in folders:
        check = PartitionCheck(folder, summary, allow_gaps=arguments.allow_gaps, watch=watch)
        try:
            check.run()
        except OSError as error:
            path = Path(error.filename or folder)
            summary.findings.append(Finding(path, 0, error.strerror or str(error)))
    summary.findings += [
        Finding(path, 0, message) for path, message in checkpoint_findings(arguments.folder)
    ]
    progress.finish()
    tell(summary, arguments)
    return 1 if summary.findings else 0


def warn_if_in_use(folder: Path) -> None:
    """A broker that is at work changes the ends of the logs meanwhile."""
    from fastlog.logs.folder_lock import owner_of

    for candidate in (folder, folder.parent):
        in_use, pid = owner_of(candidate)
        if in_use:
            owner = "another process" if pid is None else f"process {pid}"
            print(
                f"fastlog: {candidate} is in use by {owner}: the ends of its logs may change",
                file=sys.stderr,
            )


def checkpoint_findings(folder: Path) -> list[tuple[Path, str]]:
    """What is wrong with the checkpoint files of a folder of logs; they may be absent."""
    from fastlog.logs import checkpoints

    found = []
    for name in (
        checkpoints.RECOVERY_POINTS,
        checkpoints.HIGH_WATERMARKS,
        checkpoints.LOG_START_OFFSETS,
    ):
        path = folder / name
        try:
            checkpoints.parse(path.read_bytes().decode("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            found.append((path, str(error)))
    return found


def tell(summary, arguments) -> None:
    """Prints the findings, then the summary."""
    figures = {
        name: getattr(summary, name)
        for name in ("partitions", "segments", "batches", "records", "bytes")
    }
    if arguments.json:
        for finding in summary.findings:
            place = {"file": str(finding.path), "position": finding.position}
            print(json.dumps({**place, "finding": finding.message}, ensure_ascii=False))
        print(json.dumps({**figures, "findings": len(summary.findings)}))
        return
    for finding in summary.findings:
        print(f"{finding.path}:{finding.position}: {finding.message}")
    verdict = f"{len(summary.findings)} findings" if summary.findings else "nothing is wrong"
    print(", ".join(f"{value:,} {name}" for name, value in figures.items()) + f": {verdict}")
