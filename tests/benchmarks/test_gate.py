"""The gate passes what is as it was, and names what got worse: one planted copy is enough."""

import json
import re

import pytest

from benchmarks import gate
from tests.tools.planted import planted_tree, run_in
from tests.tools.report import ROOT

COUNTER = "append.Append.track_instructions(16384)"
# An extra copy of each batch: the place is the one through which every appended batch goes.
STAMP = re.compile(r"^cdef void batch_stamp\([^)]*\) noexcept nogil:\n", re.MULTILINE)
PLANTED = """\
    memcpy(planted, data, 12 + get32(data + 8))
    data[0] = planted[0]
"""
DECLARED = """\
from libc.string cimport memcpy
cdef uint8_t planted[4194304]

"""


def run_gate(tree, *arguments):
    """(exit code, standard output, standard error) of the gate of a tree."""
    done = run_in(tree, "-m", "benchmarks", "gate", *arguments)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def slower_tree(tmp_path_factory):
    """A copy of the project in which each appended batch is copied once more."""

    def plant(source):
        return STAMP.sub(lambda found: DECLARED + found[0] + PLANTED, source)

    return planted_tree(tmp_path_factory.mktemp("slower"), {"batch": plant}, "benchmarks")


def test_a_planted_copy_trips_the_gate(slower_tree, tmp_path):
    chosen = ["--only", COUNTER, "--baseline", tmp_path / "baseline.json"]
    assert run_gate(ROOT, *chosen, "--update")[0] == 0
    old = json.loads((tmp_path / "baseline.json").read_text())["counters"][COUNTER]
    code, said, wrong = run_gate(ROOT, *chosen)
    assert code == 0, said + wrong
    code, said, wrong = run_gate(slower_tree, *chosen)
    assert code == 1, said + wrong
    found = re.search(rf"{re.escape(COUNTER)}: was ([\d,.]+), is ([\d,.]+) instructions", wrong)
    assert found, wrong
    before, after = (float(text.replace(",", "")) for text in found.groups())
    assert before == pytest.approx(old, rel=1e-4) and after > old * 1.03


class Suite:
    SMALL = {}
    value = 100.0

    def setup(self):
        pass

    teardown = setup

    def track_calls(self):
        return self.value

    def track_instructions(self):
        return self.value


@pytest.fixture
def judged(monkeypatch, tmp_path, capsys):
    """judged(value): exit code and errors of the gate over two counters of that value."""
    units = {"track_calls": "system calls", "track_instructions": "instructions"}
    found = [
        gate.Counter(f"made.{method}()", unit, Suite, method, ()) for method, unit in units.items()
    ]
    monkeypatch.setattr(gate, "counters", lambda: iter(found))
    path = tmp_path / "baseline.json"

    def judge(value, *arguments):
        monkeypatch.setattr(Suite, "value", value)
        code = gate.main(["--baseline", str(path), *arguments])
        return code, capsys.readouterr()

    judge.path = path
    assert judge(100.0, "--update")[0] == 0
    return judge


def test_tolerances(judged):
    assert judged(103.0)[0] == 0
    code, said = judged(104.0)
    assert code == 1
    assert said.err.splitlines() == [
        "gate: made.track_instructions(): was 100, is 104 instructions (+4.0%; at most 103)"
    ]
    assert len(judged(106.0)[1].err.splitlines()) == 2
    assert "less than the 100 of the baseline" in judged(90.0)[1].out


def test_what_was_and_what_is_stand_side_by_side(judged):
    code, said = judged(102.0, "--only", "track_calls")
    head, row, verdict = said.out.splitlines()
    assert code == 0 and head.split() == ["counter", "baseline", "now"]
    assert row.split() == ["made.track_calls()", "100", "102", "system", "calls"]
    assert verdict == "gate: 1 counters, none is worse than the baseline"
    assert judged(106.0)[1].out.splitlines()[-1] == "gate: 2 counters, 2 problems"


@pytest.mark.parametrize("meant", ["made.track_cals", "Call", "instructoins"])
def test_a_name_that_is_none(judged, meant):
    before = judged.path.read_text()
    for update in ([], ["--update"]):
        code, said = judged(100.0, "--only", meant, *update)
        near = "made.track_instructions()" if "inst" in meant else "made.track_calls()"
        assert code == 1 and said.out == ""
        assert said.err == f"gate: no counter's name contains '{meant}'; the nearest is {near}\n"
    assert judged.path.read_text() == before


def test_other_tools_judge_only_what_does_not_depend_on_them(judged):
    content = json.loads(judged.path.read_text())
    content["environment"]["compiler"] = "another"
    judged.path.write_text(json.dumps(content))
    assert judged(104.0)[0] == 0
    code, said = judged(106.0)
    assert code == 1 and "instructions and modules are not judged" in said.out
    assert said.err.count("gate: ") == 1 and "made.track_calls()" in said.err


def test_the_baseline_names_every_counter(judged):
    content = json.loads(judged.path.read_text())
    content["counters"]["gone.track_calls()"] = content["counters"].pop("made.track_calls()")
    judged.path.write_text(json.dumps(content))
    code, said = judged(100.0)
    assert code == 1
    assert "gate: made.track_calls(): is not in the baseline" in said.err
    assert "gate: gone.track_calls(): in the baseline, but no suite has it" in said.err
    assert judged(100.0, "--update")[0] == 0 and judged(100.0)[0] == 0


def test_the_committed_baseline_is_whole():
    known = json.loads(gate.BASELINE.read_text())
    assert set(known["counters"]) == {counter.name for counter in gate.counters()}
    assert set(known["environment"]) == set(gate.environment())
