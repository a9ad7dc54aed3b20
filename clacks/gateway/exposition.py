"""Counters in the formats that Prometheus reads; the one door to prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from clacks.common.metrics import Metrics

__all__ = ["exposed"]

_GAUGES = frozenset(("web_connections", "web_subscriptions"))


class _Collector:
    """Shows the numbers of a service to prometheus_client."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each name."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for (name, labels), value in self._metrics.snapshot().items():
            family = families.get(name)
            if family is None:
                kind = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
                family = families[name] = kind(
                    f"clacks_{name}", f"{name} of this process", labels=[key for key, _ in labels]
                )
            family.add_metric([text for _, text in labels], value)
        yield from families.values()


def exposed(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """Return all counters as text, and its content type, as the ``Accept`` header wants it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
