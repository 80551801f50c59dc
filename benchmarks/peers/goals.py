"""What we ask of ourselves, as ratios within one run and as bounds, and whether it is met."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.brokers import Fastlog, Kafka4, Kafka39
from benchmarks.peers.figures import LIMIT, Figures, digits

FASTLOG = Fastlog.column
CPU, RATE = "cpu_s_per_gb", "mb_per_s"


@dataclass(frozen=True)
class Goal:
    """A value of a run that should be at most (or at least) a bound."""

    label: str
    bound: float
    value: Callable[[Figures], float | None]
    unit: str = "times"
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def ratio(row: str, column: str, base_row: str, base_column: str, name: str = CPU):
    """One median over another; None when either is missing."""

    def of(figures: Figures) -> float | None:
        own = figures.median(row, column, name)
        base = figures.median(base_row, base_column, name)
        return None if own is None or not base else own / base

    return of


def own(row: str, name: str):
    """A median of fastlog."""
    return lambda figures: figures.median(row, FASTLOG, name)


def over_limit(row: str, base: str = "", name: str = CPU):
    return ratio(row, FASTLOG, base or row, LIMIT, name)


def over_kafka(row: str, name: str):
    """Beside the better of the two Kafkas."""

    def of(figures: Figures) -> float | None:
        found = [
            ratio(row, FASTLOG, row, kafka.column, name)(figures) for kafka in (Kafka39, Kafka4)
        ]
        measured = [value for value in found if value is not None]
        return max(measured) if measured else None

    return of


def latencies() -> list[Goal]:
    """Below Kafka's at each quantile, at both rates, with and without lingering."""
    found = []
    for linger in (0, 1):
        for rate in (1000, 10_000):
            for name, shown in (("p50_ms", "p50"), ("p99_ms", "p99"), ("p999_ms", "p99.9")):
                label = f"{shown} at {rate:,}/s, `linger.ms={linger}`, over Kafka"
                row = f"latency {rate}/s linger {linger}"
                found.append(Goal(label, 1.0, over_kafka(row, name)))
    return found


GOALS = [
    *(
        Goal(f"produce {size}, CPU over the limit", 1.3, over_limit(f"produce {size}"))
        for size in ("1 MiB", "128 KiB", "16 KiB")
    ),
    Goal(
        "produce 16 KiB with 20 in flight, CPU over the limit",
        1.0,
        over_limit("produce 16 KiB, 20 in flight", "produce 16 KiB"),
    ),
    Goal(
        "six partitions of 64 KiB, CPU over one",
        1.1,
        ratio("produce 6 x 64 KiB", FASTLOG, "produce 64 KiB", FASTLOG),
    ),
    Goal(
        "six partitions of 16 KiB, CPU over one",
        1.5,
        ratio("produce 6 x 16 KiB", FASTLOG, "produce 16 KiB", FASTLOG),
    ),
    Goal(
        "100 connections, CPU over one",
        1.3,
        ratio("produce 16 KiB, 100 connections", FASTLOG, "produce 16 KiB", FASTLOG),
    ),
    Goal("consume 1 MiB, CPU over the limit", 1.5, over_limit("consume 1 MiB")),
    Goal(
        "consume 1 MiB, throughput over the limit",
        0.8,
        over_limit("consume 1 MiB", name=RATE),
        at_least=True,
    ),
    Goal("consume 16 KiB, CPU over the limit", 1.3, over_limit("consume 16 KiB")),
    *(
        Goal(f"{mode} 100 B records, CPU over Kafka", 1 / 3, over_kafka(f"{mode} 100 B", name))
        for mode in ("produce", "consume")
        for name in ("cpu_s_per_million",)
    ),
    *latencies(),
    Goal("exec to the first Metadata answer", 0.2, own("start", "seconds"), "s"),
    Goal("idle CPU", 0.5, own("idle", "cpu_percent"), "% of a core"),
    Goal("idle RSS", 50, own("idle", "rss_mb"), "MB"),
    Goal("RSS after the loads", 150, own("after the loads", "rss_mb"), "MB"),
    Goal("2,000 partitions serve", 1.0, own("2,000 partitions", "seconds"), "s"),
    Goal("RSS with 2,000 partitions", 100, own("2,000 partitions", "rss_mb"), "MB"),
    Goal("RSS with 10,000 idle connections", 100, own("10,000 connections", "rss_mb"), "MB"),
    Goal("two reactors, CPU over one", 1.1, ratio("2 reactors", FASTLOG, "1 reactor", FASTLOG)),
]


def table(figures: Figures) -> str:
    """Markdown; what was not measured is left out."""
    lines = ["| bound | asked | measured | |", "|---|---:|---:|---|"]
    for goal in GOALS:
        value = goal.value(figures)
        if value is not None:
            side = "at least" if goal.at_least else "at most"
            asked = f"{side} {digits(goal.bound)} {goal.unit}"
            verdict = "met" if goal.met(value) else "**missed**"
            lines.append(f"| {goal.label} | {asked} | {digits(value)} | {verdict} |")
    return "\n".join(lines) + "\n"
