"""What holds in a broker just now, for ``/metrics``: queue depths, subscriptions, what waits for whom.

Users and addresses come from peers, so only the fullest are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest

from clacks.broker.broker import Broker
from clacks.common.measured import Sample

__all__ = ["broker_gauges"]


def broker_gauges(broker: Broker) -> Iterator[Sample]:
    """Yield how many subscriptions and queues there are, and what waits in the fullest of them."""
    most = broker.limits.metrics_shown
    waiting: dict[tuple[str, str], tuple[int, int]] = {}
    for user, address, _, length, dropped in broker.status():
        before = waiting.get((user, address), (0, 0))
        waiting[user, address] = before[0] + length, before[1] + dropped
    yield "subscriptions", {}, len(broker.topics)
    yield "waiting_bytes", {}, broker.total.size
    for (user, address), (length, dropped) in nlargest(most, waiting.items(), key=lambda item: item[1]):
        labels = {"user": user, "address": address}
        yield "subscription_waiting", labels, length
        yield "subscription_dropped", labels, dropped
    queues, answers = 0, 0
    depths: list[tuple[int, str]] = []
    for queue in broker.queues():
        queues += 1
        if queue.owner is None:
            depths.append((len(queue), queue.address))
        else:  # a dynamic node: its name says nothing to anybody
            answers += len(queue)
    yield "queues", {}, queues
    yield "queue_messages", {"queue": "answers"}, answers
    for length, address in nlargest(most, depths):
        yield "queue_messages", {"queue": address}, length
