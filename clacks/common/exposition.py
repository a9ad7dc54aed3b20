"""Readings in the formats that Prometheus writes and reads; the one door to prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from clacks.common.errors import ProtocolError
from clacks.common.measured import Reading
from clacks.common.metric_names import METRICS, MetricKind
from clacks.common.metrics import Histogram, Series

__all__ = ["exposed", "parsed"]

_PREFIX = "clacks_"

_Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class _Collector:
    """Shows a reading to prometheus_client."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each name."""
        families: dict[str, _Family] = {}
        for (name, labels), value in self._reading.numbers.items():
            number = _family(families, name, labels)
            assert not isinstance(number, HistogramMetricFamily)
            number.add_metric([text for _, text in labels], value)
        for (name, labels), one in self._reading.histograms.items():
            family = _family(families, name, labels, MetricKind.HISTOGRAM)
            assert isinstance(family, HistogramMetricFamily)
            seen, buckets = 0, []
            for bound, count in zip((*map(repr, one.bounds), "+Inf"), one.counts):
                seen += count
                buckets.append((bound, float(seen)))
            family.add_metric([text for _, text in labels], buckets, one.total)
        yield from families.values()


_FAMILIES: Mapping[MetricKind, type[_Family]] = {
    MetricKind.COUNTER: CounterMetricFamily,
    MetricKind.GAUGE: GaugeMetricFamily,
    MetricKind.HISTOGRAM: HistogramMetricFamily,
}


def _family(
    families: dict[str, _Family],
    name: str,
    labels: tuple[tuple[str, str], ...],
    otherwise: MetricKind = MetricKind.COUNTER,
) -> _Family:
    found = families.get(name)
    if found is None:
        known = METRICS.get(name)
        kind = _FAMILIES[known.kind if known is not None else otherwise]
        meaning = known.meaning if known is not None else f"{name} of this process"
        found = families[name] = kind(f"{_PREFIX}{name}", meaning, labels=[key for key, _ in labels])
    return found


def exposed(reading: Reading, accept: str) -> tuple[bytes, str]:
    """Return a reading as text, and its content type, as the ``Accept`` header wants it; beside it stand
    memory, CPU time and file descriptors of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(reading))
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def parsed(text: str) -> Reading:
    """Read a page that `exposed` wrote; names have their own form again, what others count is left out.

    Raises:
        ProtocolError: If it is no such page.
    """
    numbers: dict[Series, float] = {}
    buckets: dict[Series, list[tuple[float, float]]] = {}
    sums: dict[Series, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix(_PREFIX)
            if name == family.name and not name.startswith("process_"):
                continue
            for sample in family.samples:
                labels = dict(sample.labels)
                bound = labels.pop("le", None)
                key = name, tuple(sorted(labels.items()))
                if sample.name.endswith("_created"):
                    continue
                if family.type != "histogram":
                    numbers[key] = sample.value
                elif bound is not None:
                    buckets.setdefault(key, []).append((float(bound), sample.value))
                elif sample.name.endswith("_sum"):
                    sums[key] = sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise ProtocolError(f"no page of metrics: {error}") from error
    return Reading(numbers, {key: _histogram(found, sums.get(key, 0.0)) for key, found in buckets.items()})


def _histogram(buckets: list[tuple[float, float]], total: float) -> Histogram:
    ordered = sorted(buckets)
    counts = [int(above - below) for (_, above), below in zip(ordered, (0.0, *(one for _, one in ordered)))]
    bounds = tuple(bound for bound, _ in ordered if bound != float("inf"))
    if len(counts) == len(bounds):  # a page without +Inf: nothing is known above the last bound
        counts.append(0)
    return Histogram(bounds, counts, total)
