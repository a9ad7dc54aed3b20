"""The receiving half of the bus: which links feed which subscriptions, and what comes over them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from clacks.amqp.connection import (
    ConnectionEvent,
    LinkClosed,
    LinkOpened,
    MessageReceived,
    ReceiveFrom,
    selector_filter,
    subject_filter,
    xquery_filter,
)
from clacks.amqp.links import Receiver
from clacks.amqp.messages import Message, decode
from clacks.amqp.profiles import FilterTrust, NodeKind, Profile
from clacks.bus.ages import Ages
from clacks.bus.joining import Joint
from clacks.bus.links import Line, permanent
from clacks.bus.subscription import Item, Subscription
from clacks.common.address import event_address
from clacks.common.errors import ConnectionLost, EventError, InvalidEvent, LinkRefused, ProtocolError
from clacks.common.event import Event
from clacks.common.limits import Limits
from clacks.common.metrics import Metrics
from clacks.common.schema import SchemaRegistry

if TYPE_CHECKING:
    from clacks.filters.index import FilterIndex
    from clacks.xquery import Query

__all__ = ["Subscriber"]

log = logging.getLogger(__name__)

_MOST_KINDS: Final = 32
"""Event types that become a link each; a query that names more reads the topic of all types."""
_MOST_SELECTORS: Final = 16
"""Links to one address with a selector each; more subscriptions share one link, and the index finds them.
A broker looks at every selector at every event, and sends a copy for each that lets it through."""
_RETRY: Final = 1.0  # seconds before a link is asked for again that the broker took away
_MOST_BROKEN: Final = 2  # connections that may break while a new link waits for its answer
_RELOAD: Final = 5.0  # seconds between looks at the schema folders because of unknown types


class Tap:
    """One receiving link."""

    __slots__ = (
        "address",
        "applied",
        "kind",
        "query",
        "receiver",
        "refusal",
        "selector",
        "settled",
        "subscriptions",
    )

    def __init__(
        self, address: str, kind: str | None, query: str | None, selector: str | None = None
    ) -> None:
        self.address = address
        self.kind = kind
        self.query = query
        """The filter that the broker is asked to apply."""
        self.selector = selector
        """What the broker may leave out before we judge: less than the query, never more."""
        self.applied = False
        self.receiver: Receiver | None = None
        self.settled: asyncio.Future[None] | None = None
        """Done when the broker has agreed or refused."""
        self.refusal: LinkRefused | None = None
        self.subscriptions: list[Subscription] = []


class _Part:
    """What the subscriber knows of one subscription."""

    __slots__ = ("agreed", "kinds", "needs_variables", "query", "selector", "taps", "text")

    def __init__(
        self, text: str, query: Query | None, kinds: frozenset[str] | None, selector: str | None = None
    ) -> None:
        self.text = text
        self.query = query
        """None if every event matches."""
        self.kinds = kinds
        self.selector = selector
        self.needs_variables = query is not None and bool(query.external_variables)
        self.taps: list[Tap] = []
        self.agreed = False
        """Whether the broker had agreed to all links once: then a loss is a gap."""

    @property
    def complete(self) -> bool:
        """Whether the broker agrees to all links now."""
        return bool(self.taps) and all(
            tap.settled is not None and tap.settled.done() and not tap.settled.cancelled()
            for tap in self.taps
        )


class Subscriber:
    """Keeps the links of all subscriptions of a bus, and judges what comes over them."""

    def __init__(self, line: Line, registry: SchemaRegistry, limits: Limits, metrics: Metrics) -> None:
        self._line = line
        self._registry = registry
        self._limits = limits
        self._metrics = metrics
        self._ages = Ages(metrics)
        self._parts: dict[Subscription, _Part] = {}
        self._taps: dict[Tap, None] = {}
        self._index: FilterIndex | None = None
        self._indexed: set[Subscription] = set()
        self._variables = 0
        self._reloaded = float("-inf")
        self._failed: set[Subscription] = set()
        self._broken: dict[tuple[str, str | None], int] = {}
        self._last_warning: dict[str, float] = {}
        self._restored = asyncio.Event()

    # -- subscribing

    async def subscribe(
        self,
        text: str,
        kinds: Iterable[str] | None,
        events: int | None,
        size: int | None,
        joint: Joint[Item] | None = None,
    ) -> Subscription:
        """Make a subscription and wait until the broker has agreed to its links.

        Raises:
            QuerySyntaxError, LinkRefused, ConnectionLost: As `Bus.subscribe` says.
        """
        part = self._understand(text, kinds)
        subscription = Subscription(
            text,
            events=events or self._limits.queue_events,
            size=size or self._limits.queue_bytes,
            metrics=self._metrics,
            ended=self._remove,
            joint=joint,
        )
        self._parts[subscription] = part
        self._variables += part.needs_variables
        try:
            self._attach(subscription, part)
            await self._agreed(subscription)
        except BaseException:
            subscription.end()
            raise
        return subscription

    def _understand(self, text: str, kinds: Iterable[str] | None) -> _Part:
        wanted = frozenset(kinds) if kinds is not None else None
        if text.strip() in ("", "."):
            return _Part(".", None, wanted or None)
        # The engine takes a moment to import; who only sends never needs it.
        from clacks.filters.index import event_kinds
        from clacks.filters.selector import necessary_selector
        from clacks.xquery import compile_query

        query = compile_query(text)
        possible = event_kinds(query)
        if wanted and possible:
            possible &= wanted
        selector = necessary_selector(query) if query.external_variables else None
        return _Part(text, query, wanted or possible or None, selector)

    async def _agreed(self, subscription: Subscription) -> None:
        """Wait for the answers to the attaches; over a reconnect if need be."""
        while True:
            part = self._parts.get(subscription)
            if part is None:
                raise ConnectionLost("the bus was closed")
            for tap in part.taps:
                if tap.refusal is not None:
                    raise tap.refusal
            if part.complete:
                part.agreed = True
                return
            waiting: list[asyncio.Future[Any]] = [
                tap.settled for tap in part.taps if tap.settled is not None and not tap.settled.done()
            ]
            restored = asyncio.ensure_future(self._restored.wait())
            try:
                await asyncio.wait([*waiting, restored], return_when=asyncio.FIRST_COMPLETED)
            finally:
                restored.cancel()

    def _attach(self, subscription: Subscription, part: _Part) -> None:
        connection = self._line.connection
        if connection is None:
            return
        profile = connection.profile
        assert profile is not None
        broker_filters = part.query is not None and profile.xquery is FilterTrust.ECHO
        for address, kind in self._addresses(part, profile, broker_filters):
            query = part.text if broker_filters else None
            selector = part.selector if profile.selectors and not broker_filters else None
            if selector is not None and self._selectors(address) >= _MOST_SELECTORS:
                selector = None
            tap = None if query is not None else self._shared(address, selector)
            if tap is None:
                tap = Tap(address, kind, query, selector)
                tap.settled = asyncio.get_running_loop().create_future()
                self._taps[tap] = None
                self._open(tap)
            tap.subscriptions.append(subscription)
            part.taps.append(tap)
        if part.query is not None and not broker_filters:
            self._evaluate(subscription, part.query)

    def _addresses(self, part: _Part, profile: Profile, broker_filters: bool) -> list[tuple[str, str | None]]:
        domain = self._line.domain
        kinds = part.kinds
        if profile.kind_links and kinds is None:
            kinds = self._registry.kinds
        elif kinds is not None and len(kinds) > _MOST_KINDS and not profile.kind_links:
            kinds = None
        if kinds is None:
            return [(profile.all_events(domain), None)]
        return [(event_address(domain, kind), kind) for kind in sorted(kinds)]

    def _shared(self, address: str, selector: str | None) -> Tap | None:
        fits = (address, None, selector)
        return next((tap for tap in self._taps if (tap.address, tap.query, tap.selector) == fits), None)

    def _selectors(self, address: str) -> int:
        return sum(tap.address == address and tap.selector is not None for tap in self._taps)

    def _open(self, tap: Tap) -> None:
        connection = self._line.connection
        if connection is None:
            return
        profile = connection.profile
        assert profile is not None
        filters = []
        if tap.query is not None:
            filters.append(xquery_filter(tap.query))
        if tap.selector is not None:
            filters.append(selector_filter(tap.selector))
        if profile.subject_filter and tap.kind is not None:
            filters.append(subject_filter(tap.kind))
        tap.receiver = connection.open_receiver(
            ReceiveFrom(
                profile.source(tap.address, NodeKind.TOPIC, self._line.domain),
                self._limits.credit,
                tuple(filters),
                profile.capabilities(NodeKind.TOPIC),
                profile.topic_properties,
            ),
            _TapOwner(self, tap),
        )

    def _evaluate(self, subscription: Subscription, query: Query) -> None:
        if self._index is None:
            from clacks.filters.index import FilterIndex

            self._index = FilterIndex(on_error=self._query_failed, metrics=self._metrics)
        self._index.add(subscription, query)
        self._indexed.add(subscription)

    def _query_failed(self, key: Any, error: Exception) -> None:
        self._metrics.count("filter_errors")
        if key not in self._failed:
            self._failed.add(key)
            log.warning("a filter failed on an event, which counts as no match error=%s", error)

    # -- the end of a subscription

    def _remove(self, subscription: Subscription) -> None:
        part = self._parts.pop(subscription, None)
        if part is None:
            return
        self._variables -= part.needs_variables
        if subscription in self._indexed and self._index is not None:
            self._indexed.discard(subscription)
            self._index.remove(subscription)
        for tap in part.taps:
            tap.subscriptions.remove(subscription)
            if not tap.subscriptions:
                self._drop(tap)
        self._failed.discard(subscription)

    def _drop(self, tap: Tap) -> None:
        self._taps.pop(tap, None)
        connection = self._line.connection
        if tap.receiver is not None and connection is not None:
            connection.close_link(tap.receiver)
        tap.receiver = None
        if tap.settled is not None and not tap.settled.done():
            tap.settled.cancel()

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._parts):
            subscription.end()
        self._restored.set()

    # -- the connection

    def lost(self, reason: str, silent: float) -> None:
        """Note that the connection is gone; the broker was last heard ``silent`` seconds ago."""
        since = datetime.now(UTC) - timedelta(seconds=silent)
        for subscription, part in self._parts.items():
            # One that the broker had not agreed to yet misses nothing that it was promised.
            if part.agreed:
                subscription.away(since, reason)
        for tap in list(self._taps):
            if tap.settled is not None and not tap.settled.done():
                self._unanswered(tap, reason)

    def _unanswered(self, tap: Tap, reason: str) -> None:
        """Give a new subscription up when the connection broke again instead of an answer.

        RabbitMQ 3.10 has no better word for who may not read a topic: it resets the connection three seconds
        later. Asking for ever would break it for everything else on it.
        """
        if any(self._parts[subscription].agreed for subscription in tap.subscriptions):
            return
        key = (tap.address, tap.query)
        self._broken[key] = self._broken.get(key, 0) + 1
        if self._broken[key] >= _MOST_BROKEN:
            del self._broken[key]
            words = (
                f"the connection breaks each time this is asked for, which may mean no right to it: {reason}"
            )
            tap.refusal = LinkRefused("amqp:connection:forced", words, tap.address)
            assert tap.settled is not None
            tap.settled.set_result(None)

    def restore(self) -> None:
        """Open all links again on a new connection; another broker may want other links."""
        for tap in self._taps:
            if tap.settled is not None and not tap.settled.done():
                tap.settled.cancel()
        self._taps.clear()
        for subscription, part in self._parts.items():
            part.taps.clear()
            if subscription in self._indexed and self._index is not None:
                self._indexed.discard(subscription)
                self._index.remove(subscription)
            self._attach(subscription, part)
        self._restored.set()
        self._restored.clear()

    # -- events of taps

    def opened(self, tap: Tap, event: LinkOpened) -> None:
        """Note that the broker agreed to a link, and whether it applies the filter."""
        tap.applied = tap.query is not None and any(
            part.is_xquery and part.value == tap.query for part in event.applied
        )
        if tap.query is not None and not tap.applied:
            log.info("the broker does not apply the filter; it is evaluated here address=%s", tap.address)
            for subscription in tap.subscriptions:
                query = self._parts[subscription].query
                if query is not None and subscription not in self._indexed:
                    self._evaluate(subscription, query)
        self._broken.pop((tap.address, tap.query), None)
        if tap.settled is not None and not tap.settled.done():
            tap.settled.set_result(None)
        for subscription in tap.subscriptions:
            if self._parts[subscription].complete:
                subscription.back()

    def closed(self, tap: Tap, event: LinkClosed) -> None:
        """Note that a link was refused or taken away."""
        tap.receiver = None
        if event.with_connection or tap not in self._taps:
            return
        if tap.selector is not None and tap.settled is not None and not tap.settled.done():
            # It spares the broker and the way some work, nothing else: do without before giving up.
            log.info("asking again without a selector address=%s reason=%s", tap.address, event.description)
            tap.selector = None
            self._open(tap)
            return
        error = LinkRefused(event.condition, event.description, tap.address)
        agreed = any(self._parts[subscription].agreed for subscription in tap.subscriptions)
        if permanent(event.condition) or not agreed:
            tap.refusal = error
            self._taps.pop(tap, None)
            if tap.settled is not None and not tap.settled.done():
                tap.settled.set_result(None)
            for subscription in list(tap.subscriptions):
                if self._parts[subscription].agreed:
                    log.warning("a subscription ended address=%s reason=%s", tap.address, error)
                    subscription.end(error)
            return
        log.warning("the broker took a link away, asking again address=%s reason=%s", tap.address, error)
        for subscription in tap.subscriptions:
            subscription.away(datetime.now(UTC), str(error))
        tap.settled = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(_RETRY, self._again, tap)

    def _again(self, tap: Tap) -> None:
        if tap in self._taps and tap.receiver is None:
            self._open(tap)

    def received(self, tap: Tap, body: bytes) -> None:
        """Judge a message and give it to those who want it."""
        try:
            message = decode(body)
            event = self._event(message.body)
        except (EventError, ProtocolError) as error:
            reason = "invalid event" if isinstance(error, InvalidEvent) else "malformed message"
            self._drop_event(reason, getattr(error, "kind", ""), error)
            return
        kind, now = event.kind, time.time()
        self._ages.note(message, now)
        if message.subject != kind or tap.kind not in (None, kind):
            self._drop_event("address, subject and document do not agree", kind)
        elif message.absolute_expiry_time is not None and message.expired(now):
            self._drop_event("expired", kind)
        else:
            matched = self._matched(event, message) if self._indexed and not tap.applied else ()
            for subscription in tap.subscriptions:
                if tap.kind is None and not self._wants(subscription, kind):
                    continue
                if tap.applied or subscription not in self._indexed or subscription in matched:
                    subscription.put(event, message, tap.address)

    def _wants(self, subscription: Subscription, kind: str) -> bool:
        """Tell whether a subscription that reads the topic of all types asked for this one."""
        kinds = self._parts[subscription].kinds
        return kinds is None or kind in kinds

    def _event(self, document: bytes) -> Event:
        accepted = self._registry.shared(document)
        if accepted is not None:  # by a broker in this process, a moment ago
            return accepted
        try:
            return self._registry.receive(document, newer_ok=True)
        except InvalidEvent:
            if not self._reload():
                raise
        return self._registry.receive(document, newer_ok=True)

    def _matched(self, event: Event, message: Message) -> Container[object]:
        assert self._index is not None
        try:
            variables = message.properties if self._variables else None
        except ProtocolError as error:
            self._drop_event("malformed message", event.kind, error)
            return ()
        return self._index.match(event, variables)

    def _reload(self) -> bool:
        """Look for schemas that came since, now and then; tell whether there are any."""
        now = time.monotonic()
        if now - self._reloaded < _RELOAD:
            return False
        self._reloaded = now
        return self._registry.stale() and self._registry.reload()

    def _drop_event(self, reason: str, kind: str, error: Exception | None = None) -> None:
        self._metrics.count("events_dropped", reason=reason)
        now = time.monotonic()
        level = logging.DEBUG
        if now - self._last_warning.get(reason, float("-inf")) >= 10.0:
            self._last_warning[reason] = now
            level = logging.WARNING
        log.log(level, "event dropped on receipt kind=%s reason=%s error=%s", kind, reason, error)


class _TapOwner:
    """Joins the events of a link to the tap it belongs to."""

    __slots__ = ("_subscriber", "_tap")

    def __init__(self, subscriber: Subscriber, tap: Tap) -> None:
        self._subscriber = subscriber
        self._tap = tap

    def on_link(self, event: ConnectionEvent) -> None:
        match event:
            case MessageReceived():
                self._subscriber.received(self._tap, event.body)
            case LinkOpened():
                self._subscriber.opened(self._tap, event)
            case LinkClosed():
                self._subscriber.closed(self._tap, event)
