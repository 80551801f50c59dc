"""The figures as one SVG, by hand: readable on a light and on a dark page, no library needed."""

import math
from html import escape

from benchmarks.peers.brokers import COLUMNS
from benchmarks.peers.figures import LIMIT, Figures, digits

WIDTH, MARGIN, GUTTER = 900, 28, 36
HALF = (WIDTH - 2 * MARGIN - GUTTER) / 2
BAR, BAR_GAP, GROUP_GAP = 11, 3, 14
LABEL = 92  # room left of the bars
VALUE = 44  # room right of them
# name: (light, dark)
COLOURS = {
    "page": ("#ffffff", "#0d1117"),
    "edge": ("#d8dee4", "#30363d"),
    "text": ("#1f2328", "#e6edf3"),
    "soft": ("#59636e", "#9198a1"),
    "grid": ("#e4e8ec", "#21262d"),
    "0": ("#0e8f7e", "#2fc4ad"),
    "1": ("#b9691c", "#e0924a"),
    "2": ("#6e62b6", "#a195ec"),
}
FONT = 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif'

Rows = list[tuple[str, str, str]]  # label, row, field

CPU = "cpu_s_per_gb"
PRODUCE: Rows = [(size, f"produce {size}", CPU) for size in ("1 MiB", "128 KiB", "16 KiB")]
CONSUME: Rows = [(size, f"consume {size}", CPU) for size in ("1 MiB", "128 KiB", "16 KiB")]
MEMORY: Rows = [
    ("idle", "idle", "rss_mb"),
    ("connections", "10,000 connections", "rss_mb"),
    ("partitions", "2,000 partitions", "rss_mb"),
    ("after load", "after the loads", "rss_mb"),
]
START: Rows = [("empty", "start", "seconds"), ("partitions", "2,000 partitions", "seconds")]
RECORDS: Rows = [(mode, f"{mode} 100 B", "cpu_s_per_million") for mode in ("produce", "consume")]
LATENCY = [
    (f"{rate:,}/s, linger {linger}", f"latency {rate}/s linger {linger}")
    for linger in (0, 1)
    for rate in (1000, 10_000)
]
QUANTILES = ("p50_ms", "p99_ms", "p999_ms")


def style() -> str:
    """Plain rules, twice: not every viewer knows CSS variables."""

    def rules(mode: int) -> str:
        of = {name: pair[mode] for name, pair in COLOURS.items()}
        brokers = [f".c{n} {{ fill: {of[n]} }} .s{n} {{ stroke: {of[n]} }}" for n in "012"]
        return (
            f"text {{ fill: {of['text']} }} .soft {{ fill: {of['soft']} }}"
            f" .page {{ fill: {of['page']}; stroke: {of['edge']} }}"
            f" .grid {{ stroke: {of['grid']} }} .limit {{ stroke: {of['text']} }} "
            + " ".join(brokers)
        )

    return (
        f"<style>text {{ font: 12px {FONT} }} .title {{ font-size: 14px; font-weight: 600 }}"
        " .soft { font-size: 11px } .right { text-anchor: end } .middle { text-anchor: middle }"
        f" .limit {{ stroke-width: 2 }} {rules(0)}"
        f" @media (prefers-color-scheme: dark) {{ {rules(1)} }}</style>"
    )


def text(x: float, y: float, content: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


class Panel:
    """A part of the picture; `y` goes down while it is drawn."""

    def __init__(self, left: float, top: float, title: str, note: str) -> None:
        self.left, self.y = left, top
        self.parts = [text(left, top, title, "title"), text(left, top + 17, note, "soft")]
        self.y += 34

    def bars(self, figures: Figures, rows: Rows) -> None:
        """For each row a bar a broker, and a mark where the machine's limit is."""
        shown = [[figures.median(row, c, name) for c in (*COLUMNS, LIMIT)] for _, row, name in rows]
        most = max((value for values in shown for value in values if value is not None), default=1)
        scale = (HALF - LABEL - VALUE) / most
        start = self.left + LABEL
        for (label, _, _), values in zip(rows, shown, strict=True):
            middle = self.y + 1.5 * (BAR + BAR_GAP) + 2
            self.parts.append(text(start - 10, middle, label, "right"))
            top = self.y
            for number, value in enumerate(values[:-1]):
                if value is not None:
                    self.bar(start, value * scale, number, digits(value))
                self.y += BAR + BAR_GAP
            if values[-1] is not None:
                x = start + values[-1] * scale
                self.parts.append(line(x, top - 2, x, self.y - BAR_GAP + 2, "limit"))
            self.y += GROUP_GAP

    def bar(self, x: float, width: float, number: int, value: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{self.y:.1f}" width="{max(width, 1):.1f}" height="{BAR}" rx="2"'
            f' class="c{number}"/>'
        )
        self.parts.append(text(x + width + 6, self.y + BAR - 1.5, value, "soft"))

    def ranges(self, figures: Figures, rows: list[tuple[str, str]], width: float) -> None:
        """For each row and broker a line from p50 over p99 to p99.9, on a logarithmic scale."""
        found = [
            value
            for _, row in rows
            for column in COLUMNS
            for name in QUANTILES
            if (value := figures.median(row, column, name)) is not None
        ]
        low = math.floor(math.log10(min(found, default=0.1)))
        high = math.ceil(math.log10(max(found, default=10)) + 0.01)
        start = self.left + LABEL + 40
        step = (width - LABEL - 40 - 12) / (high - low)

        def place(value: float) -> float:
            return start + (math.log10(value) - low) * step

        bottom = self.y + len(rows) * (3 * 11 + 10)
        for power in range(low, high + 1):
            x = start + (power - low) * step
            self.parts.append(line(x, self.y - 6, x, bottom, "grid"))
            self.parts.append(text(x, bottom + 14, f"{10.0**power:g} ms", "soft middle"))
        for label, row in rows:
            self.parts.append(text(start - 10, self.y + 15, label, "right"))
            for number, column in enumerate(COLUMNS):
                values = [figures.median(row, column, name) for name in QUANTILES]
                self.range([place(value) for value in values if value], number)
                self.y += 11
            self.y += 10
        self.y = bottom + 24

    def range(self, places: list[float], number: int) -> None:
        """Three points of falling weight on one line."""
        if places:
            self.parts.append(line(places[0], self.y, places[-1], self.y, f"s{number}"))
        for x, radius in zip(places, (4.5, 3.5, 2.5), strict=False):
            self.parts.append(
                f'<circle cx="{x:.1f}" cy="{self.y:.1f}" r="{radius}" class="c{number}"/>'
            )


def legend(y: float) -> list[str]:
    """A square for each broker, a stroke for the limit."""
    parts, x = [], float(MARGIN)
    for number, column in enumerate(COLUMNS):
        parts.append(
            f'<rect x="{x}" y="{y - 10}" width="11" height="11" rx="2" class="c{number}"/>'
        )
        parts.append(text(x + 17, y, column))
        x += 40 + 7 * len(column)
    parts.append(line(x + 4, y - 12, x + 4, y + 3, "limit"))
    parts.append(text(x + 13, y, f"{LIMIT}: receive, CRC and write; sendfile"))
    return parts


def draw(figures: Figures) -> str:
    """The whole picture."""
    right = MARGIN + HALF + GUTTER
    produce = Panel(
        MARGIN, 72, "Produce", "broker CPU seconds per GB, by batch size; less is better"
    )
    produce.bars(figures, PRODUCE)
    consume = Panel(
        right, 72, "Consume", "broker CPU seconds per GB, by fetch size; less is better"
    )
    consume.bars(figures, CONSUME)
    low = max(produce.y, consume.y) + 18
    latency = Panel(
        MARGIN, low, "End to end", "p50, p99 and p99.9 of one message, librdkafka; logarithmic"
    )
    latency.ranges(figures, LATENCY, WIDTH - 2 * MARGIN)
    low = latency.y + 18
    memory = Panel(right, low, "Memory", "RSS in MB: 10,000 connections, 2,000 partitions")
    memory.bars(figures, MEMORY)
    start = Panel(MARGIN, low, "Start", "seconds from exec until it serves; 2,000 partitions")
    start.bars(figures, START)
    records = Panel(MARGIN, start.y + 18, "100-byte records", "broker CPU seconds per million")
    records.bars(figures, RECORDS)
    height = max(memory.y, records.y) + 8
    panels = (produce, consume, latency, memory, start, records)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
            ' role="img" aria-label="fastlog beside Kafka">',
            style(),
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8"'
            ' class="page"/>',
            *legend(38),
            *(part for panel in panels for part in panel.parts),
            "</svg>\n",
        ]
    )
