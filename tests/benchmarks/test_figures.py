"""What the comparison writes: medians, the table, the bounds, the picture, the documents."""

import argparse
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.peers import compare, goals, picture
from benchmarks.peers.brokers import COLUMNS
from benchmarks.peers.figures import (
    BEGIN,
    END,
    LIMIT,
    SECTIONS,
    Figures,
    conditions,
    digits,
    put_between_markers,
    table,
)

ABOUT = {"repetitions": 3, "megabytes": 1, "seconds": 1, "machine": "a machine", "date": "today"}


@pytest.fixture
def figures():
    """Every row on every column, each value 1, 2 and 30 times the column's number."""
    made = Figures(ABOUT)
    for _, fields, rows in SECTIONS:
        for row, _ in rows:
            for number, column in enumerate((LIMIT, *COLUMNS), 1):
                for factor in (30, 1, 2):
                    made.add(row, column, {name: number * factor for name, _ in fields})
    return made


def test_medians(figures):
    assert figures.median("produce 1 MiB", "fastlog", "cpu_s_per_gb") == 4
    assert figures.median("produce 1 MiB", "fastlog", "nothing") is None
    assert figures.median("nothing", "fastlog", "cpu_s_per_gb") is None


def test_values_survive_a_file(figures, tmp_path):
    figures.save(tmp_path / "figures.json")
    again = Figures.load(tmp_path / "figures.json")
    assert again.values == figures.values
    assert table(again) == table(figures)


def test_runs_of_some_rows_make_one_table(figures, tmp_path):
    for row in ("start", "idle"):
        part = Figures(ABOUT)
        part.values = {row: figures.values[row]}
        part.save(tmp_path / f"{row}.json")
    both = Figures.load(tmp_path / "start.json", tmp_path / "idle.json")
    assert set(both.values) == {"start", "idle"} and both.about == ABOUT


def test_the_table_has_what_was_measured(figures):
    text = table(figures)
    columns = {line.count("|") for line in text.splitlines()}
    assert columns == {len([LIMIT, *COLUMNS]) + 2}
    for _, _, rows in SECTIONS:
        for _, label in rows:
            assert f"| {label} |" in text
    few = Figures(ABOUT)
    few.add("start", "fastlog", {"seconds": 0.123, "cpu_s": 12.34})
    assert "| an empty data folder |  | 0.12 · 12.3 |  |  |" in table(few)
    assert "Produce" not in table(few)
    assert "a machine" in conditions(few)


def test_digits():
    assert [digits(value) for value in (0.123, 9.876, 45.67, 1234.5)] == [
        "0.12",
        "9.88",
        "45.7",
        "1,234",
    ]


def test_each_bound_can_be_met_and_missed(figures):
    for goal in goals.GOALS:
        assert goal.value(figures) is not None, f"{goal.label}: reads a row that there is not"
        beyond = goal.bound * (0.99 if goal.at_least else 1.01)
        assert goal.met(goal.bound) and not goal.met(beyond)
    text = goals.table(figures)
    assert text.count("met |") + text.count("**missed** |") == len(goals.GOALS)
    assert goals.table(Figures(ABOUT)).count("\n") == 2


def test_a_bound_beside_kafka_takes_the_better_one():
    found = Figures(ABOUT)
    for column, value in zip(COLUMNS, (3, 4, 2), strict=True):
        found.add("latency 1000/s linger 0", column, {"p99_ms": value})
    assert goals.over_kafka("latency 1000/s linger 0", "p99_ms")(found) == 1.5


def test_the_picture_is_whole(figures):
    root = ElementTree.fromstring(picture.draw(figures))
    _, _, width, height = map(float, root.get("viewBox").split())
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Produce", "Consume", "End to end", "Start", "Memory", *COLUMNS} <= set(said)
    for element in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(element.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(element.get(name, 0)) <= height
    colours = picture.style()
    assert "prefers-color-scheme: dark" in colours and "#ffffff" in colours


def test_a_picture_of_little(figures):
    few = Figures(ABOUT)
    few.add("idle", "fastlog", {"rss_mb": 30})
    ElementTree.fromstring(picture.draw(few))
    ElementTree.fromstring(picture.draw(Figures(ABOUT)))


def test_documents_keep_what_stands_around_the_markers(tmp_path):
    path = tmp_path / "document.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_between_markers(path, "new\n")
    put_between_markers(path, "newer\n")
    assert path.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    path.write_text("no markers\n")
    with pytest.raises(SystemExit, match="markers"):
        put_between_markers(path, "text")


def test_publishing(figures, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/performance.md"):
        (tmp_path / name).write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    monkeypatch.setattr(compare, "PICTURE", tmp_path / "docs" / "performance.svg")
    figures.save(tmp_path / "values.json")
    assert compare.main(["--from", str(tmp_path / "values.json"), "--publish"]) == 0
    readme = (tmp_path / "README.md").read_text()
    assert "](docs/performance.svg)" in readme and table(figures) in readme
    assert goals.table(figures) in (tmp_path / "docs" / "performance.md").read_text()
    assert (tmp_path / "docs" / "performance.svg").read_text() == picture.draw(figures)


def test_our_documents_have_the_markers():
    for path in (compare.ROOT / "README.md", compare.ROOT / "docs" / "performance.md"):
        assert path.read_text().count(BEGIN) == path.read_text().count(END) == 1


def test_rows_are_chosen_by_name():
    assert compare.names("produce,rest", compare.ROWS) == ["produce", "rest"]
    assert compare.names("3.9,fastlog", COLUMNS) == list(COLUMNS[:2])
    with pytest.raises(argparse.ArgumentTypeError, match="'nothing' is none of produce"):
        compare.names("nothing", compare.ROWS)
    produce = compare.selected_loads({"produce"})
    assert produce and not any(load.fetched for load in produce)
    assert all(load.fetched for load in compare.selected_loads({"consume"}))
    assert {load.group for load in compare.selected_loads({"latency"})} == {"latency"}
