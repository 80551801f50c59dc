"""How `./dev` speaks: one line a step on stderr, one line for a failure, the log of what failed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".dev"  # logs, stamps and the trees of other build variants


class Failure(Exception):
    """A step that did not work; the text is for the user, and names what to do."""


def say(text):
    """One line of progress."""
    print(f"dev: {text}", file=sys.stderr, flush=True)


def run_logged(what, command, *, environment=None, folder=None):
    """Runs `command` quietly. Returns its output; on failure its last lines go into the Failure."""
    WORK.mkdir(exist_ok=True)
    log = WORK / f"{what.replace(' ', '-')}.log"
    with open(log, "w+", encoding="utf-8", errors="replace") as output:
        try:
            code = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
            ).returncode
        except OSError as error:
            raise Failure(f"{what}: {command[0]}: {error.strerror}") from None
        output.seek(0)
        text = output.read()
    if code != 0:
        tail = "\n".join("    " + line for line in text.strip().splitlines()[-60:])
        raise Failure(f"{what} failed (exit code {code}; all of it in {log}):\n{tail}")
    return text
