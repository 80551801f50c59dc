"""Who may import whom, where import-linter cannot look: Cython sources and the operator's tools."""

import ast
import re

import pytest

from tests.tools.source_tree import read, with_suffix

IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)
OURS = ("fastlog", "cluster_tools", "benchmarks", "tests")
TOOLS_SEE = (
    "cluster_tools",
    "fastlog_ext",
    "fastlog.protocol",
    "fastlog.coordination",
    "fastlog.config",
)


def imported(path):
    """The modules that a Python file imports, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def below(name, packages):
    """Whether a dotted name lies in one of the packages."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def data_plane_imports():
    """(file, module) for each import of fastlog_ext."""
    for path in with_suffix(".pyx", ".pxd", ".py", ".pyi"):
        if path.parts[0] == "fastlog_ext":
            for match in IMPORT.finditer(read(path)):
                yield str(path), match[1] or match[2]


def test_the_data_plane_imports_nothing_of_ours():
    assert [found for found in data_plane_imports() if below(found[1], OURS)] == []


def test_the_data_plane_includes_no_text():
    included = re.compile(r"^\s*include\s+[\"']", re.MULTILINE)
    assert [str(path) for path in with_suffix(".pyx", ".pxd") if included.search(read(path))] == []


def test_the_data_plane_has_no_cycle():
    edges = {}
    for path, module in data_plane_imports():
        name = path.split("/")[1].split(".")[0]
        if module.startswith("fastlog_ext."):
            edges.setdefault(name, set()).add(module.split(".")[1])
    state = {}

    def visit(name, trail):
        if state.get(name) == "done":
            return
        assert name not in trail, f"cycle: {' > '.join([*trail[trail.index(name) :], name])}"
        for other in sorted(edges.get(name, set()) - {name}):
            visit(other, [*trail, name])
        state[name] = "done"

    for name in sorted(edges):
        visit(name, [])


def test_every_cython_module_declares_its_interface():
    pyx = {path.stem: path for path in with_suffix(".pyx") if path.parts[0] != "tests"}
    stubs = {path.stem for path in with_suffix(".pyi")}
    python_edge = re.compile(r"^(?:def |    def |cdef class |class )", re.MULTILINE)
    missing = [
        name for name, path in pyx.items() if python_edge.search(read(path)) and name not in stubs
    ]
    assert missing == [], "a module with something for Python has a .pyi beside it"


def test_the_tools_see_only_public_sides():
    wrong = []
    for path in with_suffix(".py"):
        if path.parts[0] == "cluster_tools":
            wrong += [
                f"{path}: {name}"
                for name in imported(path)
                if below(name, OURS) and not below(name, TOOLS_SEE)
            ]
    assert wrong == []


@pytest.mark.parametrize("library, owner", [("kazoo", "fastlog/coordination/zookeeper.py")])
def test_one_module_owns_each_client_library(library, owner):
    users = [
        str(path)
        for path in with_suffix(".py")
        if path.parts[0] in ("fastlog", "cluster_tools")
        and any(below(n, [library]) for n in imported(path))
    ]
    assert set(users) <= {owner}


def test_the_wall_around_tests():
    wrong = [
        f"{path}: {name}"
        for path in with_suffix(".py")
        if path.parts[0] in ("fastlog", "cluster_tools")
        for name in imported(path)
        if below(name, ["tests", "benchmarks"])
    ]
    assert wrong == []
