"""What each number means: the one table of all names, for ``/metrics``, the reference and the dashboard.

A test reads the sources and holds that every name counted anywhere stands here, and none that is counted
nowhere. Prometheus shows a name with ``clacks_`` before it and, for counters, ``_total`` behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METRICS", "Metric", "MetricKind", "shown_name"]


class MetricKind(enum.StrEnum):
    """How a number behaves."""

    COUNTER = "counter"
    """Only grows; its rate says something."""
    GAUGE = "gauge"
    """How many there are now."""
    HISTOGRAM = "histogram"
    """How values spread, in seconds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One name.

    Attributes:
        kind: How it behaves.
        meaning: What it counts, in a sentence.
        labels: Its labels beside ``part``.
    """

    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()


def _counter(meaning: str, *labels: str) -> Metric:
    return Metric(MetricKind.COUNTER, meaning, labels)


def _gauge(meaning: str, *labels: str) -> Metric:
    return Metric(MetricKind.GAUGE, meaning, labels)


def _histogram(meaning: str, *labels: str) -> Metric:
    return Metric(MetricKind.HISTOGRAM, meaning, labels)


METRICS: Mapping[str, Metric] = {
    # broker
    "messages_received": _counter("Messages that came over links of peers, those that are refused included."),
    "messages_delivered": _counter("Messages handed to the connection of a subscriber or consumer."),
    "messages_dropped": _counter("Messages refused or lost: slow consumer, expired, no right.", "reason"),
    "events_received": _counter("Events that the broker took, after every check.", "type"),
    "events_routed": _counter(
        "Events times subscriptions: one for each subscription that an event is for.", "type"
    ),
    "events_unheard": _counter("Events that were for no subscription.", "type"),
    "route_seconds": _histogram("From the transfer of an event to its last copy, in the broker."),
    "links_refused": _counter("Links that a peer wanted and did not get.", "reason"),
    "connections": _gauge("Open connections."),
    "connections_opened": _counter("Connections that were opened."),
    "connections_refused": _counter("Connections refused because there were too many."),
    "logins": _counter("Logins at the broker by how they ended.", "result"),
    "subscriptions": _gauge("Subscriptions to topics."),
    "waiting_bytes": _gauge("Bytes of all messages that wait in the broker."),
    "subscription_waiting": _gauge(
        "Messages that wait for one user at one address; only the fullest are shown.", "user", "address"
    ),
    "subscription_dropped": _gauge(
        "Messages that the subscriptions open now gave up because their reader is slow; of the same ones.",
        "user",
        "address",
    ),
    "queues": _gauge("Queues: of commands, of clients, for answers."),
    "queue_messages": _gauge(
        "Messages in a queue; only the fullest are shown, those for answers together.", "queue"
    ),
    # filters: of the broker, and of clients that filter themselves
    "filters": _gauge("Standing filters."),
    "filters_exact": _gauge("Of these, filters that need no XQuery engine."),
    "filter_evaluations": _counter("Filters that were woken by an event and evaluated."),
    "filter_evaluations_by_engine": _counter("Of these, those that needed the XQuery engine."),
    "filter_errors": _counter("Evaluations that failed; no match then."),
    "filter_errors_by_filter": _counter("The same by filter, named by a digest of its text.", "filter"),
    # every client of a bus: agents, gateways, sources, managed clients
    "events_published": _counter("Events handed to the connection.", "type"),
    "events_delivered": _counter("Events given to callbacks and readers.", "type"),
    "events_dropped": _counter("Events that this process lost.", "reason"),
    "event_age_seconds": _histogram("Age of events on receipt, by the time that they carry."),
    "connections_lost": _counter("Connections to the broker that were lost."),
    "links_lost": _counter("Links for publishing that the broker took away.", "kind"),
    "connected": _gauge("Whether there is a connection to the broker: 1 or 0."),
    # agent
    "nodes": _gauge("Nodes of the domain that this agent knows."),
    "clients": _gauge("Clients of the domain that this agent knows."),
    "commands_running": _gauge("Commands carried out just now."),
    "announcements_dropped": _counter("Announcements of nodes and clients that were not believed.", "reason"),
    "events_recorded": _counter("Events committed to the event log."),
    # gateway
    "web_connections": _gauge("Open WebSockets and event streams."),
    "web_subscriptions": _gauge("Subscriptions of those."),
    "web_delivered": _counter("Events and messages sent to those."),
    "web_cut_off": _counter("Readers cut off because they did not take what was sent."),
    "web_refused": _counter("Requests and connections refused.", "reason"),
    "web_logins": _counter("Logins at the gateway by how they ended.", "result"),
}
"""Every name by its own; where it is counted says its ``part``."""


def shown_name(name: str) -> str:
    """Return a name as Prometheus shows it.

    >>> shown_name("events_published"), shown_name("connections")
    ('clacks_events_published_total', 'clacks_connections')
    """
    known = METRICS.get(name)
    counter = known is None or known.kind is MetricKind.COUNTER
    return f"clacks_{name}_total" if counter else f"clacks_{name}"
