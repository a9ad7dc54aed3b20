"""Events whose sender wants to know that the broker has them: sent unsettled, on links of their own.

The ordinary way (``publishing``) is fire and forget. What the recording agent sends was promised to somebody,
so a connection that goes meanwhile must leave it in doubt and not lost without a word.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from clacks.amqp.connection import LinkClosed, Settled
from clacks.amqp.eventmessage import EventEncoder, EventIdentity
from clacks.amqp.profiles import NodeKind
from clacks.bus.links import Line, Outlet
from clacks.common.address import event_address
from clacks.common.errors import ConnectionLost
from clacks.common.event import Event

__all__ = ["ConfirmedPublisher"]

log = logging.getLogger(__name__)

_PATIENCE: Final = 10.0  # seconds for credit
_MOST_OUTLETS: Final = 64


class ConfirmedPublisher:
    """Sends events and waits for the broker's word on each.

    Args:
        line: The connection.
        encoder: Makes messages of events.
    """

    def __init__(self, line: Line, encoder: EventEncoder) -> None:
        self._line = line
        self._encoder = encoder
        self._outlets: dict[str, Outlet] = {}
        self._pending: dict[int, asyncio.Future[bool]] = {}
        self._number = 0
        self._closed = False

    async def publish(
        self,
        event: Event,
        identity: EventIdentity,
        properties: Mapping[str, Any] | None,
        expires: datetime | None,
    ) -> bool:
        """Send an event; False if the broker refused it. See `Bus.publish_confirmed`."""
        raw = self._encoder.encode_with(event.kind, event.xml, time.time(), properties, expires, identity)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while not self._closed:
            outlet = self._outlet(event.kind)
            if not await outlet.wait(deadline):
                raise ConnectionLost(f"the broker took no {event.kind} for {_PATIENCE:g} seconds")
            sender = outlet.sender
            if sender is None or outlet.credit <= 0 or self._outlets.get(event.kind) is not outlet:
                continue
            self._number = number = self._number + 1
            answer: asyncio.Future[bool] = loop.create_future()
            self._pending[number] = answer
            sender.send_unsettled(raw, number)
            try:
                return await answer
            finally:
                self._pending.pop(number, None)
        raise ConnectionLost("the bus is closed")

    def _outlet(self, kind: str) -> Outlet:
        outlet = self._outlets.get(kind)
        if outlet is None:
            while len(self._outlets) >= _MOST_OUTLETS:
                # One that has something in doubt says so when it is closed.
                idle = next((k for k, o in self._outlets.items() if not o.contended), None)
                if idle is None:
                    break
                self._outlets.pop(idle).close()
            address = event_address(self._line.domain, kind)
            outlet = self._outlets[kind] = Outlet(
                self._line, address, NodeKind.TOPIC, settled=self._settled, closed=self._link_closed
            )
        return outlet

    def _settled(self, event: Settled) -> None:
        answer = self._pending.get(event.context) if isinstance(event.context, int) else None
        if answer is None or answer.done():
            return
        # Released: nobody listens just now (RabbitMQ). That is no fault of the event.
        taken = event.outcome.name in ("accepted", "released", "modified")
        if not taken:
            log.error("the broker refused a stored event reason=%s", event.outcome.description)
        answer.set_result(taken)

    def _link_closed(self, outlet: Outlet, event: LinkClosed) -> None:
        for context in event.in_doubt:
            answer = self._pending.get(context) if isinstance(context, int) else None
            if answer is not None and not answer.done():
                answer.set_exception(ConnectionLost("the link went before the broker had the event"))

    def restore(self) -> None:
        """Go on over a new connection."""
        for outlet in self._outlets.values():
            outlet.restore()

    def close(self) -> None:
        """Let everybody who waits fail."""
        self._closed = True
        for outlet in self._outlets.values():
            outlet.fail(ConnectionLost("the bus was closed"))
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ConnectionLost("the bus was closed"))
