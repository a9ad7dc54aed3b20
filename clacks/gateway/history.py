"""What was: events of the log as sessions see them, by topic or by type, with the reader's rights.

Message ids of topics are made by the gateway that published, places in the log by the recorder. A reader goes
on after a message id; so its place is looked up, and what stands after it is read.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from clacks.common.errors import EventError, QueryError, StoreError
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import Access
from clacks.dialects.actions import Failed, Failure, Recalled, Since, Wanted
from clacks.dialects.delivered import EVENTS_TOPIC, TOPIC_MESSAGE, Delivered
from clacks.dialects.topics import is_pattern, matches
from clacks.store.api import LogEntry, Page
from clacks.store.ids import LogId

__all__ = ["History", "Readable"]

_log = logging.getLogger(__name__)

_PAGE: Final = 500
_TURN: Final = 0.005  # seconds before others have the loop
_PAGES: Final = 200
"""Pages that one question reads of a topic: 100,000 events; a filter that lets nothing through ends there."""
_MOST_TOPICS: Final = 1000
"""Topics of the log that one pattern reads."""
_SKEW: Final = 60_000
"""Milliseconds by which the clocks of a gateway and of a recorder may differ when a place is looked up."""
_OWN_TIME: Final = 2.0
_OWN_STEP: Final = 0.02


class Readable(Protocol):
    """What is needed of an event log, wherever it is kept."""

    async def read(
        self,
        *,
        after: LogId | None = None,
        since: int | None = None,
        kinds: Iterable[str] | None = None,
        key: str | None = None,
        limit: int = 500,
        newest: bool = False,
    ) -> Page:
        """Read events, as `clacks.store.api.EventLog` does."""

    async def keys(self, kind: str) -> list[str]:
        """Return the keys of a type."""


@dataclass(slots=True)
class _Part:
    """One reading of the log: a topic, or some types."""

    kinds: frozenset[str] | None
    key: str | None


class History:
    """Reads a log.

    Args:
        log: Where events are recorded.
        registry: Makes events of documents.
        limit: Events that one question yields at most.
        now: Milliseconds since 1970.
        latest: By topic the id of the last message that this gateway published and when (seconds of the
            loop), the latest at the end: a reader finds what it was told is published, though the recorder
            gets it over the bus a moment later.
    """

    def __init__(
        self,
        log: Readable,
        registry: SchemaRegistry,
        limit: int,
        now: Callable[[], int],
        latest: Mapping[str, tuple[str, float]] = MappingProxyType({}),
    ) -> None:
        self._events = log
        self._registry = registry
        self._limit = limit
        self._now = now
        self._latest = latest

    async def recall(
        self,
        access: Access,
        wanted: Wanted,
        since: Since,
        limit: int | None,
        wants: Callable[[Delivered], bool],
    ) -> Recalled | Failed:
        """Read events.

        Args:
            access: Who reads; each event is asked for.
            wanted: Topics or types.
            since: From where.
            limit: At most that many of each topic; None: as many as there may be.
            wants: The rest of the conditions.
        """
        most = self._limit if limit is None else max(0, min(limit, self._limit))
        if most == 0:
            return Recalled()
        try:
            found: list[Delivered] = []
            complete = True
            for part in await self._parts(wanted):
                await self._settled(part)
                events, all_of_it = await self._read(part, since, most, access, wants)
                found += events
                complete = complete and all_of_it
            return Recalled(tuple(found), complete)
        except QueryError as error:
            return Failed(Failure.LIMIT, str(error))
        except StoreError as error:
            _log.warning("the event log cannot be read: %s", error)
            return Failed(Failure.UNAVAILABLE, "the event log cannot be read")

    async def _parts(self, wanted: Wanted) -> list[_Part]:
        topics = wanted.topics
        if topics is None:
            return [_Part(wanted.kinds, None)]
        if topics.startswith(EVENTS_TOPIC):
            kinds = frozenset(
                kind
                for kind in self._registry.kinds
                if kind != TOPIC_MESSAGE and matches(topics, EVENTS_TOPIC + kind)
            )
            return [_Part(kinds, None)] if kinds else []
        only = frozenset((TOPIC_MESSAGE,))
        if not is_pattern(topics):
            return [_Part(only, topics)]
        # The log may not know a topic yet that was published to a moment ago.
        known = dict.fromkeys(await self._events.keys(TOPIC_MESSAGE)) | dict.fromkeys(self._young())
        keys = [key for key in known if matches(topics, key)]
        return [_Part(only, key) for key in keys[:_MOST_TOPICS]]

    def _young(self) -> list[str]:
        """Return the topics published to here lately."""
        earliest = asyncio.get_running_loop().time() - _OWN_TIME
        newest_first = ((topic, published) for topic, (_, published) in reversed(list(self._latest.items())))
        return [topic for topic, _ in itertools.takewhile(lambda one: one[1] >= earliest, newest_first)]

    async def _settled(self, part: _Part) -> None:
        """Wait until the log has what this gateway published last to a topic; not for long."""
        if part.key is None:
            return
        latest = self._latest.get(part.key)
        if latest is None:
            return
        loop = asyncio.get_running_loop()
        wanted, published = latest
        ms = LogId.parse(wanted).ms
        while loop.time() - published < _OWN_TIME:
            page = await self._events.read(
                since=ms - _SKEW, kinds=part.kinds, key=part.key, limit=1, newest=True
            )
            if any(self._delivered(entry, wanted) for entry in page.entries):
                return
            await asyncio.sleep(_OWN_STEP)

    def _delivered(self, entry: LogEntry, only: str | None = None) -> Delivered | None:
        try:
            event = self._registry.receive(entry.event.xml, newer_ok=True)
        except EventError:  # the schema changed since it was recorded
            return None
        made = Delivered(
            event,
            str(entry.id),
            entry.event.time // 1000,
            event_id=entry.event.event_id,
            replayed=True,
        )
        return made if only is None or made.id == only else None

    async def replay(
        self, access: Access, wanted: Wanted, since: Since, wants: Callable[[Delivered], bool]
    ) -> AsyncIterator[Delivered]:
        """Yield everything since a time or place, a topic after the other, each from its oldest on.

        Raises:
            StoreError: If the log cannot be read.
            QueryBudgetExceeded: By ``wants``.
        """
        for part in await self._parts(wanted):
            await self._settled(part)
            async for delivered in self._forward(part, since, access, wants):
                yield delivered

    async def _forward(
        self, part: _Part, since: Since, access: Access, wants: Callable[[Delivered], bool]
    ) -> AsyncIterator[Delivered]:
        start: LogId | None = None
        begin: int | None = None
        if since.after is not None:
            try:
                wanted = LogId.parse(since.after)
            except ValueError:
                return
            start = await self._place(part, wanted)
            if start is None:
                # Pruned, or never there: what is younger than it. Better too much than a silent gap.
                begin = wanted.ms + 1
        else:
            begin = since.ms if since.ms is not None else self._now() - (since.ago or 0)
        earliest = begin or 0
        for _ in range(_PAGES):
            page = await self._events.read(
                after=start, since=begin, kinds=part.kinds, key=part.key, limit=_PAGE
            )
            async for entry in _in_turns(page.entries):
                delivered = self._seen(entry, access, wants)
                if delivered is not None and delivered.time >= earliest:
                    yield delivered
            if not page.more:
                return
            start, begin = page.next, None
        _log.warning("a replay was cut after %d events", _PAGES * _PAGE)

    async def _read(
        self, part: _Part, since: Since, most: int, access: Access, wants: Callable[[Delivered], bool]
    ) -> tuple[list[Delivered], bool]:
        """Read one part: the oldest after a place, or the newest since a time; oldest first."""
        if since.after is None:
            begin = since.ms if since.ms is not None else self._now() - (since.ago or 0)
            return await self._newest(part, begin, most, access, wants)
        found: list[Delivered] = []
        async for delivered in self._forward(part, since, access, wants):
            if len(found) >= most:
                return found, False
            found.append(delivered)
        return found, True

    async def _newest(
        self, part: _Part, begin: int, most: int, access: Access, wants: Callable[[Delivered], bool]
    ) -> tuple[list[Delivered], bool]:
        """Read backwards in growing steps until there is enough: filters may let little through."""
        # Messages may carry a time of their own; those recorded earlier cannot be from after ``begin``
        # unless they were sent with a time to come.
        size = most
        for _ in range(4):
            page = await self._events.read(
                since=begin, kinds=part.kinds, key=part.key, limit=size + 1, newest=True
            )
            seen = [
                delivered
                async for entry in _in_turns(page.entries)
                if (delivered := self._seen(entry, access, wants)) is not None and delivered.time >= begin
            ]
            complete = len(page.entries) <= size and not page.more
            if len(seen) > most:
                return seen[len(seen) - most :], False
            if complete or len(page.entries) < size + 1:
                return seen, complete
            size = min(size * 8, _PAGE * _PAGES)
        return seen, False

    def _seen(self, entry: LogEntry, access: Access, wants: Callable[[Delivered], bool]) -> Delivered | None:
        if not access.may_read(entry.event.kind):
            return None
        delivered = self._delivered(entry)
        if delivered is None or not access.may_see(delivered) or not wants(delivered):
            return None
        return delivered

    async def _place(self, part: _Part, wanted: LogId) -> LogId | None:
        """Return where the event that a reader knows as ``wanted`` stands in the log, or None."""
        if part.key is None:
            return wanted  # ids of typed events are those of the log, or nearly so
        start: LogId | None = None
        begin: int | None = wanted.ms - _SKEW
        text = str(wanted)
        for _ in range(_PAGES):
            page = await self._events.read(
                after=start, since=begin, kinds=part.kinds, key=part.key, limit=_PAGE
            )
            for entry in page.entries:
                if text.encode() in entry.event.xml and self._delivered(entry, text) is not None:
                    return entry.id
            if not page.more:
                return None
            start, begin = page.next, None
        return None


async def _in_turns(entries: Iterable[LogEntry]) -> AsyncIterator[LogEntry]:
    """Yield all of them, and let others have the loop between two when these took a while."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    for entry in entries:
        yield entry
        if loop.time() - since > _TURN:
            await asyncio.sleep(0)
            since = loop.time()
