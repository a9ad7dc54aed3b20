"""Subscriptions: events that a query lets through, waiting for their reader.

A `Subscription` is what the user holds: a bounded queue. A `Tap` is one receiving link and says which
subscriptions it feeds. Where the broker applies a query the tap feeds one subscription and nothing is
evaluated; elsewhere subscriptions to the same address share a tap, and all share one index of queries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from clacks.amqp.messages import Message
from clacks.bus.joining import AGAIN, LOG_ID, Joint
from clacks.common.errors import ProtocolError
from clacks.common.event import Event
from clacks.common.metrics import Counter, Metrics
from clacks.store.ids import LogId

if TYPE_CHECKING:
    from clacks.bus.replaying import Replay

__all__ = ["Gap", "Item", "Received", "Subscription"]

log = logging.getLogger(__name__)

_GAPS: Final = 100
_OVERHEAD: Final = 1024  # bytes that an event costs beside its text: its tree, roughly


Item: TypeAlias = tuple[Event, Message, str, int]
"""An event in the queue: its message, the topic it came from, and the bytes that it counts for."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events between ``start`` and ``end`` (aware, UTC) may be missing: the connection was away."""

    start: datetime
    end: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """One event with what its message said.

    Attributes:
        event: The validated event.
        address: The topic it came from, as the bus names it; ``{domain}.event`` if all types come there.
        subject: The subject of the message: the event type.
        user: Who sent it (``user-id``), or None. Whether that can be believed says `Bus.profile`.
        properties: The application properties, ``cloudEvents_id`` among them.
    """

    event: Event
    address: str
    subject: str | None
    user: str | None
    properties: Mapping[str, Any]


class Subscription:
    """Events that a query lets through: an asynchronous iterator and context manager.

    `Bus.subscribe` makes it. Events wait here in a bounded queue for their reader. If the reader is too slow
    the oldest are dropped and counted in ``dropped``; nobody else waits for it.

    Example:
        >>> async with await bus.subscribe("declare namespace f='http://www.gonicus.de/Events';"
        ...                                "./f:Event/f:PhoneStatus") as events:  # doctest: +SKIP
        ...     async for event in events:
        ...         print(event.kind)

    Attributes:
        xquery: The query.
        dropped: How many events were thrown away because the reader was too slow.
    """

    def __init__(
        self,
        xquery: str,
        *,
        events: int,
        size: int,
        metrics: Metrics,
        ended: Callable[[Subscription], None],
        joint: Joint[Item] | None = None,
    ) -> None:
        self.xquery = xquery
        self.replay: Replay | None = None
        self._joint = joint
        self._roomy: asyncio.Future[None] | None = None
        self.dropped = 0
        self._most_events = events
        self._most_bytes = size
        self._dropped_total = metrics.counter("events_dropped", reason="reader too slow")
        self._metrics = metrics
        self._delivered: dict[str, Counter] = {}
        self._ended = ended
        self._queue: deque[Item] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._error: Exception | None = None
        self._gaps: deque[Gap] = deque(maxlen=_GAPS)
        self._gap_callbacks: list[Callable[[Gap], None]] = []
        self._away: tuple[datetime, str] | None = None
        self._warned = 0.0

    # -- the reader's side

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """When the connection was away, the latest last; the oldest are forgotten after a hundred."""
        return tuple(self._gaps)

    def on_gap(self, callback: Callable[[Gap], None]) -> None:
        """Have ``callback`` called on the loop when a gap is over."""
        self._gap_callbacks.append(callback)

    @property
    def waiting(self) -> int:
        """How many events wait for the reader."""
        return len(self._queue)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event; ends when the subscription or its bus is closed.

        Raises:
            LinkRefused: If the broker took the subscription away (rights, filter).
        """
        return (await self._next())[0]

    async def messages(self) -> AsyncIterator[Received]:
        """Iterate over the same queue, with what each message said. Use one of the two."""
        while True:
            try:
                event, message, address, _ = await self._next()
            except StopAsyncIteration:
                return
            user = message.user_id
            yield Received(
                event,
                address,
                message.subject,
                None if user is None else user.decode("utf-8", "replace"),
                message.properties,
            )

    async def _next(self) -> Item:
        while not self._queue:
            if self._over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter  # not shielded: that would cost a turn of the loop for each event
            else:
                await asyncio.wait((self._waiter,))  # another reader's: it may be cancelled
        item = self._queue.popleft()
        self._bytes -= item[3]
        if self._roomy is not None and self._is_roomy():
            self._roomy.set_result(None)
            self._roomy = None
        return item

    async def close(self) -> None:
        """Stop; events still in the queue can be read. Calling it again does nothing."""
        self.end()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- the bus's side

    def put(self, event: Event, message: Message, address: str) -> None:
        """Give the reader an event; drops the oldest if there is no room."""
        item = self.item(event, message, address)
        joint = self._joint
        if joint is not None:
            if joint.after is not None and message.mentions(AGAIN) and _had(message, joint.after):
                return  # its reader said that it had all up to there, perhaps in an earlier life
            id_, stored = _id_of(message)
            if not joint.live(id_, event.xml, item, item[3], stored=stored):
                return
        elif message.mentions(AGAIN):
            return  # perhaps a double, and nothing is remembered here
        self.enqueue(item)

    def item(self, event: Event, message: Message, address: str) -> Item:
        """Return an event as it stands in the queue."""
        return event, message, address, len(message.body) + _OVERHEAD

    def enqueue(self, item: Item) -> None:
        """Put an event into the queue; drops the oldest if there is no room."""
        queue = self._queue
        queue.append(item)
        self._bytes += item[3]
        self._count(item[0].kind).value += 1
        if len(queue) > self._most_events or self._bytes > self._most_bytes:
            self._make_room()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _count(self, kind: str) -> Counter:
        found = self._delivered.get(kind)
        if found is None:
            found = self._delivered[kind] = self._metrics.counter("events_delivered", type=kind)
        return found

    def _make_room(self) -> None:
        kind = ""
        # The newest stays, even if it is larger than all the room there is.
        while len(self._queue) > 1 and (
            len(self._queue) > self._most_events or self._bytes > self._most_bytes
        ):
            event, _, _, size = self._queue.popleft()
            kind = event.kind
            self._bytes -= size
            self.dropped += 1
            self._dropped_total.value += 1
        now = time.monotonic()
        if kind and now - self._warned >= 10.0:
            self._warned = now
            log.warning("events dropped: the reader is too slow dropped=%d latest=%s", self.dropped, kind)

    async def room(self) -> None:
        """Wait until half of the queue is free: what is replayed waits for its reader and drops nothing."""
        while not self._is_roomy() and not self._over:
            if self._roomy is None:
                self._roomy = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._roomy)

    def _is_roomy(self) -> bool:
        return len(self._queue) <= self._most_events // 2 and self._bytes <= self._most_bytes // 2

    def away(self, since: datetime, reason: str) -> None:
        """Note that events do not come any more."""
        if self._away is None:
            self._away = (since, reason)
        if self.replay is not None:
            self.replay.away()

    def back(self) -> None:
        """Note that events come again."""
        if self._away is None:
            return
        (start, reason), self._away = self._away, None
        gap = Gap(start, datetime.now(UTC), reason)
        if self.replay is not None:
            self.replay.back(gap)
        else:
            self.report(gap)

    def report(self, gap: Gap) -> None:
        """Tell the reader that events may be missing."""
        self._gaps.append(gap)
        log.warning(
            "events may be missing from=%s to=%s reason=%s",
            gap.start.isoformat(timespec="milliseconds"),
            gap.end.isoformat(timespec="milliseconds"),
            gap.reason,
        )
        loop = asyncio.get_running_loop()
        for callback in self._gap_callbacks:
            loop.call_soon(callback, gap)  # what it raises goes to the loop's log and stops nobody

    def end(self, error: Exception | None = None) -> None:
        """Let the reader finish, with an error if there is one."""
        if self._over:
            return
        self._over = True
        self._error = error
        if self.replay is not None:
            self.replay.close()
        self._ended(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _had(message: Message, after: tuple[int, int]) -> bool:
    """Tell whether an event stands in the log at ``after`` or before."""
    try:
        place = message.properties.get(LOG_ID)
        return isinstance(place, str) and LogId.parse(place) <= after
    except (ProtocolError, ValueError):
        return False


def _id_of(message: Message) -> tuple[str | None, bool]:
    """Return the id of an event, and whether it stands in the log already."""
    try:
        id_ = message.properties.get("cloudEvents_id")
        return (id_ if isinstance(id_, str) else None), LOG_ID in message.properties
    except ProtocolError:
        return None, False
