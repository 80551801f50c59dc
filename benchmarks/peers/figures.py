"""What was measured: every value of every repetition, kept as JSON, and its medians as a table."""

import json
import statistics
from pathlib import Path

from benchmarks.peers.brokers import COLUMNS

LIMIT = "machine's limit"
ALL_COLUMNS = (LIMIT, *COLUMNS)
BEGIN, END = "<!-- ./dev bench peers writes from here -->", "<!-- to here -->"


class Figures:
    """Values by row, column and field."""

    def __init__(self, about: dict[str, object]) -> None:
        self.about = about
        self.values: dict[str, dict[str, dict[str, list[float]]]] = {}

    def add(self, row: str, column: str, measured: dict[str, float]) -> None:
        """One repetition of one row."""
        fields = self.values.setdefault(row, {}).setdefault(column, {})
        for name, value in measured.items():
            fields.setdefault(name, []).append(value)

    def median(self, row: str, column: str, name: str) -> float | None:
        """None where it was not measured."""
        found = self.values.get(row, {}).get(column, {}).get(name)
        return statistics.median(found) if found else None

    def save(self, path: Path) -> None:
        content = {"about": self.about, "values": self.values}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, *paths: Path) -> "Figures":
        """What runs wrote; of a row that several have, the last one's."""
        contents = [json.loads(path.read_text()) for path in paths]
        figures = cls(contents[0]["about"])
        for content in contents:
            figures.values.update(content["values"])
        return figures


def digits(value: float) -> str:
    """Three significant digits at most, none invented."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


# A section of the table: its title, what a cell says, and the rows (key, label).
Section = tuple[str, tuple[tuple[str, str], ...], list[tuple[str, str]]]

SECTIONS: list[Section] = [
    (
        "Produce, `acks=1`, 5 in flight: broker CPU s per GB · MB/s",
        (("cpu_s_per_gb", ""), ("mb_per_s", "")),
        [
            ("produce 1 MiB", "1 MiB"),
            ("produce 128 KiB", "128 KiB"),
            ("produce 64 KiB", "64 KiB"),
            ("produce 16 KiB", "16 KiB"),
            ("produce 16 KiB, 20 in flight", "16 KiB, 20 in flight"),
            ("produce 16 KiB, 100 connections", "16 KiB, 100 connections"),
            ("produce 6 x 64 KiB", "6 partitions of 64 KiB a request"),
            ("produce 6 x 16 KiB", "6 partitions of 16 KiB a request"),
        ],
    ),
    (
        "Consume, one fetch at a time: broker CPU s per GB · MB/s",
        (("cpu_s_per_gb", ""), ("mb_per_s", "")),
        [
            ("consume 1 MiB", "1 MiB"),
            ("consume 128 KiB", "128 KiB"),
            ("consume 16 KiB", "16 KiB"),
            ("consume 6 x 64 KiB", "6 partitions of 64 KiB a fetch"),
        ],
    ),
    (
        "100-byte records through librdkafka: broker CPU s per million · records/s",
        (("cpu_s_per_million", ""), ("records_per_s", "")),
        [("produce 100 B", "produce"), ("consume 100 B", "consume")],
    ),
    (
        "End to end through librdkafka: p50 · p99 · p99.9, ms",
        (("p50_ms", ""), ("p99_ms", ""), ("p999_ms", "")),
        [
            ("latency 1000/s linger 0", "1,000/s, `linger.ms=0`"),
            ("latency 10000/s linger 0", "10,000/s, `linger.ms=0`"),
            ("latency 1000/s linger 1", "1,000/s, `linger.ms=1`"),
            ("latency 10000/s linger 1", "10,000/s, `linger.ms=1`"),
        ],
    ),
    (
        "Start: seconds from exec to the first Metadata answer · CPU s",
        (("seconds", ""), ("cpu_s", "")),
        [("start", "an empty data folder")],
    ),
    (
        "The same with partitions: seconds until all of them serve · RSS",
        (("seconds", ""), ("rss_mb", " MB")),
        [("2,000 partitions", "2,000 partitions")],
    ),
    (
        "At rest",
        (("cpu_percent", " %"), ("rss_mb", " MB")),
        [
            ("idle", "idle: CPU of a core · RSS"),
            ("10,000 connections", "RSS with 10,000 idle connections"),
            ("after the loads", "RSS after these loads"),
        ],
    ),
    (
        "Reactors, 4 connections, 64 KiB: broker CPU s per GB · MB/s",
        (("cpu_s_per_gb", ""), ("mb_per_s", "")),
        [("1 reactor", "one reactor"), ("2 reactors", "two reactors")],
    ),
]


def cell(figures: Figures, row: str, column: str, fields: tuple[tuple[str, str], ...]) -> str:
    """The medians of a row's fields, or nothing."""
    found = [(figures.median(row, column, name), unit) for name, unit in fields]
    return " · ".join(digits(value) + unit for value, unit in found if value is not None)


def table(figures: Figures) -> str:
    """All sections as one Markdown table; rows that were not measured are left out."""
    lines = [f"| | {' | '.join(ALL_COLUMNS)} |", "|---|" + "---:|" * len(ALL_COLUMNS)]
    for title, fields, rows in SECTIONS:
        measured = [(key, label) for key, label in rows if key in figures.values]
        if measured:
            lines.append(f"| **{title}** |{' |' * len(ALL_COLUMNS)}")
        for key, label in measured:
            cells = [cell(figures, key, column, fields) for column in ALL_COLUMNS]
            if fields[0][0] == "cpu_s_per_gb":
                cells[1] = f"**{cells[1]}**" if cells[1] else ""
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def conditions(figures: Figures) -> str:
    """One paragraph: where and how."""
    about = figures.about
    return (
        f"Medians of {about['repetitions']} interleaved repetitions, {about['megabytes']} MB a load"
        f" in fresh files, page cache, uncompressed, {about['seconds']} s a latency run;\n"
        f"{about['machine']}; {about['date']}.\n"
    )


def put_between_markers(path: Path, text: str) -> None:
    """Replaces what stands between the markers in a document."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise SystemExit(f"{path}: the markers '{BEGIN}' and '{END}' are not there")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
