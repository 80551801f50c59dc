"""Each fuzzer finds a mistake of its kind in what it fuzzes.

One build has them all; the finding names the function that each lies in, or what came of it.
"""

import pytest

from tests.tools import sanitizing
from tests.tools.planted import instead, planted_tree, run_in

INPUTS = 400_000  # of a native target: a few seconds
SECONDS = 40  # most end far sooner

NATIVE = ("loop", "requests", "batches", "indexes", "checkpoints")
SANITIZED = {"FASTLOG_SANITIZE": "address,undefined", "FASTLOG_FUZZ": "1"}


def without_bound_of_records(source: str) -> str:
    """The length of old versions' records is believed."""
    source = source.replace(
        "    size = read_length(cursor, request.head.flexible)\n    if size >= 0:",
        "    size = (read_length(cursor, 1) if request.head.flexible else cursor_get32(cursor))\n"
        "    if size >= 0:",
    )
    return source.replace(
        "<uint8_t *>cursor_take(cursor, size)\n",
        "<uint8_t *>cursor.at\n        cursor.at += size\n",
    )


def forgetting_in_batches(source: str) -> str:
    """A batch may be longer than its bytes by the prefix; and an append looks at no checksum."""
    source = source.replace("or length > size - BATCH_SIZE_PREFIX", "or length > size")
    return source.replace("    if not batch_crc_ok(data, info):\n", "    if info.crc == 0:\n")


CHANGES = {
    "produce_request": without_bound_of_records,
    "batch": forgetting_in_batches,
    "log_read": instead("or start > limit or start < 0:", "or start > limit:"),
    "leader_epochs": instead(
        "or epochs.entries[count - 1].start_offset >= start_offset", "or start_offset < 0"
    ),
    "codecs": instead("out + size, capacity - size)", "out + size, capacity)"),
    "replay": instead("return 1 if batch_crc_ok(data, info) else 0", "return 1"),
}

FINDINGS = {
    "requests": "records outside of the frame",
    "batches": "AddressSanitizer: heap-buffer-overflow",
    "indexes": "an offset that is there is not found",
    "checkpoints": "epochs that do not ascend",
    "records": "AddressSanitizer: heap-buffer-overflow",
    "codecs": "AddressSanitizer: heap-buffer-overflow",
    "appends": "checksum_matches",
    "recoveries": "fuzz: a finding",
}


@pytest.fixture(scope="module")
def mistaken_tree(tmp_path_factory):
    """A copy of the project with the mistakes, where they lie and the fuzzers sanitized."""
    tree = tmp_path_factory.mktemp("mistaken")
    return planted_tree(tree, CHANGES, "tests", also=NATIVE, **SANITIZED)


@pytest.mark.parametrize("target", FINDINGS)
def test_a_planted_mistake_is_found(target, mistaken_tree):
    command = ["-m", "tests.fuzz", "--only", target, "--seed", "1"]
    command += ["--inputs", INPUTS, "--seconds", SECONDS]
    done = run_in(mistaken_tree, *command, **sanitizing.variables("fuzz"))
    assert done.returncode != 0, done.stdout
    assert FINDINGS[target] in done.stderr, done.stdout + done.stderr
