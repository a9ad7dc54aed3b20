"""Counters: plain integers that cost next to nothing.

Losing an event is allowed, losing it silently is not; this is where it shows. A registry belongs to one
service and is handed down. Counting is not atomic: count from the thread of the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["MAX_SERIES", "Counter", "Metrics", "Series"]

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
    _sizes: dict[str, int] = field(default_factory=dict)

    def counter(self, name: str, /, **labels: str) -> Counter:
        """Return the counter of these labels, made at the first call; keep it where speed matters."""
        key: Series = (name, tuple(sorted(labels.items())) if labels else ())
        found = self._series.get(key)
        if found is None:
            if labels and self._sizes.get(name, 0) >= MAX_SERIES:
                key = (name, tuple((label, "other") for label in sorted(labels)))
                return self._series.setdefault(key, Counter())
            self._sizes[name] = self._sizes.get(name, 0) + 1
            found = self._series[key] = Counter()
        return found

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

    def text(self) -> str:
        """Return all counts as lines ``name{label="value"} number``, the text form of Prometheus."""
        return "".join(
            f"{name}{_braces(labels)} {value}\n" for (name, labels), value in self.snapshot().items()
        )


def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
