"""The project's law for its own files, enforced rather than remembered."""

import ast
import re

import pytest

from tests.tools.source_tree import ROOT, read, text_files, with_suffix

LINE_COLUMNS_MAX = 100
DOCUMENT_COLUMNS_MAX = 160  # prose and commands; a table's row cannot be broken
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 600
CODE = (".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".java")

# Written in pieces, so that this file does not break the law it enforces.
UNFINISHED = re.compile("|".join(["FIX" + "ME", "XX" + "X", r"\bTO" + r"DO\b"]))
# A path or a host that exists on one machine only, or that a user's network may not reach.
MACHINE = re.compile(
    "|".join(
        [
            "/ro" + r"ot/(?!project\b)",
            "/ho" + r"me/\w+",
            "/wo" + "rk/",
            r"pypi\." + "org",
            r"repo1?\.mav" + "en",
            r"maven\." + "org",
            r"archive\.ap" + "ache",
            r"deb\.deb" + "ian",
            r"archive\.ubu" + "ntu",
        ]
    )
)


def lines_matching(pattern, paths):
    """'file:line: text' for each line of `paths` in which `pattern` is found."""
    return [
        f"{path}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(read(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_unfinished():
    assert lines_matching(UNFINISHED, text_files()) == []


def test_no_file_names_a_machine_or_a_registry():
    assert lines_matching(MACHINE, text_files()) == []


@pytest.mark.parametrize(
    "suffixes, columns", [(CODE, LINE_COLUMNS_MAX), ((".md",), DOCUMENT_COLUMNS_MAX)]
)
def test_lines_are_short(suffixes, columns):
    too_long = re.compile(f"^(?!\\|).{{{columns + 1}}}")
    assert lines_matching(too_long, with_suffix(*suffixes)) == []


def test_lines_end_cleanly():
    assert lines_matching(re.compile(r"[ \t\r]$"), with_suffix(*CODE, ".md", ".toml")) == []
    ragged = [str(path) for path in text_files() if read(path) and not read(path).endswith("\n")]
    assert ragged == []


def test_modules_are_small():
    long = {
        str(path): count
        for path in with_suffix(*CODE)
        if (count := read(path).count("\n")) > MODULE_LINES_MAX
    }
    assert long == {}


def test_functions_are_short():
    long = {}
    for path in with_suffix(".py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = node.end_lineno - node.lineno + 1
                if count > FUNCTION_LINES_MAX:
                    long[f"{path}:{node.lineno} {node.name}"] = count
    assert long == {}


def test_cython_functions_are_short():
    long = {}
    for path in with_suffix(".pyx"):
        for name, count in cython_functions(read(path)):
            if count > FUNCTION_LINES_MAX:
                long[f"{path} {name}"] = count
    assert long == {}


def cython_functions(text):
    """(name, lines) of each function of a Cython source, told by indentation."""
    head = re.compile(r"^( *)(?:async )?(?:c?p?def) (?!class\b|extern\b|struct\b)[^=#]*?(\w+)\s*\(")
    lines = text.splitlines()
    for start, line in enumerate(lines):
        match = head.match(line)
        if match is None:
            continue
        indent, end, depth = len(match[1]), start, 0
        for number in range(start, len(lines)):
            body = lines[number]
            outside = body.strip() and len(body) - len(body.lstrip()) <= indent
            if number > start and outside and depth <= 0 and not body.strip().startswith(")"):
                break
            depth += body.count("(") - body.count(")")
            end = number if body.strip() else end
        yield match[2], end - start + 1


def test_each_document_has_one_title():
    wrong = {}
    for path in with_suffix(".md"):
        prose = re.sub(r"^```.*?^```", "", read(path), flags=re.MULTILINE | re.DOTALL)
        titles = re.findall(r"^# .+$", prose, re.MULTILINE)
        if len(titles) != 1 or not prose.lstrip().startswith("# "):
            wrong[str(path)] = titles
    assert wrong == {}


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in with_suffix(".md"):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(path)):
            if not re.match(r"[a-z]+:", target) and not (ROOT / path.parent / target).exists():
                broken.append(f"{path}: {target}")
    assert broken == []


def test_modules_say_what_they_are_for():
    silent = []
    for path in with_suffix(".py"):
        shipped = path.parts[0] in ("fastlog", "cluster_tools") and read(path).strip()
        if shipped and ast.get_docstring(ast.parse(read(path))) is None:
            silent.append(str(path))
    assert silent == []
