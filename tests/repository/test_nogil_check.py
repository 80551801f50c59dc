"""The check of generated C passes plain C, and fails on each way in which the GIL slips in."""

import subprocess
import sys

import pytest

from tests.tools import nogil_check

CLEAN = """\
# cython: language_level=3, cdivision=True
cdef struct Pair:
    int first
    int second

cdef inline int smaller(int a, int b) noexcept nogil:
    return a if a < b else b

cdef int halve(
    Pair *pair,
    int by,
) noexcept nogil:
    return smaller(pair.first, pair.second) // by

cdef class Handle:
    cdef int value

    cdef int twice(self) noexcept nogil:
        return halve(NULL, 2) + 2 * self.value

def edge(int value):
    cdef Pair pair
    pair.first = pair.second = value
    with nogil:
        value = halve(&pair, 2)
    return [value, Handle().twice()]
"""

PLANTED = {
    "division that may raise": ("cdivision=True", "cdivision=False", "halve"),
    "with gil": (
        "return smaller(pair.first, pair.second) // by",
        "with gil:\n        print(by)\n    return 0",
        "halve",
    ),
    "raise": (
        "return a if a < b else b",
        "with gil:\n        raise ValueError(a)\n    return 0",
        "smaller",
    ),
    "in a method": (
        "return halve(NULL, 2) + 2 * self.value",
        "with gil:\n            return len([self.value])",
        "twice",
    ),
}


def translate(folder, text):
    """Has Cython make C of `text`, as module `planted`. Returns what it said."""
    folder.mkdir(exist_ok=True)
    (folder / "planted.pyx").write_text(text)
    command = [sys.executable, "-m", "cython", "--module-name", "fastlog_ext.planted"]
    done = subprocess.run([*command, "planted.pyx"], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_plain_c_passes(tmp_path):
    translate(tmp_path, CLEAN)
    names = {function.name for function in nogil_check.nogil_functions(tmp_path / "planted.pyx")}
    assert names == {"smaller", "halve", "twice"}
    assert nogil_check.check_tree(tmp_path, tmp_path) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_violation_is_found(tmp_path, planted):
    old, new, function = PLANTED[planted]
    assert old in CLEAN
    translate(tmp_path, CLEAN.replace(old, new))
    problems = nogil_check.check_tree(tmp_path, tmp_path)
    assert len(problems) == 1
    assert f": {function} uses " in problems[0] and "PyGILState_Ensure" in problems[0]


def test_a_look_for_exceptions_is_found(tmp_path):
    raising = CLEAN.replace("int by,\n) noexcept nogil", "int by,\n) except? -1 nogil")
    translate(tmp_path, raising)
    problems = nogil_check.check_tree(tmp_path, tmp_path)
    assert any("twice uses" in problem for problem in problems)


def test_a_hint_of_cython_is_found(tmp_path):
    assert nogil_check.performance_hints(translate(tmp_path, CLEAN)) == []
    said = translate(tmp_path, CLEAN + "\ncdef void late(int a) except * nogil:\n    pass\n")
    hints = nogil_check.performance_hints(said)
    assert len(hints) == 1 and "'late' will always require the GIL" in hints[0]


def test_a_function_that_cannot_be_found_is_no_pass(tmp_path):
    translate(tmp_path, CLEAN)
    with open(tmp_path / "planted.pyx", "a") as source:
        source.write("\ncdef int later(int a) noexcept nogil:\n    return a\n")
    assert nogil_check.check_tree(tmp_path, tmp_path) == [
        "planted.pyx:28: later is not found in the generated C"
    ]
    (tmp_path / "planted.c").unlink()
    assert "planted.pyx: its C is not at" in nogil_check.check_tree(tmp_path, tmp_path)[0]
