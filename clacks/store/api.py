"""What an event log and a key/value store are, wherever they are kept: SQLite here, Redis for many gateways.

Everything is asynchronous and belongs to the loop that opened the store. Whoever appends is answered when the
event is committed, not before; what is appended within one turn of the loop, and while a commit is under way,
is committed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from clacks.store.ids import LogId

__all__ = [
    "Appended",
    "EventLog",
    "KeyValue",
    "LogEntry",
    "LogStatus",
    "NewEntry",
    "Page",
    "PropertyValue",
    "Retention",
    "Store",
]

PropertyValue: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An event that is to be recorded.

    Attributes:
        event_id: Its ``cloudEvents_id``: what joins the recorded event and the one on the bus.
        kind: Event type.
        source: Its ``cloudEvents_source``.
        time: When it was published (``cloudEvents_time``), microseconds since 1970.
        xml: The document, UTF-8.
        user: Who published it, or None if nobody vouches for it.
        stored: Whether somebody was promised that it is kept (``stored=True``); then it is published after.
        key: What it is found by within its type, such as the topic of a TopicMessage; None or
            empty if by nothing.
        expires: Milliseconds since 1970 after which it is not read any more, or None.
        properties: Further application properties of its message.
    """

    event_id: str
    kind: str
    source: str
    time: int
    xml: bytes
    user: str | None = None
    stored: bool = False
    key: str | None = None
    expires: int | None = None
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A recorded event: where it stands, and what was recorded."""

    id: LogId
    event: NewEntry


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to an append: where the event stands, and whether it stood there before."""

    id: LogId
    known: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, oldest first.

    Attributes:
        entries: What was found.
        next: Continue after this id; that of the last place looked at, found or not.
        more: Whether there may be more after it.
    """

    entries: tuple[LogEntry, ...]
    next: LogId
    more: bool


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How much is in a log.

    Attributes:
        events: How many.
        size: Bytes that the log takes; of Redis an estimate.
        first: Id of the oldest, or None.
        last: The last id given, pruned or not, or None.
    """

    events: int
    size: int
    first: LogId | None
    last: LogId | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the log is kept; the oldest goes first. None means no bound.

    Attributes:
        age: Seconds.
        events: How many.
        size: Bytes that the log may take.
    """

    age: float | None = None
    events: int | None = None
    size: int | None = None


class EventLog(Protocol):
    """Events in the order in which they were recorded."""

    async def append(self, entries: Sequence[NewEntry]) -> list[Appended]:
        """Record events; return when they are committed, with the id of each.

        An event that is in the log already (same event id and same document) is not recorded again: the
        answer is its id, so a caller who is not sure may ask again.

        Raises:
            StoreFull: There is no room; nothing of this call is recorded.
            StoreError: The log cannot be written.
        """
        ...

    async def read(
        self,
        *,
        after: LogId | None = None,
        since: int | None = None,
        until: int | LogId | None = None,
        kinds: Iterable[str] | None = None,
        key: str | None = None,
        limit: int = 500,
        size: int = 1024 * 1024,
        newest: bool = False,
    ) -> Page:
        """Read events, oldest first; those that expired are left out.

        Args:
            after: Only those after this place, exclusive; it need not exist (any more).
            since: Only those recorded at this time (milliseconds since 1970) or later.
            until: Only those recorded up to this time or place, inclusive.
            kinds: Only these types.
            key: Only those with this key.
            limit: At most so many.
            size: At most so many bytes of XML, but at least one event.
            newest: Take the last ones that fit, not the first; then ``next`` is still after the last.

        Raises:
            StoreError: The log cannot be read.
        """
        ...

    async def find(self, event_id: str) -> LogId | None:
        """Return where the event with this id stands (the latest, if several have it), or None."""
        ...

    async def keys(self, kind: str) -> list[str]:
        """Return all keys under which events of a type are in the log, sorted."""
        ...

    async def status(self) -> LogStatus:
        """Return how much there is."""
        ...

    async def prune(self, retention: Retention, now: int) -> int:
        """Remove what is too old or too much, and what expired; return how many events went.

        ``now`` in milliseconds since 1970. Appending goes on meanwhile.
        """
        ...

    async def unpublished(self) -> list[LogEntry]:
        """Return the stored events of which it is not known that they were published: after a crash, those
        of its last moment."""
        ...

    def published(self, id: LogId) -> None:  # noqa: A002 - as everywhere here
        """Note that a stored event was published. Written with the next commit, within a second."""
        ...


class KeyValue(Protocol):
    """Texts by key, some for a limited time. Any text may be a key or a value, the empty one too."""

    async def get(self, key: str) -> str | None:
        """Return the value, or None if there is none (any more)."""
        ...

    async def set(self, key: str, value: str, ttl: float | None = None) -> None:
        """Set a value, for ``ttl`` seconds or for ever; a former time to live is forgotten.

        Raises:
            StoreFull: There is no room: on the disk, or for so many keys or so long a text (limits).
            StoreError: It cannot be written.
            ValueError: ``ttl`` is not positive.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Remove a key; tell whether it was there."""
        ...

    async def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has left, ``inf`` if it has no end, None if there is no such key."""
        ...

    async def keys(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """Return the keys that begin so, sorted; at most ``limit``."""
        ...


class Store(Protocol):
    """An event log and a key/value store that live together. Use it as asynchronous context manager."""

    @property
    def log(self) -> EventLog:
        """The event log."""
        ...

    @property
    def values(self) -> KeyValue:
        """The key/value store."""
        ...

    @property
    def shared(self) -> bool:
        """Whether several recorders may use it at the same time (Redis)."""
        ...

    @property
    def where(self) -> str:
        """Where it is, for people; without passwords."""
        ...

    async def start(self) -> None:
        """Open it.

        Raises:
            StoreError: It cannot be opened, or another recorder uses it.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and let go. Calling it again does nothing."""
        ...

    async def backup(self, path: Path) -> None:
        """Write a copy of everything into a new file, while the store is in use.

        Raises:
            StoreError: It cannot be written, exists already, or this kind of store has a backup of its own.
        """
        ...

    async def __aenter__(self) -> Store: ...

    async def __aexit__(self, *_: object) -> None: ...
