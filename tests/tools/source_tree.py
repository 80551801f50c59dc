"""The project's own files, found without git so that an unpacked archive will do."""

from pathlib import Path

from tests.tools.report import ROOT

FOLDERS = ["fastlog", "fastlog_ext", "cluster_tools", "benchmarks", "tests", "docs", ".ci"]
MADE = {"__pycache__", "build", "dist"}  # folders that tools leave behind
TEXT = {
    "",
    ".py",
    ".pyi",
    ".pyx",
    ".pxd",
    ".c",
    ".h",
    ".java",
    ".md",
    ".toml",
    ".yml",
    ".in",
    ".sh",
    ".typed",
}


def text_files() -> list[Path]:
    """Every text file of the project, as paths relative to its root."""
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = (path.relative_to(ROOT) for path in paths if path.suffix in TEXT)
    return sorted(path for path in found if not MADE & set(path.parts) and path.name != ".git")


def with_suffix(*suffixes: str) -> list[Path]:
    """The text files that end in one of `suffixes`."""
    return [path for path in text_files() if path.suffix in suffixes]


def read(path: Path) -> str:
    """The text of a file that `text_files` named."""
    return (ROOT / path).read_text(encoding="utf-8")
