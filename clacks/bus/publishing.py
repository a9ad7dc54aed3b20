"""The sending half of the bus: one link for each event type, and patience when there is no credit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from clacks.amqp.connection import LinkClosed
from clacks.amqp.eventmessage import ON_BEHALF_OF, EventEncoder, EventIdentity
from clacks.amqp.profiles import NodeKind
from clacks.bus.links import Line, Outlet
from clacks.common.address import event_address
from clacks.common.errors import ConnectionLost
from clacks.common.event import Event
from clacks.common.metrics import Counter, Metrics

__all__ = ["Publisher"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 5.0  # seconds that an event waits for credit
_BURST: Final = 64 * 1024  # bytes that are handed over before the loop gets a turn to write them
_MOST_OUTLETS: Final = 64  # links for publishing; beyond them the oldest makes room


class Publisher:
    """Sends events.

    Events of a type have a link of their own: the broker decides once who may publish what, and says so.

    Args:
        line: The connection.
        encoder: Makes messages of events.
        writable: Writes what there is, and waits until the socket takes more.
        metrics: Where to count.
    """

    def __init__(
        self,
        line: Line,
        encoder: EventEncoder,
        writable: Callable[[], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self._line = line
        self._encoder = encoder
        self._writable = writable
        self._metrics = metrics
        self._outlets: dict[str, Outlet] = {}
        self._burst = 0
        self._published: dict[str, Counter] = {}
        self._warned = float("-inf")
        self._closed = False

    async def publish(
        self,
        event: Event,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
        identity: EventIdentity | None = None,
    ) -> bool:
        """Send an event; False if there was no credit for it in time.

        Raises:
            LinkRefused, ConnectionLost, ValueError, TypeError: As `Bus.publish` says.
        """
        kind = event.kind
        behalf = properties.get(ON_BEHALF_OF) if properties and len(properties) == 1 else None
        if (properties is None or behalf) and expires is None and identity is None:
            raw = self._encoder.encode(kind, event.xml, time.time(), behalf or "")
        else:
            raw = self._encoder.encode_with(kind, event.xml, time.time(), properties, expires, identity)
        outlet = self._outlets.get(kind)
        if outlet is None or outlet.contended or outlet.credit <= 0:
            outlet = await self._credit(kind)
            if outlet is None:
                return False
        sender = outlet.sender
        assert sender is not None
        sender.send(raw)
        self._count(kind).value += 1
        self._burst += len(raw)
        if self._burst > _BURST:
            self._burst = 0
            await self._writable()
        return True

    async def _credit(self, kind: str) -> Outlet | None:
        """Wait until an event of this type may be sent; count and log it if it may not."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while not self._closed:
            outlet = self._outlet(kind)
            if not await outlet.wait(deadline):
                self._drop(kind)
                return None
            if outlet.credit > 0 and self._outlets.get(kind) is outlet:
                return outlet
        raise ConnectionLost("the bus is closed")

    def _count(self, kind: str) -> Counter:
        found = self._published.get(kind)
        if found is None:
            found = self._published[kind] = self._metrics.counter("events_published", type=kind)
        return found

    def _drop(self, kind: str) -> None:
        reason = "no credit" if self._line.connection is not None else "no connection"
        self._metrics.count("events_dropped", reason=reason)
        now = asyncio.get_running_loop().time()
        level = logging.WARNING if now - self._warned >= _PATIENCE else logging.DEBUG
        if level == logging.WARNING:
            self._warned = now
        log.log(level, "event dropped kind=%s reason=%s for %g s", kind, reason, _PATIENCE)

    def _outlet(self, kind: str) -> Outlet:
        outlet = self._outlets.get(kind)
        if outlet is None:
            while len(self._outlets) >= _MOST_OUTLETS:
                idle = next((k for k, o in self._outlets.items() if not o.contended), None)
                if idle is None:
                    break
                self._outlets.pop(idle).close()
            address = event_address(self._line.domain, kind)
            outlet = Outlet(self._line, address, NodeKind.TOPIC, closed=partial(self._link_closed, kind))
            self._outlets[kind] = outlet
        return outlet

    def _link_closed(self, kind: str, outlet: Outlet, event: LinkClosed) -> None:
        if event.with_connection or event.refused:
            return
        # Of settled messages nobody says which one the broker did not like.
        self._metrics.count("links_lost", kind=kind)
        log.warning(
            "the broker closed the link for events kind=%s condition=%s reason=%s",
            kind,
            event.condition,
            event.description,
        )

    def restore(self) -> None:
        """Go on over a new connection."""
        for outlet in self._outlets.values():
            outlet.restore()

    def close(self) -> None:
        """Let everybody who waits fail."""
        self._closed = True
        for outlet in self._outlets.values():
            outlet.fail(ConnectionLost("the bus was closed"))
