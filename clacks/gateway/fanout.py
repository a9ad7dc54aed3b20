"""From one event to all who want it: the hot path of the gateway.

For each topic a *plan* is kept: who gets the events of that topic, with rights already asked, grouped by how
they see it. A plan holds as long as nothing changes: a subscription, a login, the rights. So a message to a
thousand subscribers is encoded once, framed once, and appended a thousand times. What cannot be decided for
all events of a topic (queries, tests, paces, one copy for a connection) is asked for each event.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from clacks.common.errors import QueryBudgetExceeded
from clacks.common.metrics import Metrics
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import Access
from clacks.dialects.actions import Form, Wanted
from clacks.dialects.delivered import Delivered
from clacks.dialects.topics import PatternTree
from clacks.filters.index import FilterIndex, event_kinds
from clacks.net.web_link import Link
from clacks.net.web_outbox import Audience, Outbox
from clacks.xquery.budget import BROKER_BUDGET, BUDGET_CODE

__all__ = ["Fanout", "Subscriber"]

_log = logging.getLogger(__name__)

_JUDGED: Final = 2.0
"""Seconds of CPU that one query may take on events that were: 10^5 events for most, 100 for a hostile one."""

_MANY: Final = 8
"""Links that see an event alike, from which on they are written to as an audience."""

_PLANS: Final = 4096
"""Topics whose plan is remembered."""

_HELD: Final = 10_000
"""Events held back while a subscriber's replay is read; beyond them it is cut off, for it would miss some."""


_LATE: Final = 10.0
"""Seconds within which the bus may bring what the log had already: it is committed first, then published."""

_KNOWN: Final = 2000
"""Ids of a replay that are remembered for so long, the latest; an event has two."""


class _Look:
    """How some subscribers see events: the same bytes. Keeps the frame of the last event."""

    __slots__ = ("form", "frame", "framed", "of", "splice", "topic", "users")

    def __init__(self, form: Form, splice: bytes, framed: Callable[[bytes], bytes]) -> None:
        self.form = form
        self.splice = splice
        self.framed = framed
        self.frame: bytes | None = None
        self.of: Delivered | None = None
        self.topic = ""
        self.users = 0

    def frame_of(self, delivered: Delivered, topic: str) -> bytes | None:
        """Return what is written for an event; None if this form does not show it."""
        if self.of is not delivered or self.topic != topic:
            encoded = self.form.encode(delivered, topic)
            self.frame = None if encoded is None else self.framed(encoded.head + self.splice + encoded.tail)
            self.of = delivered
            self.topic = topic
        return self.frame


class Subscriber:
    """One subscription of one connection."""

    __slots__ = (
        "access",
        "held",
        "id",
        "known",
        "known_until",
        "last",
        "link",
        "look",
        "once",
        "owner",
        "pace",
        "wanted",
    )

    def __init__(
        self,
        owner: Hashable,
        id: Hashable,  # noqa: A002 - as in the vocabulary
        link: Link,
        access: Access,
        wanted: Wanted,
        look: _Look,
        *,
        once: bool,
        pace: float,
    ) -> None:
        self.owner = owner
        self.id = id
        self.link = link
        self.access = access
        self.wanted = wanted
        self.look = look
        self.once = once
        self.pace = pace
        self.last = float("-inf")
        self.held: list[Delivered] | None = None
        """Events that wait until the replay is sent, or None."""
        self.known: frozenset[str] | None = None
        """Ids of what the replay had lately, while the bus may still bring it."""
        self.known_until = 0.0

    @property
    def plain(self) -> bool:
        """Whether topic and rights alone decide."""
        wanted = self.wanted
        waits = self.held is not None or self.known is not None
        return not (wanted.xquery or wanted.test or self.once or self.pace or waits)


class _Plan:
    """Who gets the events of a topic: many at once, a few, and those to ask for each event."""

    __slots__ = ("asked", "audiences", "few", "many", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.many: list[tuple[_Look, Audience]] = []
        self.audiences: tuple[Audience, ...] = ()
        self.few: list[tuple[_Look, list[Link]]] = []
        self.asked: list[Subscriber] = []

    def group(self, groups: dict[_Look, list[Link]]) -> None:
        """Take those for whom topic and rights decide."""
        alone = len({link for links in groups.values() for link in links}) == sum(map(len, groups.values()))
        for look, links in groups.items():
            # Who gets an event twice gets it as two subscriptions do: each event in turn.
            if alone and len(links) >= _MANY:
                self.many.append((look, Audience(links)))
            else:
                self.few.append((look, links))
        self.audiences = tuple(audience for _, audience in self.many)


class Fanout:
    """All subscriptions of a gateway.

    Args:
        registry: Says which types ``*`` covers.
        outbox: Where links with something to write are collected.
        metrics: Where to count.
        now: Seconds of a clock that only goes forward.
    """

    def __init__(
        self, registry: SchemaRegistry, outbox: Outbox, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._outbox = outbox
        self._now = now
        self._topics: PatternTree[Subscriber] = PatternTree()
        self._kinds: dict[str | None, dict[Subscriber, None]] = {}
        self._looks: dict[tuple[Form, bytes, Callable[[bytes], bytes]], _Look] = {}
        self._index = FilterIndex(budget=BROKER_BUDGET, on_error=self._query_failed)
        self._failed: set[Hashable] = set()
        self._version = 0
        self._plans: OrderedDict[str, _Plan] = OrderedDict()
        self._subscriptions = metrics.counter("web_subscriptions")
        self._delivered = metrics.counter("web_delivered")
        self._metrics = metrics

    # -- who wants what

    def add(
        self,
        owner: Hashable,
        id: Hashable,  # noqa: A002
        link: Link,
        access: Access,
        wanted: Wanted,
        form: Form,
        splice: bytes,
        *,
        once: bool = False,
        pace: float = 0.0,
        hold: bool = False,
    ) -> Subscriber:
        """Let somebody take part; with ``hold`` events wait until `release`.

        Raises:
            QueryError: If the query does not compile.
        """
        key = (form, splice, link.framed)
        look = self._looks.get(key)
        if look is None:
            look = _Look(form, splice, link.framed)
        subscriber = Subscriber(owner, id, link, access, wanted, look, once=once, pace=pace)
        if hold:
            subscriber.held = []
        if wanted.xquery is not None:
            self._index.add(subscriber, wanted.xquery)
        self._looks[key] = look
        look.users += 1
        if wanted.topics is not None:
            self._topics.add(wanted.topics, subscriber)
        else:
            for kind in self._filed(wanted):
                self._kinds.setdefault(kind, {})[subscriber] = None
        self._subscriptions.value += 1
        self._version += 1
        return subscriber

    def _filed(self, wanted: Wanted) -> frozenset[str | None]:
        kinds: frozenset[str] | None = wanted.kinds
        if kinds is None and wanted.xquery is not None:
            kinds = event_kinds(wanted.xquery)
        return frozenset(kinds) if kinds is not None else frozenset((None,))

    def remove(self, subscriber: Subscriber) -> None:
        """Let somebody go; nothing is sent for it any more."""
        wanted, look = subscriber.wanted, subscriber.look
        if wanted.topics is not None:
            self._topics.remove(wanted.topics, subscriber)
        else:
            for kind in self._filed(wanted):
                found = self._kinds.get(kind, {})
                found.pop(subscriber, None)
                if not found:
                    self._kinds.pop(kind, None)
        if wanted.xquery is not None and subscriber in self._index:
            self._index.remove(subscriber)
            self._failed.discard(subscriber)
        look.users -= 1
        if look.users == 0:
            self._looks.pop((look.form, look.splice, look.framed), None)
        self._subscriptions.value -= 1
        self._version += 1

    def changed(self) -> None:
        """Ask for rights anew: they, or somebody's login, changed."""
        self._version += 1

    def __len__(self) -> int:
        return self._subscriptions.value

    # -- events

    def deliver(self, delivered: Delivered) -> int:
        """Give an event to everybody who wants and may see it; return to how many connections it went."""
        topic = delivered.topic
        plan = self._plans.get(topic)
        if plan is None or plan.version != self._version:
            plan = self._plan(delivered, topic)
        count = 0
        if plan.many:
            self._outbox.share(plan.audiences)
            for look, audience in plan.many:
                frame = look.frame_of(delivered, topic)
                if frame is not None:
                    audience.frames.append(frame)
                    count += len(audience.links)
        for look, links in plan.few:
            frame = look.frame_of(delivered, topic)
            if frame is not None:
                for link in links:
                    link.write(frame)
                count += len(links)
        if plan.asked:
            count += self._ask(plan.asked, delivered, topic)
        self._delivered.value += count
        return count

    def _plan(self, delivered: Delivered, topic: str) -> _Plan:
        """Work out who gets the events of a topic, as things stand."""
        plan = _Plan(self._version)
        groups: dict[_Look, list[Link]] = {}
        for subscriber in self._candidates(delivered, topic):
            if not subscriber.access.may_see(delivered):
                continue
            if subscriber.plain:
                groups.setdefault(subscriber.look, []).append(subscriber.link)
            else:
                plan.asked.append(subscriber)
        plan.group(groups)
        self._plans[topic] = plan
        self._plans.move_to_end(topic)
        if len(self._plans) > _PLANS:
            self._plans.popitem(last=False)
        return plan

    def _candidates(self, delivered: Delivered, topic: str) -> list[Subscriber]:
        kind = delivered.kind
        found = list(self._topics.find(topic))
        found += self._kinds.get(kind, ())
        everything = self._kinds.get(None)
        if everything:
            covered = self._registry.annotations(kind).wildcard
            found += [one for one in everything if covered or not one.wanted.wildcard]
        return found

    def _ask(self, asked: list[Subscriber], delivered: Delivered, topic: str) -> int:
        matched: set[Hashable] = set()
        if any(subscriber.wanted.xquery is not None for subscriber in asked):
            matched = self._index.match(delivered.event)
        seen: set[Hashable] = set()
        count = 0
        for subscriber in asked:
            wanted = subscriber.wanted
            if wanted.xquery is not None and subscriber not in matched:
                continue
            if wanted.test is not None and not wanted.test(delivered):
                continue
            if subscriber.known is not None and self._had(subscriber, subscriber.known, delivered):
                continue
            if subscriber.once:
                if subscriber.owner in seen:
                    continue
                seen.add(subscriber.owner)
            if subscriber.pace:
                now = self._now()
                # A source that sends every two seconds is never exactly on time: a tenth may be missing.
                if now - subscriber.last < 0.9 * subscriber.pace:
                    continue
                subscriber.last = now
            if subscriber.held is not None:
                self._hold(subscriber, delivered)
                continue
            count += self.send(subscriber, delivered, topic)
        return count

    def _hold(self, subscriber: Subscriber, delivered: Delivered) -> None:
        assert subscriber.held is not None
        if len(subscriber.held) >= _HELD:
            _log.warning("connection cut off: too many events during its replay")
            self._metrics.count("web_cut_off")
            subscriber.link.abort()
            return
        subscriber.held.append(delivered)

    def send(self, subscriber: Subscriber, delivered: Delivered, topic: str | None = None) -> int:
        """Send one event to one subscriber, whatever it asked for; 1 if there was something to send."""
        frame = subscriber.look.frame_of(delivered, delivered.topic if topic is None else topic)
        if frame is None:
            return 0
        subscriber.link.write(frame)
        return 1

    def judge(self, wanted: Wanted) -> Callable[[Delivered], bool]:
        """Return a test for events that did not come from the bus just now; rights are not part of it.

        The test raises `QueryBudgetExceeded` when the query has used ``_JUDGED`` seconds of CPU: each event
        has a budget of its own, and a log has a million events.

        Raises:
            QueryError: If the query does not compile.
        """
        index: FilterIndex | None = None
        spent = 0.0
        if wanted.xquery is not None:
            index = FilterIndex(budget=BROKER_BUDGET)
            index.add("wanted", wanted.xquery)

        def matches(delivered: Delivered) -> bool:
            nonlocal spent
            if index is None:
                return True
            if spent > _JUDGED:
                raise QueryBudgetExceeded(BUDGET_CODE, f"the query took {_JUDGED:g} s on events of the log")
            begun = time.thread_time()
            found = bool(index.match(delivered.event))
            spent += time.thread_time() - begun
            return found

        def wants(delivered: Delivered) -> bool:
            if wanted.kinds is not None and delivered.kind not in wanted.kinds:
                return False
            if wanted.wildcard and not self._registry.annotations(delivered.kind).wildcard:
                return False
            if not matches(delivered):
                return False
            return wanted.test is None or wanted.test(delivered)

        return wants

    def release(self, subscriber: Subscriber, sent: Iterable[str]) -> None:
        """Send what was held back but what the replay had, and go on live.

        Args:
            subscriber: One that was added with ``hold``.
            sent: Event ids and ids of messages of the replay, in its order.
        """
        held, subscriber.held = subscriber.held, None
        had = list(sent)
        known = frozenset(had)
        for delivered in held or ():
            if delivered.event_id in known or delivered.id in known:
                continue
            self._delivered.value += self.send(subscriber, delivered)
        if had:
            subscriber.known = frozenset(had[-_KNOWN:])
            subscriber.known_until = self._now() + _LATE
        self._version += 1

    def _had(self, subscriber: Subscriber, known: frozenset[str], delivered: Delivered) -> bool:
        """Tell whether the replay had an event that the bus brings now."""
        if self._now() >= subscriber.known_until:
            subscriber.known = None
            self._version += 1
            return False
        return delivered.event_id in known or delivered.id in known

    def _query_failed(self, key: Hashable, error: Exception) -> None:
        self._metrics.count("filter_errors")
        if key not in self._failed:
            self._failed.add(key)
            _log.warning("a filter failed on an event, which counts as no match error=%s", error)
