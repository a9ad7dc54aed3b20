"""The key/value half of the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from clacks.common.errors import StoreFull
from clacks.common.limits import Limits
from clacks.store.sqlite_tables import Writing
from clacks.store.texts import check_text, encoded, plain, seconds

__all__ = ["SqliteValues", "Values"]

Result = TypeVar("Result")


class Values:
    """How many texts there are and how long; belongs to the writer's thread."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.clock = clock
        self._keys = 0
        self._bytes = 0

    def count(self, db: sqlite3.Connection) -> None:
        """Count what is there."""
        self._keys, self._bytes = db.execute(
            "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM texts"
        ).fetchone()

    def forget(self) -> None:
        """Nothing is known any more: the transaction failed."""
        self._keys = self._bytes = 0

    def changed(self, keys: int, size: int) -> StoreFull | None:
        """Note a change; return the refusal if there is no room for it, and then it must not be made."""
        if (keys > 0 and self._keys + keys > self.limits.kv_keys) or (
            size > 0 and self._bytes + size > self.limits.kv_bytes
        ):
            return StoreFull(
                f"the key/value store is full: {self._keys} keys, {self._bytes} bytes "
                f"(at most {self.limits.kv_keys} and {self.limits.kv_bytes})"
            )
        self._keys += keys
        self._bytes += size
        return None


@dataclass(frozen=True, slots=True)
class _Set:
    values: Values
    key: bytes
    value: bytes
    ttl: float | None

    def write(self, writing: Writing) -> StoreFull | None:
        refused = self._room(writing)
        if refused is not None:
            _clear(writing, self.values)
            refused = self._room(writing)
        if refused is not None:
            return refused
        expires = None if self.ttl is None else writing.now + max(1, round(self.ttl * 1000))
        writing.db.execute(
            "INSERT INTO texts VALUES (?,?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value,"
            " expires=excluded.expires",
            (self.key, self.value, expires),
        )
        return None

    def _room(self, writing: Writing) -> StoreFull | None:
        old = _length(writing.db, self.key)
        if old is None:
            return self.values.changed(1, len(self.key) + len(self.value))
        return self.values.changed(0, len(self.value) - old)


@dataclass(frozen=True, slots=True)
class _Delete:
    values: Values
    key: bytes

    def write(self, writing: Writing) -> bool:
        row = writing.db.execute(
            "SELECT length(value), expires FROM texts WHERE key=?", (self.key,)
        ).fetchone()
        if row is None:
            return False
        writing.db.execute("DELETE FROM texts WHERE key=?", (self.key,))
        self.values.changed(-1, -len(self.key) - row[0])
        return row[1] is None or row[1] > writing.now


def _length(db: sqlite3.Connection, key: bytes) -> int | None:
    row = db.execute("SELECT length(value) FROM texts WHERE key=?", (key,)).fetchone()
    return None if row is None else int(row[0])


def _clear(writing: Writing, values: Values) -> None:
    """Make room by removing what expired, and count anew: pruning removes without counting."""
    writing.db.execute("DELETE FROM texts WHERE expires <= ?", (writing.now,))
    values.count(writing.db)


class SqliteValues:
    """Texts by key; see `KeyValue`.

    Args:
        write: Commits a piece of work and returns its result.
        read: Carries out a function on a connection for reading.
        values: What is known of how much there is.
    """

    def __init__(
        self,
        write: Callable[[Any], Awaitable[Any]],
        read: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        values: Values,
    ) -> None:
        self._write = write
        self._read = read
        self._values = values

    def _now(self) -> int:
        return int(self._values.clock() * 1000)

    async def get(self, key: str) -> str | None:
        """Return the value of a key, or None."""
        now = self._now()
        row = await self._read(
            lambda db: db.execute(
                "SELECT value FROM texts WHERE key=? AND (expires IS NULL OR expires > ?)",
                (encoded(key), now),
            ).fetchone()
        )
        return None if row is None else plain(row[0])

    async def set(self, key: str, value: str, ttl: float | None = None) -> None:
        """Set a value, for a time or for ever."""
        name, data = encoded(key), encoded(value)
        check_text(name, data, self._values.limits)
        await self._write(_Set(self._values, name, data, seconds(ttl)))

    async def delete(self, key: str) -> bool:
        """Remove a key; tell whether it was there."""
        found: bool = await self._write(_Delete(self._values, encoded(key)))
        return found

    async def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has left."""
        now = self._now()
        row = await self._read(
            lambda db: db.execute("SELECT expires FROM texts WHERE key=?", (encoded(key),)).fetchone()
        )
        if row is None or (row[0] is not None and row[0] <= now):
            return None
        return float("inf") if row[0] is None else (row[0] - now) / 1000

    async def keys(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """Return the keys that begin so, sorted by their bytes."""
        now, begin = self._now(), encoded(prefix)
        rows = await self._read(
            lambda db: db.execute(
                "SELECT key FROM texts WHERE key >= ? AND substr(key, 1, ?) = ?"
                " AND key < ? AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?",
                (begin, len(begin), begin, begin + b"\xff" * 8, now, limit),
            ).fetchall()
        )
        return [plain(key) for (key,) in rows]
