"""Mistakes in the list of those who wait: ThreadSanitizer and a debug build find theirs."""

import re
import signal

from tests.tools import sanitizing
from tests.tools.planted import instead, planted_tree, run_in

FUNCTION = re.compile(r"^cdef int waiters_add\(.*?(?=^cdef )", re.MULTILINE | re.DOTALL)
LOCKING = re.compile(r"^ +pthread_mutex_\w+\(&waiters.lock\)\n", re.MULTILINE)


def without_lock(source: str) -> str:
    """A waiter is put into its list without the list's lock."""
    return FUNCTION.sub(lambda found: LOCKING.sub("", found[0]), source)


def test_a_planted_race_is_found(tmp_path):
    tree = planted_tree(
        tmp_path / "tree", {"waiters": without_lock}, "tests", FASTLOG_SANITIZE="thread"
    )
    settings = sanitizing.variables("thread")
    command = ["-m", "tests.planted.waiting", tmp_path]
    done = run_in(tree, *command, before=sanitizing.before("thread"), **settings)
    assert "WARNING: ThreadSanitizer: data race" in done.stderr, done.stdout + done.stderr
    assert re.search(r"#0 \w+waiters_add ", done.stderr), done.stderr
    assert done.returncode == 66


def test_a_planted_wrong_count_is_found(tmp_path):
    """Each that leaves the list is counted twice."""
    change = instead("add32(&waiters.count, -1)", "add32(&waiters.count, -2)")
    tree = planted_tree(tmp_path / "tree", {"waiters": change}, "tests", FASTLOG_DEBUG="1")
    done = run_in(tree, "-m", "tests.planted.waiting", tmp_path)
    assert done.returncode == -signal.SIGABRT, done.stdout + done.stderr
    assert "a waiter left twice" in done.stderr
