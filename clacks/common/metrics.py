"""Counters and histograms: plain numbers that cost next to nothing.

Losing an event is allowed, losing it silently is not; this is where it shows. A registry belongs to one
service and is handed down. Counting is not atomic: count from the thread of the loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["LATENCIES", "MAX_SERIES", "Counter", "Histogram", "Metrics", "Series"]

LATENCIES: tuple[float, ...] = (
    *(digit * 10.0**power for power in range(-5, 1) for digit in (1.0, 2.5, 5.0)),
    10.0,
)
"""Upper bounds of the buckets for times in seconds: from ten microseconds, which a broker takes for an event,
to ten seconds, after which nobody waits any more."""

MAX_SERIES = 1000
"""Label sets of one name. Labels may come from peers (addresses, user names); beyond this number a new
label set is counted under the one with every value ``other``, so that a peer cannot fill memory."""

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its labels, sorted by label name."""


@dataclass(slots=True)
class Counter:
    """One number. A hot path keeps the object and adds to ``value`` itself."""

    value: int = 0

    def add(self, n: int = 1) -> None:
        """Count ``n`` more."""
        self.value += n


@dataclass(slots=True)
class Histogram:
    """How often values fell into ranges: ``counts[i]`` are those at most ``bounds[i]`` and above the bound
    before it; the last count has no bound."""

    bounds: tuple[float, ...] = LATENCIES
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    """Sum of all values."""

    def __post_init__(self) -> None:
        if not self.counts:
            self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return the bound below which this share (0 to 1) of the values lies; 0 if there are none, infinity
        if it lies above the last bound."""
        wanted, seen = share * self.count, 0
        for bound, count in zip(self.bounds, self.counts):
            seen += count
            if seen >= wanted:
                return bound if self.count else 0.0
        return float("inf")


@dataclass(slots=True)
class Metrics:
    """The counters of one service, by name and labels.

    Example:
        >>> metrics = Metrics()
        >>> metrics.count("events_dropped", reason="queue full")
        >>> metrics.value("events_dropped", reason="queue full")
        1
        >>> metrics.text()
        'events_dropped{reason="queue full"} 1\\n'
    """

    _series: dict[Series, Counter] = field(default_factory=dict)
    _histograms: dict[Series, Histogram] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def counter(self, name: str, /, **labels: str) -> Counter:
        """Return the counter of these labels, made at the first call; keep it where speed matters."""
        key = _key(name, labels)
        found = self._series.get(key)
        if found is None:
            found = self._series.setdefault(self._room(key), Counter())
        return found

    def histogram(self, name: str, /, **labels: str) -> Histogram:
        """Return the histogram of these labels, for times in seconds, made at the first call."""
        key = _key(name, labels)
        found = self._histograms.get(key)
        if found is None:
            found = self._histograms.setdefault(self._room(key), Histogram())
        return found

    def _room(self, key: Series) -> Series:
        """Return the key under which a new label set counts."""
        name, labels = key
        if labels and self._sizes.get(name, 0) >= MAX_SERIES:
            return name, tuple((label, "other") for label, _ in labels)
        self._sizes[name] = self._sizes.get(name, 0) + 1
        return key

    def count(self, name: str, /, n: int = 1, **labels: str) -> None:
        """Count ``n`` more of ``name`` with these labels."""
        self.counter(name, **labels).value += n

    def set(self, name: str, value: int, /, **labels: str) -> None:
        """Say how many there are now: open connections, waiting events."""
        self.counter(name, **labels).value = value

    def value(self, name: str, /, **labels: str) -> int:
        """Return a count; 0 for what was never counted."""
        found = self._series.get((name, tuple(sorted(labels.items()))))
        return found.value if found is not None else 0

    def total(self, name: str, /) -> int:
        """Return the sum over all labels of a name."""
        return sum(counter.value for (other, _), counter in self._series.items() if other == name)

    def snapshot(self) -> Mapping[Series, int]:
        """Return all counts as they are now, in the order of names and labels."""
        return {key: self._series[key].value for key in sorted(self._series)}

    def histograms(self) -> Mapping[Series, Histogram]:
        """Return all histograms, in the order of names and labels."""
        return {key: self._histograms[key] for key in sorted(self._histograms)}

    def text(self) -> str:
        """Return all counts as lines ``name{label="value"} number``, the text form of Prometheus."""
        lines = [f"{name}{_braces(labels)} {value}\n" for (name, labels), value in self.snapshot().items()]
        for (name, labels), histogram in self.histograms().items():
            seen = 0
            for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts):
                seen += count
                lines.append(f"{name}_bucket{_braces((*labels, ('le', bound)))} {seen}\n")
            lines.append(f"{name}_sum{_braces(labels)} {histogram.total}\n")
            lines.append(f"{name}_count{_braces(labels)} {seen}\n")
        return "".join(lines)


def _key(name: str, labels: Mapping[str, str]) -> Series:
    return name, tuple(sorted(labels.items())) if labels else ()


def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
