"""The tables of the SQLite store, and the statements; threads and transactions are in ``sqlite``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from clacks.common.errors import StoreError
from clacks.store.api import Appended, LogEntry, LogStatus, NewEntry, Page, Retention
from clacks.store.ids import IdClock, LogId

__all__ = [
    "Append",
    "Bound",
    "Meta",
    "Note",
    "Selection",
    "Writing",
    "bounds",
    "count",
    "find",
    "highest",
    "keys",
    "lowest",
    "prepare",
    "read_meta",
    "shrink",
    "status",
    "unpublished",
]

_VERSION: Final = 1
_LARGEST: Final = (1 << 63) - 1

_TABLES: Final = """
CREATE TABLE events(
    id INTEGER PRIMARY KEY,     -- LogId.packed(): in the order of recording
    event TEXT NOT NULL,        -- cloudEvents_id
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    time INTEGER NOT NULL,      -- microseconds since 1970
    user TEXT,
    stored INTEGER NOT NULL,
    key TEXT,
    expires INTEGER,            -- milliseconds since 1970
    properties TEXT,            -- JSON
    xml BLOB NOT NULL
);
CREATE INDEX events_event ON events(event);
CREATE INDEX events_kind ON events(kind, id);
CREATE INDEX events_key ON events(kind, key, id) WHERE key IS NOT NULL;
CREATE INDEX events_expires ON events(expires) WHERE expires IS NOT NULL;
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE texts(key BLOB PRIMARY KEY, value BLOB NOT NULL, expires INTEGER);
CREATE INDEX texts_expires ON texts(expires) WHERE expires IS NOT NULL;
INSERT INTO meta VALUES ('last', 0), ('published', 0);
"""

_COLUMNS: Final = "id, event, kind, source, time, user, stored, key, expires, properties, xml"


def prepare(db: sqlite3.Connection, sync: str) -> None:
    """Set the connection that writes, and make the tables if the file is new.

    Raises:
        StoreError: The file is of a newer Clacks, or is another database.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables == 0:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts if it comes before the first table
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={_VERSION};COMMIT;")
    elif version != _VERSION:
        raise StoreError(f"its tables are of version {version}, and this Clacks knows {_VERSION}")
    (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"SQLite keeps no write-ahead log here (journal mode {mode})")
    db.execute(f"PRAGMA synchronous={sync}")
    db.execute(f"PRAGMA journal_size_limit={64 * 1024 * 1024}")
    db.execute("PRAGMA temp_store=MEMORY")


class Meta(NamedTuple):
    """What a log knows of itself, as packed ids; 0 if there is none.

    Attributes:
        last: The last id given.
        published: Up to here all stored events are known to be published.
    """

    last: int
    published: int


def read_meta(db: sqlite3.Connection) -> Meta:
    """Read what the log knows of itself."""
    values = dict(db.execute("SELECT name, value FROM meta").fetchall())
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    return Meta(max(values["last"], last), values["published"])


def count(db: sqlite3.Connection) -> int:
    """Return how many events there are; looks at every one."""
    (n,) = db.execute("SELECT count(*) FROM events").fetchone()
    return int(n)


# -- writing


class Writing:
    """One transaction."""

    def __init__(self, db: sqlite3.Connection, ids: IdClock, now: int) -> None:
        self.db = db
        self.ids = ids
        self.now = now
        self.added = 0
        self.last = 0
        self.first_stored = 0
        self.settled: int | None = None
        self.noted = False

    def finish(self) -> None:
        """Write what the log knows of itself."""
        if self.last:
            self.db.execute("UPDATE meta SET value=? WHERE name='last'", (self.last,))
        if not self.noted:
            return
        settled = self.settled
        if settled is None and self.first_stored:
            settled = self.first_stored - 1
        if settled is None:
            self.db.execute(
                "UPDATE meta SET value=(SELECT value FROM meta WHERE name='last') WHERE name='published'"
            )
        else:
            self.db.execute("UPDATE meta SET value=? WHERE name='published'", (settled,))

    def note(self, settled: int | None) -> None:
        """Note up to where stored events were published when this work was given; None for all.

        Of several notes the smallest counts: more may be told as unpublished than is, never less.
        """
        if settled is not None:
            self.settled = settled if self.settled is None else min(self.settled, settled)
        self.noted = True


@dataclass(frozen=True, slots=True)
class Note:
    """Work: write up to where stored events are published; None for all."""

    settled: int | None

    def write(self, writing: Writing) -> None:
        """Do it, inside a transaction."""
        writing.note(self.settled)


@dataclass(frozen=True, slots=True)
class Append:
    """Work: record events."""

    entries: tuple[NewEntry, ...]
    settled: int | None = None

    def write(self, writing: Writing) -> list[Appended]:
        """Do it, inside a transaction."""
        db, ids, now = writing.db, writing.ids, writing.now
        found = []
        for entry in self.entries:
            known = db.execute(
                "SELECT id FROM events WHERE event=? AND xml=?", (entry.event_id, entry.xml)
            ).fetchone()
            if known is not None:
                found.append(Appended(LogId.unpacked(known[0]), known=True))
                continue
            id_ = ids.next(now)
            packed = writing.last = id_.packed()
            if entry.stored and not writing.first_stored:
                writing.first_stored = packed
            db.execute(
                f"INSERT INTO events({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - names of ours
                (
                    packed,
                    entry.event_id,
                    entry.kind,
                    entry.source,
                    entry.time,
                    entry.user,
                    entry.stored,
                    entry.key or None,
                    entry.expires,
                    json.dumps(dict(entry.properties)) if entry.properties else None,
                    entry.xml,
                ),
            )
            writing.added += 1
            found.append(Appended(id_))
        writing.note(self.settled)
        return found


# -- reading


def lowest(after: LogId | None, since: int | None) -> int:
    """Return the packed id after which to read."""
    low = -1 if after is None else after.packed()
    return low if since is None else max(low, LogId(max(0, since), 0).packed() - 1)


def highest(until: int | LogId | None) -> int:
    """Return the packed id up to which to read, inclusive."""
    if until is None:
        return _LARGEST
    return until.packed() if isinstance(until, LogId) else LogId(max(-1, until) + 1, 0).packed() - 1


def _entry(row: tuple[Any, ...]) -> LogEntry:
    id_, event, kind, source, time, user, stored, key, expires, properties, xml = row
    return LogEntry(
        LogId.unpacked(id_),
        NewEntry(
            event,
            kind,
            source,
            time,
            xml,
            user,
            bool(stored),
            key,
            expires,
            json.loads(properties) if properties else {},
        ),
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events to read; places as packed ids, ``after`` exclusive, ``until`` inclusive."""

    after: int
    until: int
    kinds: tuple[str, ...] | None
    key: str | None
    limit: int
    size: int
    newest: bool
    now: int

    def read(self, db: sqlite3.Connection) -> Page:
        """Read them, in one transaction."""
        (last,) = db.execute("SELECT coalesce(max(id), -1) FROM events").fetchone()
        end = max(self.after, min(last, self.until))
        rows: list[tuple[Any, ...]] = []
        room, more = self.size, False
        for row in self._rows(db):
            if len(rows) >= self.limit or (rows and room < len(row[-1])):
                more = True
                break
            room -= len(row[-1])
            rows.append(row)
        if self.newest:
            rows.reverse()
        place = rows[-1][0] if more and rows and not self.newest else end
        return Page(tuple(_entry(row) for row in rows), LogId.unpacked(max(0, place)), more)

    def _rows(self, db: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
        order = "DESC" if self.newest else "ASC"
        if self.kinds is None and self.key is None:
            yield from db.execute(
                f"SELECT {_COLUMNS} FROM events WHERE id > ? AND id <= ?"  # noqa: S608 - names of ours
                f" AND (expires IS NULL OR expires > ?) ORDER BY id {order}",
                (self.after, self.until, self.now),
            )
            return
        for id_ in self._ids(db, order):
            row = db.execute(f"SELECT {_COLUMNS} FROM events WHERE id=?", (id_,)).fetchone()  # noqa: S608
            if row[8] is None or row[8] > self.now:
                yield row

    def _ids(self, db: sqlite3.Connection, order: str) -> Iterator[int]:
        """Yield the ids of the types wanted, merged from the index of each: a few rare types in a large log
        must not cost a walk through all of it."""
        import heapq

        kinds = self.kinds
        if kinds is None:
            kinds = tuple(kind for (kind,) in db.execute("SELECT DISTINCT kind FROM events"))
        condition = "kind=? AND id > ? AND id <= ?" + ("" if self.key is None else " AND key=?")
        more = () if self.key is None else (self.key,)
        walks = [
            db.cursor().execute(
                f"SELECT id FROM events WHERE {condition} ORDER BY id {order}",  # noqa: S608 - names of ours
                (kind, self.after, self.until, *more),
            )
            for kind in kinds
        ]
        for (id_,) in heapq.merge(*walks, reverse=self.newest):
            yield id_


def find(db: sqlite3.Connection, event_id: str) -> LogId | None:
    """Return where the event with this id stands."""
    (id_,) = db.execute("SELECT max(id) FROM events WHERE event=?", (event_id,)).fetchone()
    return None if id_ is None else LogId.unpacked(id_)


def keys(db: sqlite3.Connection, kind: str) -> list[str]:
    """Return all keys of a type."""
    found: list[str] = []
    key = ""
    comparison = ">="
    # From key to key in the index: DISTINCT would look at every event.
    while True:
        (next_key,) = db.execute(
            f"SELECT min(key) FROM events WHERE kind=? AND key {comparison} ?",  # noqa: S608 - a sign of ours
            (kind, key),
        ).fetchone()
        if next_key is None:
            return found
        found.append(next_key)
        key, comparison = next_key, ">"


def unpublished(db: sqlite3.Connection, published: int) -> Iterator[LogEntry]:
    """Yield the stored events after the place up to which publication is known."""
    query = f"SELECT {_COLUMNS} FROM events WHERE id > ? AND stored ORDER BY id"  # noqa: S608 - names of ours
    for row in db.execute(query, (published,)):
        yield _entry(row)


def _size(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (page,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * page)


def status(db: sqlite3.Connection, events: int) -> LogStatus:
    """Return how much there is."""
    (first,) = db.execute("SELECT min(id) FROM events").fetchone()
    last = read_meta(db).last
    return LogStatus(
        events,
        _size(db),
        None if first is None else LogId.unpacked(first),
        LogId.unpacked(last) if last else None,
    )


# -- removing


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound of the log: exactly one attribute says which.

    Attributes:
        expired: Milliseconds since 1970: what expired by then goes, of the keys and values, too.
        before: Packed id: what is older goes.
        events: More than so many go.
        size: What makes the log larger than so many bytes goes.
    """

    expired: int | None = None
    before: int | None = None
    events: int | None = None
    size: int | None = None

    def remove(self, db: sqlite3.Connection, count: int, most: int) -> int:
        """Remove at most ``most`` events of ``count``, the oldest first; return how many went."""
        if self.expired is not None:
            db.execute(
                "DELETE FROM texts WHERE rowid IN (SELECT rowid FROM texts WHERE expires <= ? LIMIT ?)",
                (self.expired, most),
            )
            return _delete(db, "expires <= ? LIMIT ?", (self.expired, most))
        if self.before is not None:
            return _delete(db, "id < ? ORDER BY id LIMIT ?", (self.before, most))
        if self.events is not None:
            surplus = count - self.events
        else:
            assert self.size is not None
            used = _size(db)
            surplus = 0 if used <= self.size else -(-count * (used - self.size) // used)
        return _delete(db, "1 ORDER BY id LIMIT ?", (min(most, surplus),)) if surplus > 0 else 0


def _delete(db: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> int:
    done = db.execute(
        f"DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {condition})",  # noqa: S608 - ours
        values,
    )
    return done.rowcount


def bounds(retention: Retention, now: int) -> list[Bound]:
    """Return the bounds that a retention means at a time, in milliseconds since 1970."""
    found = [Bound(expired=now)]
    if retention.age is not None:
        found.append(Bound(before=LogId(max(0, now - int(retention.age * 1000)), 0).packed()))
    if retention.events is not None:
        found.append(Bound(events=retention.events))
    if retention.size is not None:
        found.append(Bound(size=retention.size))
    return found


def shrink(db: sqlite3.Connection, pages: int) -> bool:
    """Give at most so many free pages back to the file system; tell whether there may be more."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    if free <= pages:
        return False  # they are soon used again
    db.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return True
