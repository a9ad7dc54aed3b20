"""What one process measures, as a value that can be shown, sent and read again.

::

    Metrics of broker, agent, gateway --+
    numbers that hold just now ---------+--> Measured.read() --> Reading --> /metrics, getMetrics, clacks top

Each part of a process counts for itself; a reading joins them under the label ``part``, so that an agent and
a broker in one process do not hide each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clacks.common.errors import ProtocolError
from clacks.common.metrics import Histogram, Metrics, Series

__all__ = ["PART", "Gauges", "Measured", "Reading", "Sample"]

PART = "part"
"""The label that says which part of a process counted: ``broker``, ``agent``, ``gateway`` and so on."""

Sample: TypeAlias = tuple[str, Mapping[str, str], float]
"""Name, labels, and how many there are now."""

Gauges: TypeAlias = Callable[[], Iterable[Sample]]
"""Says what holds just now; called on the thread of the loop."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All numbers of a process, as they were at one moment.

    Attributes:
        numbers: Counters and gauges by name and labels.
        histograms: Distributions by name and labels.
    """

    numbers: Mapping[Series, float] = field(default_factory=dict)
    histograms: Mapping[Series, Histogram] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: two lists of name, labels, value; `from_json` reads it again."""
        return {
            "numbers": [[name, dict(labels), value] for (name, labels), value in self.numbers.items()],
            "histograms": [
                [
                    name,
                    dict(labels),
                    {"bounds": list(one.bounds), "counts": list(one.counts), "sum": one.total},
                ]
                for (name, labels), one in self.histograms.items()
            ],
        }

    @classmethod
    def from_json(cls, value: Any) -> Reading:
        """Read what another process sent.

        Raises:
            ProtocolError: If it is no reading.
        """
        try:
            return cls(
                {_series(name, labels): _number(one) for name, labels, one in value["numbers"]},
                {_series(name, labels): _histogram(one) for name, labels, one in value["histograms"]},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"no reading of metrics: {error}") from error


def _series(name: Any, labels: Any) -> Series:
    if not isinstance(name, str):
        raise TypeError(f"a name expected, not {name!r}")
    return name, tuple(sorted((str(key), str(text)) for key, text in labels.items()))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number expected, not {value!r}")
    return value


def _histogram(value: Any) -> Histogram:
    bounds, counts = tuple(map(_number, value["bounds"])), list(map(int, value["counts"]))
    if len(counts) != len(bounds) + 1:
        raise ValueError("one count for each bound and one more expected")
    return Histogram(bounds, counts, _number(value["sum"]))


class Measured:
    """The parts of one process that measure.

    Example:
        >>> metrics, measured = Metrics(), Measured()
        >>> metrics.count("connections_lost")
        >>> measured.add("agent", metrics)
        >>> measured.read().numbers
        {('connections_lost', (('part', 'agent'),)): 1}
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, Metrics, Gauges | None]] = []

    def add(self, part: str, metrics: Metrics, gauges: Gauges | None = None) -> None:
        """Let a part take part; ``gauges`` says what holds just now and is asked at every reading."""
        self._parts.append((part, metrics, gauges))

    def read(self) -> Reading:
        """Return all numbers as they are now. Call it on the thread of the loop: gauges look into tables."""
        numbers: dict[Series, float] = {}
        histograms: dict[Series, Histogram] = {}
        for part, metrics, gauges in self._parts:
            for (name, labels), value in metrics.snapshot().items():
                numbers[name, _with_part(labels, part)] = value
            for (name, labels), one in metrics.histograms().items():
                copied = Histogram(one.bounds, list(one.counts), one.total)
                histograms[name, _with_part(labels, part)] = copied
            for (name, labels), gauge in _now(gauges):
                numbers[name, _with_part(labels, part)] = gauge
        return Reading(numbers, histograms)


def _with_part(labels: tuple[tuple[str, str], ...], part: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((*labels, (PART, part))))


def _now(gauges: Gauges | None) -> Iterator[tuple[Series, float]]:
    for name, labels, value in gauges() if gauges is not None else ():
        yield (name, tuple(sorted(labels.items()))), value
