"""The blocking producer: events straight to the bus, without an agent in between."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections import deque
from types import TracebackType
from typing import TypeAlias

from lxml import etree

from clacks.bus import Bus
from clacks.common.address import DEFAULT_DOMAIN
from clacks.common.components.connection import Connection, Door
from clacks.common.errors import BusError, ConnectionLost
from clacks.common.event import Event
from clacks.common.schema import SchemaRegistry
from clacks.common.tracing import Tracing
from clacks.net.threads import Lease

__all__ = ["AMQPEventProducer", "EventLike"]

_log = logging.getLogger(__name__)

EventLike: TypeAlias = "Event | etree._Element | etree._ElementTree | bytes | str"

WAITING_EVENTS = 1000
"""Events that may wait to be sent; a sender that is faster than the broker waits then."""
WAITING_TIME = 10.0
"""Seconds that such a sender waits; then the event is dropped and counted, as a bus without credit does."""


class AMQPEventProducer:
    """Send events, many of them, without an agent in between.

    It connects at its first ``send``. Safe to use from several threads; the events of each keep their order.

    Args:
        url: ``amqp[s]://user:password@host[:port]/domain``; the login needs the right to publish.
        domain: The domain, if the URL has none.
        ca: File with the certificates to trust instead of the system's and the local one.
        registry: The event types; those built in, of plug-ins and of ``CLACKS_EVENTS`` if None.
        tracing: Makes a span of each event that is sent.

    Raises:
        SettingsError: The URL is none.

    Example:
        >>> e = EventMaker()  # doctest: +SKIP
        >>> with AMQPEventProducer("amqps://admin:secret@localhost/org.clacks") as producer:  # doctest: +SKIP
        ...     producer.send(e.event("PhoneStatus", CallerId="1", ReceiverId="2", Status="busy"))
    """

    def __init__(
        self,
        url: str,
        domain: str = DEFAULT_DOMAIN,
        *,
        ca: str | None = None,
        registry: SchemaRegistry | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._outbox = _Outbox(Door.of(url, domain=domain, ca=ca, registry=registry, tracing=tracing))
        self._finalizer = weakref.finalize(self, self._outbox.connection.release)

    def send(self, event: EventLike) -> None:
        """Send an event: a tree, bytes, text, or an ``Event``.

        It is validated before this returns, and sent soon after. The first event of each type is sent before
        this returns, so that a wrong login or a missing right shows at once; what goes wrong later is raised
        by the next ``send`` or ``flush``.

        Raises:
            MalformedEvent, InvalidEvent: It is no valid event; nothing was sent.
            ConnectionFailed, LoginRefused, LinkRefused: Nobody there, wrong credentials, not allowed.
            ConnectionLost: The producer is closed.
        """
        self._outbox.send(self._outbox.made(event))

    def flush(self) -> None:
        """Wait until all events sent so far have been handed to the socket.

        Raises:
            BusError: If one of them could not be sent.
        """
        self._outbox.flush()

    @property
    def dropped(self) -> int:
        """How many events were thrown away because the broker took none for too long."""
        return self._outbox.dropped

    def close(self) -> None:
        """Send what waits and close. Calling it again does nothing."""
        self._finalizer.detach()
        self._outbox.connection.close()

    def __enter__(self) -> AMQPEventProducer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Outbox:
    """Events on their way from any thread to the bus on the loop; never refers to the producer.

    Crossing to the loop for each event would cost more than sending it: the loop is only called when it
    does not send already.
    """

    def __init__(self, door: Door) -> None:
        self.connection = Connection(door, before=self._empty)
        self.dropped = 0
        self._registry = door.registry
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._sending: asyncio.Task[None] | None = None  # belongs to the loop
        self._busy: Lease | None = None  # a lease and not a flag: after a fork nobody is sending
        self._failure: BusError | None = None
        self._first = threading.Lock()
        self._proven: set[str] = set()  # event types that the broker has taken from us

    def made(self, event: EventLike) -> Event:
        if isinstance(event, Event):
            return event
        if isinstance(event, etree._ElementTree):
            event = event.getroot()
        if isinstance(event, etree._Element):
            # As text: the caller keeps the tree and may change it while this one waits to be sent.
            event = etree.tostring(event, encoding="UTF-8", xml_declaration=False, with_tail=False)
        return self._registry.receive(event)

    def send(self, event: Event) -> None:
        if event.kind not in self._proven:
            with self._first:
                if event.kind not in self._proven:
                    self.connection.run(lambda bus: self._publish_first(bus, event))
                    self._proven.add(event.kind)
                    return
        lease, bus = self.connection.opened()
        with self._changed:
            self._raise_failure()
            if len(self._waiting) >= WAITING_EVENTS and not self._changed.wait_for(
                lambda: len(self._waiting) < WAITING_EVENTS or lease.over, WAITING_TIME
            ):
                self._drop(event)
                return
            if lease.over:
                raise ConnectionLost("the producer is closed")
            self._waiting.append(event)
            begin, self._busy = self._busy is not lease, lease
        if begin:
            lease.soon(self._begin, bus)

    def flush(self) -> None:
        if self._proven:
            self.connection.run(self._flushed)
        with self._changed:
            self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _drop(self, event: Event) -> None:
        self.dropped += 1
        _log.warning("event dropped kind=%s reason=%s", event.kind, "the broker takes none")

    # -- on the loop

    def _begin(self, bus: Bus) -> None:
        self._sending = asyncio.ensure_future(self._send_waiting(bus))

    async def _send_waiting(self, bus: Bus) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._busy = None
                    return
                events = list(self._waiting)
                self._waiting.clear()
                self._changed.notify_all()
            for event in events:
                try:
                    await self._publish(bus, event)
                except BusError as error:
                    self._failure = error
                    self._drop(event)

    async def _publish_first(self, bus: Bus, event: Event) -> None:
        await self._empty()  # what was sent before comes first
        await self._publish(bus, event)

    async def _publish(self, bus: Bus, event: Event) -> None:
        if not await bus.publish(event):
            self.dropped += 1  # the bus has logged it

    async def _empty(self) -> None:
        if self._sending is not None:
            await self._sending

    async def _flushed(self, bus: Bus) -> None:
        await self._empty()
        await bus.flush()
