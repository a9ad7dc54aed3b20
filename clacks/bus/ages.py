"""How old events are when they arrive: the time from publish to receipt, as a histogram."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from clacks.amqp.messages import Message
from clacks.common.errors import ProtocolError
from clacks.common.metrics import Metrics

__all__ = ["Ages"]

_INTERVAL: Final = 0.01
"""Seconds between two samples. Reading the properties costs a tenth of what the event costs, so a flood is
sampled a hundred times a second, and what comes slower than that is counted whole."""


class Ages:
    """Samples ``event_age_seconds``: from ``cloudEvents_time`` to now, by the clocks of both machines.

    An age below zero, of a clock that is ahead, counts as zero. A message without that time counts nowhere.
    """

    __slots__ = ("_histogram", "_next")

    def __init__(self, metrics: Metrics) -> None:
        self._histogram = metrics.histogram("event_age_seconds")
        self._next = 0.0

    def note(self, message: Message, now: float) -> None:
        """Sample a message that came at ``now``, in seconds since 1970."""
        if now < self._next and now >= self._next - _INTERVAL:
            return
        self._next = now + _INTERVAL
        try:
            text = message.properties.get("cloudEvents_time")
            sent = datetime.fromisoformat(text) if isinstance(text, str) else text
        except (ProtocolError, ValueError):
            return
        if isinstance(sent, datetime):
            # CloudEvents: RFC 3339, which always has an offset; without one it is taken for UTC.
            sent = sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)
            self._histogram.observe(max(0.0, now - sent.timestamp()))
