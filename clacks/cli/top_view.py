"""What ``clacks top`` shows, as rows: two readings of each process become rates, quantiles, depths.

No terminal, no network and no clock here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from clacks.common.measured import PART, Reading
from clacks.common.metrics import Histogram

__all__ = ["SECTIONS", "Section", "Source", "rows_of"]

_SHOWN: Final = 20  # rows of one section on a terminal

_AGES: Final = ("route_seconds", "event_age_seconds")


@dataclass(frozen=True, slots=True)
class Source:
    """One process, seen twice.

    Attributes:
        name: The node, or the host and port of its page.
        before, after: What it measured, ``seconds`` apart.
        problem: Why there is nothing of it, or empty.
    """

    name: str
    before: Reading = field(default_factory=Reading)
    after: Reading = field(default_factory=Reading)
    seconds: float = 1.0
    problem: str = ""

    def parts(self) -> list[str]:
        """Return its parts in their order."""
        labels = [labels for _, labels in (*self.after.numbers, *self.after.histograms)]
        return list(dict.fromkeys(text for one in labels for key, text in one if key == PART))

    def total(self, name: str, part: str, reading: Reading | None = None) -> float:
        """Return the sum of a name over all other labels."""
        numbers = (self.after if reading is None else reading).numbers
        return sum(
            value for (other, labels), value in numbers.items() if other == name and (PART, part) in labels
        )

    def has(self, name: str, part: str) -> bool:
        """Tell whether a part measures this at all."""
        return any(other == name and (PART, part) in labels for other, labels in self.after.numbers)

    def rate(self, name: str, part: str) -> float:
        """Return how many a second; a process that was started anew begins at nothing."""
        now, then = self.total(name, part), self.total(name, part, self.before)
        return (now - then if now >= then else now) / self.seconds

    def by(self, name: str, label: str) -> Iterator[tuple[str, str, float, float]]:
        """Yield part, value of a label, total and rate."""
        for (other, labels), now in self.after.numbers.items():
            if other == name:
                told = dict(labels)
                then = self.before.numbers.get((other, labels), 0.0)
                yield told.get(PART, ""), told.get(label, ""), now, max(0.0, now - then) / self.seconds

    def between(self, name: str, part: str) -> Histogram | None:
        """Return what a histogram got between the two readings, or None if that is nothing."""
        key = name, ((PART, part),)
        now, then = self.after.histograms.get(key), self.before.histograms.get(key)
        if now is None:
            return None
        if then is None or then.bounds != now.bounds or any(a < b for a, b in zip(now.counts, then.counts)):
            then = Histogram(now.bounds, [0] * len(now.counts))
        found = Histogram(now.bounds, [a - b for a, b in zip(now.counts, then.counts)])
        return found if found.count else None


@dataclass(frozen=True, slots=True)
class Section:
    """One table: its name, and the headings of its columns."""

    name: str
    headings: tuple[str, ...]


SECTIONS: Final = (
    Section(
        "process",
        (
            "process",
            "part",
            "bus",
            "in/s",
            "out/s",
            "dropped/s",
            "p50",
            "p99",
            "filters",
            "errors",
            "waiting",
            "memory",
        ),
    ),
    Section(
        "type", ("type", "published/s", "received/s", "routed/s", "delivered/s", "unheard/s", "received")
    ),
    Section("dropped", ("process", "part", "reason", "dropped/s", "dropped")),
    Section("waiting", ("process", "for", "at", "messages", "given up")),
)
"""The tables in their order."""


def rows_of(sources: Sequence[Source]) -> Iterator[tuple[Section, list[list[str]]]]:
    """Yield the tables; of what has no end only the first rows."""
    processes, types, dropped, waiting = SECTIONS
    yield processes, list(_processes(sources))
    yield types, list(_types(sources))[:_SHOWN]
    yield dropped, list(_dropped(sources))[:_SHOWN]
    yield waiting, list(_waiting(sources))[:_SHOWN]


def _processes(sources: Iterable[Source]) -> Iterator[list[str]]:
    for source in sources:
        if source.problem:
            yield [source.name, source.problem, *[""] * 10]
            continue
        memory = source.after.numbers.get(("process_resident_memory_bytes", ()))
        for part in source.parts():
            came, went = ("events_received", "messages_delivered")
            if part != "broker":
                came, went = "events_delivered", "events_published"
            if source.has("connections", part):
                bus = f"{source.total('connections', part):.0f} in"
            else:
                bus = "up" if source.total("connected", part) else "down"
                bus = bus if source.has("connected", part) else ""
            ages = next((found for name in _AGES if (found := source.between(name, part))), None)
            yield [
                source.name,
                part,
                bus,
                _rate(source.rate(came, part)),
                _rate(source.rate(went, part)),
                _rate(source.rate("messages_dropped", part) + source.rate("events_dropped", part)),
                "" if ages is None else _seconds(ages.quantile(0.5)),
                "" if ages is None else _seconds(ages.quantile(0.99)),
                f"{source.total('filters', part):.0f}" if source.has("filters", part) else "",
                f"{source.total('filter_errors', part):.0f}",
                _bytes(source.total("waiting_bytes", part)) if source.has("waiting_bytes", part) else "",
                "" if memory is None else _bytes(memory),
            ]
            memory = None  # it is the process's, not that of each part


def _types(sources: Iterable[Source]) -> Iterator[list[str]]:
    names = ("events_published", "events_received", "events_routed", "events_delivered", "events_unheard")
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(names))
    totals: dict[str, float] = defaultdict(float)
    for source in sources:
        for column, name in enumerate(names):
            for _, kind, total, rate in source.by(name, "type"):
                found[kind][column] += rate
                totals[kind] += total if name == "events_received" else 0.0
    for kind in sorted(found, key=lambda one: (-sum(found[one]), -totals[one], one)):
        yield [kind, *map(_rate, found[kind]), f"{totals[kind]:.0f}"]


def _dropped(sources: Iterable[Source]) -> Iterator[list[str]]:
    found = [
        (rate, total, source.name, part, reason)
        for source in sources
        for name in ("messages_dropped", "events_dropped")
        for part, reason, total, rate in source.by(name, "reason")
        if total
    ]
    for rate, total, name, part, reason in sorted(found, key=lambda one: (-one[0], -one[1], one[2:])):
        yield [name, part, reason, _rate(rate), f"{total:.0f}"]


def _waiting(sources: Iterable[Source]) -> Iterator[list[str]]:
    found: list[tuple[float, float, str, str, str]] = []
    for source in sources:
        for (name, labels), value in source.after.numbers.items():
            if name == "subscription_waiting":
                gone = source.after.numbers.get(("subscription_dropped", labels), 0.0)
                if value or gone:
                    told = dict(labels)
                    found.append((value, gone, source.name, told.get("user", ""), told.get("address", "")))
            elif name == "queue_messages" and value:
                found.append((value, 0.0, source.name, "queue", dict(labels).get("queue", "")))
    for value, gone, name, user, address in sorted(found, key=lambda one: (-one[0], -one[1], one[2:])):
        yield [name, user, address, f"{value:.0f}", f"{gone:.0f}"]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _seconds(value: float) -> str:
    if value == float("inf"):
        return "> 10 s"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return "0"


def _bytes(value: float) -> str:
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f}"
