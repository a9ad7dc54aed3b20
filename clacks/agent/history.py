"""The commands by which others read the event log and use the key/value store; they run on worker threads."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from clacks.common.command import Command
from clacks.common.errors import CommandError, EventError, QueryError, QuerySyntaxError
from clacks.common.jsonrpc import INVALID_PARAMS
from clacks.common.limits import Limits
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.store import LogEntry, LogId, NewEntry, Retention, Store
from clacks.store.moments import moment

__all__ = ["History"]

Result = TypeVar("Result")

_CHUNK: Final = 200  # events that are read at once to be asked a query
_LARGE: Final = 256 * 1024  # bytes of JSON from which a document travels compressed


class History:
    """Reads for others, within their rights.

    Args:
        registry: The event types.
        store: What was recorded.
        rights: Returns the rights that count now.
        limits: Sizes of pages.
        wait: Carries out a coroutine on the loop and waits for it.
        settled: Waits until what was received by now is recorded.
        backups: Folder for backups.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        store: Store,
        rights: Callable[[], Rights],
        limits: Limits,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
        settled: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._rights = rights
        self._limits = limits
        self._wait = wait
        self._settled = settled

    @Command(needs_user=True)
    def getEvents(
        self,
        user: str,
        since: str | int | float | None = None,
        until: str | int | float | None = None,
        xquery: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        kinds: list[str] | None = None,
        afterEvent: str | None = None,
        key: str | None = None,
        newest: bool = False,
    ) -> dict[str, Any]:
        """Return recorded events, oldest first, one page: ``events``, ``next`` and ``more``.

        ``since`` is inclusive: an ISO time, a time ago such as ``-1h`` or -3600, milliseconds since 1970; a
        log id is exclusive. ``until`` is inclusive. ``xquery`` and ``kinds`` select, ``limit`` bounds the
        page. While ``more`` is true, call again with ``after`` set to ``next`` and all else the same.
        ``afterEvent`` is the id of an event (``cloudEvents_id``) after which to begin, if it is in the log;
        else ``since`` and ``after`` count. ``key`` selects those recorded under it, such as the topic of
        a TopicMessage. With ``newest`` the last ones come that fit into a page, not the first; a query does
        not go with it. Only types come that the caller may read.
        """
        self._settled()
        now = int(time.time() * 1000)
        begin, end = _moment("since", since, now), _moment("until", until, now)
        place = _place(after)
        if isinstance(begin, LogId):
            place, begin = (begin if place is None else max(place, begin)), None
        if afterEvent is not None:
            found = self._wait(self._store.log.find(afterEvent))
            if found is not None:
                place, begin = found, None
        most = self._limits.log_page_events if limit is None else limit
        if most < 1:
            raise CommandError(INVALID_PARAMS, f"limit is at least 1, not {most}")
        most = min(most, self._limits.log_page_events)
        if newest and xquery is not None:
            raise CommandError(INVALID_PARAMS, "newest: not together with xquery")
        matches, possible = _filter(xquery)
        allowed = self._rights()
        wanted = (
            None if kinds is None and possible is None else (set(kinds) if kinds is not None else possible)
        )
        if wanted is not None and possible is not None:
            wanted = wanted & possible
        may_all = all(allowed.may_read(user, kind) for kind in self._registry.kinds)
        if not may_all:
            readable = {kind for kind in self._registry.kinds if allowed.may_read(user, kind)}
            wanted = readable if wanted is None else wanted & readable
        page: list[dict[str, Any]] = []
        room = self._limits.log_page_bytes
        deadline = time.thread_time() + self._limits.log_scan_seconds
        while True:
            chunk = self._wait(
                self._store.log.read(
                    after=place,
                    since=begin,
                    until=end,
                    kinds=wanted,
                    key=key,
                    limit=most if xquery is None else _CHUNK,
                    size=self._limits.log_page_bytes,
                    newest=newest,
                )
            )
            if newest:
                page = [
                    _as_json(entry) for entry in chunk.entries if allowed.may_read(user, entry.event.kind)
                ]
                return _answer(page, chunk.next, chunk.more)
            for n, entry in enumerate(chunk.entries):
                if page and (len(page) >= most or room <= 0 or time.thread_time() > deadline):
                    return _answer(page, chunk.entries[n - 1].id if n else place, True)
                if allowed.may_read(user, entry.event.kind) and matches(entry.event):
                    page.append(_as_json(entry))
                    room -= len(entry.event.xml)
            place, begin = chunk.next, None
            if not chunk.more or len(page) >= most or room <= 0 or time.thread_time() > deadline:
                return _answer(page, place, chunk.more)

    @Command(needs_user=True)
    def getLogKeys(self, user: str, kind: str) -> list[str]:
        """Return the keys under which events of a type are in the log, sorted: of a TopicMessage its topics.

        Of a type that the caller may not read there are none.
        """
        self._settled()
        found: list[str] = []
        if self._rights().may_read(user, kind):
            found = self._wait(self._store.log.keys(kind))
        return found

    @Command
    def getLogStatus(self) -> dict[str, Any]:
        """Return how much is in the event log: events, bytes, the first and the last log id, and its
        store."""
        status = self._wait(self._store.log.status())
        return {
            "events": status.events,
            "bytes": status.size,
            "first": None if status.first is None else str(status.first),
            "last": None if status.last is None else str(status.last),
            "store": "Redis" if self._store.shared else "SQLite",
        }

    @Command
    def backupLog(self, name: str | None = None) -> str:
        """Copy event log and key/value store into a new file, while they are in use; return its path.

        It is made beside the log, in the folder ``backups``; ``name`` is the file's, else the time is.
        """
        name = name or time.strftime("log-%Y%m%dT%H%M%SZ.sqlite", time.gmtime())
        if Path(name).name != name or name.startswith(".") or "\0" in name:
            raise CommandError(INVALID_PARAMS, "the name of a backup is that of a file, without a folder")
        if not self._store.shared:
            folder = Path(self._store.where).parent / "backups"
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / name
        else:
            path = Path(name)
        self._wait(self._store.backup(path))
        return str(path)

    @Command
    def pruneLog(
        self,
        seconds: float | None = None,
        events: int | None = None,
        bytes: int | None = None,  # noqa: A002
    ) -> int:
        """Remove the oldest events, until none is older than ``seconds``, and there are not more than so many
        events or bytes; return how many went. Without an argument only what expired goes."""
        for value in (seconds, events, bytes):
            if value is not None and not value >= 0:
                raise CommandError(INVALID_PARAMS, f"not a bound: {value!r}")
        went: int = self._wait(
            self._store.log.prune(Retention(seconds, events, bytes), int(time.time() * 1000))
        )
        return went

    @Command
    def kvGet(self, key: str) -> str | None:
        """Return the value of a key of the key/value store, or null."""
        value: str | None = self._wait(self._store.values.get(key))
        return value

    @Command
    def kvSet(self, key: str, value: str, ttl: float | None = None) -> None:
        """Set a value of the key/value store, for ``ttl`` seconds or for ever."""
        try:
            self._wait(self._store.values.set(key, value, ttl))
        except ValueError as error:
            raise CommandError(INVALID_PARAMS, str(error)) from error

    @Command
    def kvDelete(self, key: str) -> bool:
        """Remove a key of the key/value store; tell whether it was there."""
        found: bool = self._wait(self._store.values.delete(key))
        return found

    @Command
    def kvTtl(self, key: str) -> dict[str, Any]:
        """Tell whether a key ``exists``, and its ``seconds`` left: null if it has no end."""
        left: float | None = self._wait(self._store.values.ttl(key))
        return {"exists": left is not None, "seconds": left if left not in (None, float("inf")) else None}

    @Command
    def kvKeys(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """Return the keys of the key/value store that begin so, sorted; at most ``limit``, at most 1000."""
        found: list[str] = self._wait(self._store.values.keys(prefix, max(0, min(limit, 1000))))
        return found


def _moment(name: str, value: str | int | float | None, now: int) -> LogId | int | None:
    if value is None:
        return None
    try:
        return moment(value, now)
    except ValueError as error:
        raise CommandError(INVALID_PARAMS, f"{name}: {error}") from error


def _place(after: str | None) -> LogId | None:
    try:
        return None if after is None else LogId.parse(after)
    except ValueError as error:
        raise CommandError(INVALID_PARAMS, f"after: {error}") from error


def _filter(xquery: str | None) -> tuple[Callable[[NewEntry], bool], set[str] | None]:
    """Return a test for events, and the types that can pass it, None if all can."""
    if xquery is None or xquery.strip() in ("", "."):
        return (lambda entry: True), None
    from clacks.filters.index import FilterIndex, event_kinds
    from clacks.xquery import BROKER_BUDGET, compile_query

    try:
        query = compile_query(xquery, budget=BROKER_BUDGET)
    except QuerySyntaxError as error:
        where = {"code": error.code, "line": error.line, "column": error.column}
        raise CommandError(INVALID_PARAMS, f"xquery: {error}", where) from error
    except QueryError as error:
        raise CommandError(INVALID_PARAMS, f"xquery: {error}", {"code": error.code}) from error
    index = FilterIndex(budget=BROKER_BUDGET)
    index.add(0, query)
    possible = event_kinds(query)

    def matches(entry: NewEntry) -> bool:
        try:
            return bool(index.match(entry.xml, variables_of(entry)))
        except EventError:
            return False

    return matches, None if possible is None else set(possible)


def variables_of(entry: NewEntry) -> dict[str, Any]:
    """Return the application properties that the message of a recorded event had."""
    return {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": entry.event_id,
        "cloudEvents_type": entry.kind,
        "cloudEvents_source": entry.source,
        "cloudEvents_time": _iso(entry.time),
        **entry.properties,
    }


def _iso(micros: int) -> str:
    second, micro = divmod(micros, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + f".{micro:06d}Z"


def _as_json(entry: LogEntry) -> dict[str, Any]:
    event = entry.event
    made: dict[str, Any] = {
        "log": str(entry.id),
        "id": event.event_id,
        "type": event.kind,
        "source": event.source,
        "time": _iso(event.time),
    }
    if event.user is not None:
        made["user"] = event.user
    if event.properties:
        made["properties"] = dict(event.properties)
    text = event.xml.decode("utf-8")
    if len(event.xml) > _LARGE // 6 and len(json.dumps(text)) > _LARGE:
        made["deflated"] = base64.b64encode(zlib.compress(event.xml, 1)).decode("ascii")
    else:
        made["xml"] = text
    return made


def _answer(page: list[dict[str, Any]], place: LogId | None, more: bool) -> dict[str, Any]:
    return {"events": page, "next": str(place or LogId(0, 0)), "more": more}
