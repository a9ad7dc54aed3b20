"""The blocking consumer: a callback for each event that a query lets through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeAlias

from lxml import objectify

from clacks.bus import Bus, Gap, Received, Since, Subscription
from clacks.common.address import DEFAULT_DOMAIN
from clacks.common.components.connection import Door
from clacks.common.components.handover import Handover
from clacks.common.errors import BusError, ConnectionFailed, ConnectionLost
from clacks.common.event import Event
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry
from clacks.common.tracing import Tracing
from clacks.net.threads import background_loop

__all__ = ["AMQPEventConsumer"]

_log = logging.getLogger(__name__)
_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()

Callback: TypeAlias = Callable[[objectify.ObjectifiedElement], Any]

OPENING_TIME = 30.0
"""Seconds until a consumer must have connected, logged in and subscribed."""


class AMQPEventConsumer:
    """Call a function for each event that a query lets through.

    It subscribes when it is made, and the constructor returns when the broker has agreed: whatever is sent
    after that arrives. From then on it reconnects by itself. The callback gets the tree of ``Event``:
    ``data.PhoneStatus.CallerId`` is a member, ``etree.tostring(data)`` the XML. Callbacks run one after the
    other, in the order of the events, on a thread of their own. One that raises is logged, the next event is
    delivered. While a callback is slow events wait in a bounded queue; then the oldest are dropped, counted.

    It ends with ``close``, at the end of a ``with`` block, or when nobody refers to it any more (so keep it,
    and use ``close`` if the callback itself refers to it).

    Args:
        url: ``amqp[s]://user:password@host[:port]/domain``. For ``amqps`` the certificate must be good: of an
            authority that the system trusts, or on this machine of the one that ``clacks up`` made.
        domain: The domain, if the URL has none.
        xquery: Which events; the context item is the document node. ``.`` means all.
        callback: Is called with each event.
        ca: File with the certificates to trust instead.
        registry: The event types; those built in, of plug-ins and of ``CLACKS_EVENTS`` if None.
        limits: How much may wait for the callback, and the sizes of messages.
        tracing: Makes a span of each callback, as part of the trace that the event came with.

        since: First the events recorded since then, and then live ones, without gap or double; what is missed
            later, while the connection is away, is replayed, too. An ISO time or aware datetime, a time ago
            such as ``"-1h"``, or a log id, after which to begin.

    Raises:
        SettingsError: The URL is none.
        QuerySyntaxError: The query does not compile.
        ConnectionFailed, LoginRefused, LinkRefused: Nobody there, wrong credentials, not allowed.
        CommandRefused: ``since``, and no agent on this domain records events.

    Example:
        >>> with AMQPEventConsumer(  # doctest: +SKIP
        ...     "amqps://admin:secret@localhost/org.clacks",
        ...     xquery="declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus",
        ...     callback=lambda data: print(data.PhoneStatus.Status),
        ... ) as consumer:
        ...     consumer.join()
    """

    def __init__(
        self,
        url: str,
        domain: str = DEFAULT_DOMAIN,
        xquery: str = ".",
        callback: Callback | None = None,
        *,
        ca: str | None = None,
        registry: SchemaRegistry | None = None,
        limits: Limits = DEFAULT_LIMITS,
        tracing: Tracing | None = None,
        since: Since | None = None,
    ) -> None:
        door = Door.of(url, domain=domain, ca=ca, registry=registry, limits=limits, tracing=tracing)
        self._feed = _Feed(door, callback)
        self._feed.start(xquery, since)
        self._finalizer = weakref.finalize(self, self._feed.release)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the consumer ends, at most ``timeout`` seconds; Ctrl-C ends the waiting at once.

        Raises:
            BusError: If the broker took the subscription away, or the consumer was closed before the call
                (a loop around ``join`` would run hot otherwise).
        """
        feed = self._feed
        # The error of Ctrl-C keeps this frame alive, and with it the consumer: "except KeyboardInterrupt:
        # del consumer" would end nothing.
        del self
        feed.join(timeout)

    def close(self) -> None:
        """Stop, and wait until the running callback has returned and the connection is gone.

        Events that wait for the callback are thrown away. Calling it again does nothing.
        """
        self._finalizer.detach()
        self._feed.close()

    @property
    def closed(self) -> bool:
        """Tell whether there will be no more callbacks."""
        return self._feed.ended.is_set()

    @property
    def dropped(self) -> int:
        """How many events were thrown away because the callback was too slow."""
        return self._feed.subscription.dropped

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """When the connection was away: events may be missing from then. The latest is the last."""
        return self._feed.subscription.gaps

    def __enter__(self) -> AMQPEventConsumer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Feed:
    """What runs behind a consumer: bus and subscription on the loop, callbacks on a thread.

    It never refers to the consumer, so that dropping the consumer is seen.
    """

    def __init__(self, door: Door, callback: Callback | None) -> None:
        self.ended = threading.Event()
        self.subscription: Subscription
        self._callback = callback
        self._door = door
        self._bus: Bus = door.bus()
        self._pump: asyncio.Task[None] | None = None
        self._failure: BusError | None = None
        self._closing = False
        self._lease = background_loop().lease(self._stop)
        self._handover: Handover[Event | Received] = Handover(self._lease.soon)
        self._thread = threading.Thread(target=self._work, name="clacks-consumer", daemon=True)

    def start(self, xquery: str, since: Since | None) -> None:
        try:
            self._lease.run(self._open(xquery, since))
        except BaseException:
            self.ended.set()
            self._lease.close()
            raise
        self._thread.start()

    async def _open(self, xquery: str, since: Since | None) -> None:
        try:
            async with asyncio.timeout(OPENING_TIME):
                await self._bus.start()
                self.subscription = await self._bus.subscribe(xquery, since=since)
        except TimeoutError as error:
            where = self._door.url.safe
            raise ConnectionFailed(f"{where}: no subscription within {OPENING_TIME:g} seconds") from error
        self._pump = asyncio.ensure_future(self._carry(self.subscription))

    async def _carry(self, events: Subscription) -> None:
        try:
            # Who traces needs what the message said; reading that for all others would be waste.
            async for item in events if self._door.tracing is None else events.messages():
                await self._handover.put(item)
        except BusError as error:
            self._failure = error
            _log.warning("subscription lost reason=%s", error)
        finally:
            self._drop_waiting()

    async def _stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self._drop_waiting()
        await self._bus.close()

    def _drop_waiting(self) -> None:
        left = self._handover.close()
        if left:
            _log.info("consumer closed with events waiting dropped=%s", left)

    def _work(self) -> None:
        try:
            while items := self._handover.take():
                for item in items:
                    if self._handover.closed:
                        break
                    if isinstance(item, Received):
                        self._deliver_traced(item)
                    else:
                        self._deliver(item)
        finally:
            self.ended.set()
            self._lease.release()

    def _deliver(self, event: Event, within: AbstractContextManager[None] = _NOTHING) -> None:
        if self._callback is None:
            _log.debug("< %s, and no callback", event.kind)
            return
        try:
            with within:
                self._callback(event.objectified())
        except Exception:  # noqa: BLE001 - the one place: a callback is the user's, the consumer lives on
            _log.exception("callback failed kind=%s", event.kind)

    def _deliver_traced(self, item: Received) -> None:
        tracing = self._door.tracing
        assert tracing is not None
        self._deliver(item.event, tracing.callback(item.event.kind, item.address, item.properties))

    def join(self, timeout: float | None) -> None:
        if self._failure is None:
            if self._lease.inherited:
                raise ConnectionLost("this consumer was made before the fork: it stayed behind")
            if self.ended.is_set():
                raise ConnectionLost("the consumer is closed")
        self.ended.wait(timeout)
        if self._failure is not None:
            raise self._failure

    def release(self) -> None:
        self._lease.release()

    def close(self) -> None:
        deadline = time.monotonic() + 6.0
        self._lease.close()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join(max(0.0, deadline - time.monotonic()))
