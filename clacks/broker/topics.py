"""Topics: every subscriber gets a copy, nobody waits for a slow one.

::

    topic --> patterns that cover it --> Group ... --> Subscription ...
              (found once per topic)     same rights,   one outgoing link: send,
                                         one index      or wait in a bounded queue

A group holds those subscriptions of one pattern that may see the same. So a right is checked once per group
and topic, and before any filter of the group sees the message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from lxml import etree

from clacks.amqp.links import Sender
from clacks.amqp.messages import Envelope, decode, open_envelope
from clacks.broker.waiting import Waiting
from clacks.common.errors import MalformedEvent, ProtocolError
from clacks.common.metrics import Counter, Metrics
from clacks.common.xmltext import read_document

if TYPE_CHECKING:
    from clacks.filters.index import FilterIndex
    from clacks.xquery.query import Query

__all__ = ["Content", "Group", "Outlet", "Subscription", "TopicTree"]

_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """The connection of a consumer, as far as its links need it."""

    @property
    def user(self) -> str:
        """The login."""

    @property
    def who(self) -> tuple[str, str]:
        """Login and container id: the same again when the peer reconnects."""

    room: int
    """Bytes that may still be handed to the engine before the next flush."""

    def block(self, link: Pumped) -> None:
        """Call `Pumped.pump` when there is room again."""


class Pumped(Protocol):
    """Something with messages that wait for room in a connection."""

    def pump(self, now: float) -> None:
        """Send what waits, as far as credit and room go."""


class Counts(Protocol):
    """Where subscriptions count."""

    delivered: Counter
    filter_errors: Counter

    def drop(self, reason: str, user: str, description: str, n: int = 1) -> None:
        """Count lost messages."""


class Content:
    """The inside of a message for filters, opened when the first filter asks."""

    __slots__ = ("_envelope", "_error", "_raw", "_root", "_variables")

    def __init__(
        self, raw: bytes, envelope: Envelope | None = None, root: etree._Element | None = None
    ) -> None:
        self._raw = raw
        self._envelope = envelope
        self._root = root
        self._variables: Mapping[str, object] | None = None
        self._error: Exception | None = None

    def open(self) -> tuple[etree._Element, Mapping[str, object]]:
        """Return the document's root and the properties of the message.

        Raises:
            MalformedEvent: If the body is no XML document that we read.
            ProtocolError: If the message is none.
        """
        if self._error is not None:
            raise self._error
        try:
            if self._root is None:
                self._root, _ = read_document(decode(self._raw).body)
            if self._variables is None:
                envelope = self._envelope or open_envelope(self._raw)
                self._variables = envelope.properties
        except (MalformedEvent, ProtocolError) as error:
            self._error = error
            raise
        return self._root, self._variables


class Subscription:
    """One outgoing link of a topic, with what waits for it.

    Attributes:
        address: The address or pattern as the peer wrote it.
        query: Its XQuery filter, or None.
        credit: Messages that the peer still takes.
        delivered: Messages handed to the connection.
        dropped: Messages given up because the peer is too slow.
    """

    __slots__ = (
        "_count",
        "_counts",
        "_failed",
        "_items",
        "address",
        "credit",
        "delivered",
        "dropped",
        "outlet",
        "query",
        "sender",
        "waiting",
    )

    def __init__(
        self,
        sender: Sender,
        outlet: Outlet,
        address: str,
        query: Query | None,
        waiting: Waiting,
        counts: Counts,
    ) -> None:
        self.sender = sender
        self.outlet = outlet
        self.address = address
        self.query: Query | str | None = query
        self.waiting = waiting
        self.credit = 0
        self.delivered = 0
        self.dropped = 0
        self._items = waiting.items
        self._counts = counts
        self._count = counts.delivered
        self._failed = False

    def offer(self, raw: bytes, expires: float | None) -> None:
        """Send a message now, or let it wait, or give up the oldest that waits."""
        outlet = self.outlet
        if self.credit > 0 and outlet.room > 0 and not self._items:
            self.credit -= 1
            outlet.room -= len(raw)
            self.sender.send(raw)
            self.delivered += 1
            self._count.value += 1
            return
        if self.credit > 0:
            outlet.block(self)
        dropped = self.waiting.put(raw, expires)
        if dropped:
            self.dropped += dropped
            self._counts.drop("slow consumer", outlet.user, self.address, dropped)

    def pump(self, now: float) -> None:
        """Send what waits, as far as credit and room go; leave out what has expired."""
        items, outlet, sender = self._items, self.outlet, self.sender
        while items and self.credit > 0:
            if outlet.room <= 0:
                outlet.block(self)
                return
            raw, expires = self.waiting.take()
            if expires is not None and now >= expires:
                self._counts.drop("expired", outlet.user, self.address)
                continue
            self.credit -= 1
            outlet.room -= len(raw)
            sender.send(raw)
            self.delivered += 1
            self._count.value += 1
        if self.credit > 0 and sender.draining:
            sender.drained()
            self.credit = 0

    def credited(self, now: float) -> None:
        """Note that the peer changed the credit or asks to drain."""
        self.credit = self.sender.credit
        self.pump(now)

    def failed(self, error: Exception) -> None:
        """Note that the filter could not be evaluated: the message does not match."""
        self._counts.filter_errors.value += 1
        if not self._failed:
            self._failed = True
            _log.warning(
                "filter fails user=%s address=%s error=%s (said once per subscription)",
                self.outlet.user,
                self.address,
                ascii(str(error)[:300]),
            )

    def close(self) -> None:
        """Forget what waits."""
        self.waiting.clear()


def _failed(key: Hashable, error: Exception) -> None:
    assert isinstance(key, Subscription)
    key.failed(error)


class Group:
    """Subscriptions of one pattern that may see the same topics."""

    __slots__ = ("allows", "filtered", "index", "metrics", "plain")

    def __init__(self, allows: Callable[[str], bool], metrics: Metrics | None = None) -> None:
        self.allows = allows
        self.metrics = metrics
        self.plain: dict[Subscription, None] = {}
        self.filtered: dict[Subscription, None] = {}
        self.index: FilterIndex | None = None

    def add(self, subscription: Subscription) -> None:
        """Take a subscription; its filter, if any, compiles."""
        if subscription.query is None:
            self.plain[subscription] = None
            return
        if self.index is None:
            # The engine takes 0.2 s to import: a broker starts without it.
            from clacks.filters.index import FilterIndex
            from clacks.xquery.budget import BROKER_BUDGET

            self.index = FilterIndex(budget=BROKER_BUDGET, on_error=_failed, metrics=self.metrics)
        self.index.add(subscription, subscription.query)
        # The index keeps what it needs: of most queries no compiled tree.
        subscription.query = (
            subscription.query if isinstance(subscription.query, str) else subscription.query.text
        )
        self.filtered[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Let go of a subscription."""
        if subscription.query is None:
            del self.plain[subscription]
        elif self.index is not None:
            self.index.remove(subscription)
            del self.filtered[subscription]
            if not self.filtered:
                self.index = None

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return not self.plain and self.index is None

    def deliver_matching(self, raw: bytes, expires: float | None, content: Content) -> int:
        """Offer a message to those whose filter lets it through; return how many they are."""
        found = self._matching(content)
        for matched in found:
            assert isinstance(matched, Subscription)
            matched.offer(raw, expires)
        return len(found)

    def _matching(self, content: Content) -> set[Hashable]:
        index = self.index
        assert index is not None
        try:
            root, variables = content.open()
        except (MalformedEvent, ProtocolError) as error:
            for subscription in self.filtered:
                subscription.failed(error)
            return set()
        return index.match(root, variables)


class _Level:
    """One level of the tree of patterns."""

    __slots__ = ("below", "groups", "many")

    def __init__(self, many: bool = False) -> None:
        self.many = many
        self.below: dict[str, _Level] = {}
        self.groups: dict[Hashable, Group] = {}


_ROUTES: Final = 65536  # topics whose groups are remembered


class TopicTree:
    """All subscriptions to topics, by pattern."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._root = _Level()
        self._exact: dict[str, dict[Hashable, Group]] = {}
        self._routes: dict[str, tuple[Group, ...]] = {}
        self._places: dict[Subscription, tuple[str, bool, Hashable]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._places)

    def subscribe(
        self,
        subscription: Subscription,
        pattern: str,
        wild: bool,
        key: Hashable,
        allows: Callable[[str], bool],
    ) -> None:
        """Add a subscription.

        ``key`` tells groups of one pattern apart; ``allows`` says whether the group may see a topic, and is
        asked once per topic until the next `forget_routes`.
        """
        groups = self._level(pattern).groups if wild else self._exact.setdefault(pattern, {})
        group = groups.get(key)
        if group is None:
            group = Group(allows, self._metrics)
            group.add(subscription)
            groups[key] = group
            self._routes.clear()
        else:
            group.add(subscription)
        self._places[subscription] = (pattern, wild, key)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription; nothing happens if it is not there."""
        place = self._places.pop(subscription, None)
        if place is None:
            return
        pattern, wild, key = place
        groups = self._level(pattern).groups if wild else self._exact[pattern]
        group = groups[key]
        group.remove(subscription)
        if group.empty:
            del groups[key]
            self._routes.clear()
            if not groups:
                self._prune(pattern, wild)

    def publish(self, topic: str, raw: bytes, expires: float | None, content: Content | None = None) -> int:
        """Offer a message to everybody whose pattern, rights and filter let it through; return how many
        subscriptions that were."""
        offered = 0
        groups = self._routes.get(topic)
        if groups is None:
            groups = self._route(topic)
        for group in groups:
            for subscription in group.plain:
                subscription.offer(raw, expires)
            offered += len(group.plain)
            if group.index is not None:
                content = content or Content(raw)
                offered += group.deliver_matching(raw, expires, content)
        return offered

    def forget_routes(self) -> None:
        """Ask the groups again what they may see: rights have changed."""
        self._routes.clear()

    def _route(self, topic: str) -> tuple[Group, ...]:
        found = [*self._exact.get(topic, {}).values(), *self._wild(topic)]
        groups = tuple(group for group in found if group.allows(topic))
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        self._routes[topic] = groups
        return groups

    def _wild(self, topic: str) -> Iterator[Group]:
        # All places in the tree that the levels so far lead to; a place with "many" stays where it is.
        places = _with_many({self._root: None})
        for level in topic.split("."):
            reached: dict[_Level, None] = {}
            for place in places:
                for name in (level, "*"):
                    if (below := place.below.get(name)) is not None:
                        reached[below] = None
                if place.many:
                    reached[place] = None
            places = _with_many(reached)
        for place in places:
            yield from place.groups.values()

    def _level(self, pattern: str) -> _Level:
        place = self._root
        for name in pattern.split("."):
            below = place.below.get(name)
            if below is None:
                below = place.below[name] = _Level(name == "#")
            place = below
        return place

    def _prune(self, pattern: str, wild: bool) -> None:
        if not wild:
            del self._exact[pattern]
            return
        path = [self._root]
        names = pattern.split(".")
        for name in names:
            path.append(path[-1].below[name])
        for place, name in zip(reversed(path[:-1]), reversed(names)):
            below = place.below[name]
            if below.below or below.groups:
                return
            del place.below[name]


def _with_many(places: dict[_Level, None]) -> dict[_Level, None]:
    """Add the places behind a ``#`` that stands for no level at all."""
    found = dict(places)
    waiting = list(places)
    while waiting:
        below = waiting.pop().below.get("#")
        if below is not None and below not in found:
            found[below] = None
            waiting.append(below)
    return found
