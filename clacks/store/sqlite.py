"""The store in one SQLite file (WAL): one process writes it, on one thread; reading has threads of its own.

This file knows the transactions and the threads, ``sqlite_tables`` the tables and statements. What is
committed is on the disk (``sync="full"``: the write-ahead log is synced before anybody is answered), or
handed to the operating system (``"normal"``): that survives the end of the process, however it ends, and
not a loss of power.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from clacks.common.errors import StoreError, StoreFull
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.store import sqlite_tables as tables
from clacks.store.api import Appended, LogEntry, LogStatus, NewEntry, Page, Retention
from clacks.store.commits import Commits
from clacks.store.ids import IdClock, LogId
from clacks.store.sqlite_values import SqliteValues, Values

__all__ = ["SqliteStore"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_READERS: Final = 2
_CHUNK: Final = 1000  # events that one transaction removes: appending waits no longer than for this
_NOTED: Final = 1.0  # seconds until it is written that events were published, if nothing else is written


class SqliteStore:
    """Event log and key/value store in a file.

    Args:
        path: The file; made with mode 0600 if it is not there.
        sync: "full" or "normal", see above.
        recorder: Number of this recorder, the lower part of log ids.
        limits: Of keys and values.
        clock: Seconds since 1970.
    """

    shared = False

    def __init__(
        self,
        path: Path,
        *,
        sync: str = "full",
        recorder: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if sync not in ("full", "normal"):
            raise StoreError(f"sync is full or normal, not {sync!r}")
        self._path = path
        self._sync = sync
        self._recorder = recorder
        self._clock = clock
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="clacks-store")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="clacks-store-read")
        self._commits = Commits(self._writer, self._commit, self._committed)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._ids = IdClock(recorder)
        self._count = 0
        self._outstanding: dict[int, None] = {}
        """Stored events whose publication is not known, in order; belongs to the loop."""
        self._behind: tuple[LogEntry, ...] = ()
        self._noting: asyncio.TimerHandle | None = None
        self._notes: set[asyncio.Task[None]] = set()
        self._lock: int | None = None
        self._state = "new"
        self._values = Values(limits, clock)
        self.values = SqliteValues(self._commits.write, self._reading, self._values)

    @property
    def log(self) -> SqliteStore:
        """The event log: this object."""
        return self

    @property
    def where(self) -> str:
        """The file."""
        return str(self._path)

    # -- life

    async def start(self) -> None:
        """Open the file, make it if need be.

        Raises:
            StoreError: Another process records into it, or it cannot be used.
        """
        if self._state != "new":
            raise StoreError("a store is started once")
        self._state = "open"
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun and let go of the file. Calling it again does nothing."""
        if self._state == "closed":
            return
        opened, self._state = self._state == "open", "closed"
        if self._noting is not None:
            self._noting.cancel()
        if opened and self._lock is not None:
            with contextlib.suppress(StoreError):
                await self._commits.write(tables.Note(self._settled()))
        await self._commits.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, partial(self._readers.shutdown, wait=True))
        await loop.run_in_executor(self._writer, self._let_go)
        self._writer.shutdown(wait=False)

    async def __aenter__(self) -> SqliteStore:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        with self._explained():
            self._db = self._connect()
            tables.prepare(self._db, self._sync)
            meta = tables.read_meta(self._db)
            self._ids = IdClock(self._recorder, LogId.unpacked(meta.last) if meta.last else None)
            self._count = tables.count(self._db)
            self._values.count(self._db)
            self._behind = tuple(tables.unpublished(self._db, meta.published))
            self._outstanding = {entry.id.packed(): None for entry in self._behind}

    def _take_lock(self) -> None:
        # SQLite itself lets several processes write by turns; two recorders would give out the same ids.
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 20).decode("ascii", "replace").strip() or "another process"
            os.close(lock)
            raise StoreError(
                f"{self._path} is in use by process {holder}: a domain has one recorder with SQLite; "
                "record into Redis to have several"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def _let_go(self) -> None:
        for connection in self._opened:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._opened.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self._opened.append(connection)
        return connection

    @contextlib.contextmanager
    def _explained(self) -> Any:
        """Turn the errors of SQLite into ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # SQLITE_IOERR_WRITE is what a limit on the size of files gives, or a quota.
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
                raise StoreFull(f"{self._path}: no room: {error}") from error
            raise StoreError(f"{self._path}: {error}") from error

    # -- writing

    def _commit(self, batch: Sequence[Any]) -> list[Any]:
        """Carry out pieces of work in one transaction, on the writer's thread."""
        now = self._clock()
        writing = tables.Writing(self._db, self._ids, int(now * 1000))
        with self._explained():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                results = [work.write(writing) for work in batch]
                writing.finish()
                self._db.execute("COMMIT")
            except BaseException:
                # Ids given out meanwhile are lost, which harms nobody.
                self._values.forget()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._values.count(self._db)
                raise
        self._count += writing.added
        return results

    def _committed(self, batch: Sequence[Any], results: list[Any]) -> None:
        for work, result in zip(batch, results):
            if isinstance(work, tables.Append):
                for entry, appended in zip(work.entries, result):
                    if entry.stored and not appended.known:
                        self._outstanding[appended.id.packed()] = None

    def _settled(self) -> int | None:
        """Return the id up to which all stored events are published; None if all are."""
        first = next(iter(self._outstanding), None)
        return None if first is None else first - 1

    async def append(self, entries: Sequence[NewEntry]) -> list[Appended]:
        """Record events, see `EventLog.append`."""
        if not entries:
            return []
        result: list[Appended] = await self._commits.write(tables.Append(tuple(entries), self._settled()))
        return result

    async def unpublished(self) -> list[LogEntry]:
        """Return the stored events that were perhaps not published before the last end."""
        return [entry for entry in self._behind if entry.id.packed() in self._outstanding]

    def published(self, id: LogId) -> None:  # noqa: A002 - as in the protocol
        """Note that a stored event was published."""
        self._outstanding.pop(id.packed(), None)
        if self._noting is None and self._state == "open":
            self._noting = asyncio.get_running_loop().call_later(_NOTED, self._note)

    def _note(self) -> None:
        self._noting = None
        task = asyncio.ensure_future(self._write_note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _write_note(self) -> None:
        try:
            await self._commits.write(tables.Note(self._settled()))
        except StoreError as error:
            _log.warning("not noted what was published: %s", error)

    # -- reading

    async def _reading(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        """Carry out ``read`` on a reader's thread."""
        if self._state != "open":
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, read)

    def _read_now(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._explained():
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only=1")
            # One transaction: the end of the log that is told is the end of what was searched.
            connection.execute("BEGIN")
            try:
                return read(connection)
            finally:
                connection.execute("ROLLBACK")

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
        """Read events, see `EventLog.read`."""
        low = tables.lowest(after, since)
        selection = tables.Selection(
            low,
            tables.highest(until),
            None if kinds is None else tuple(sorted(set(kinds))),
            key,
            max(0, limit),
            size,
            newest,
            int(self._clock() * 1000),
        )
        return await self._reading(selection.read)

    async def find(self, event_id: str) -> LogId | None:
        """Return where an event stands."""
        return await self._reading(partial(tables.find, event_id=event_id))

    async def keys(self, kind: str) -> list[str]:
        """Return the keys of a type."""
        return await self._reading(partial(tables.keys, kind=kind))

    async def status(self) -> LogStatus:
        """Return how much there is."""
        return await self._reading(partial(tables.status, events=self._count))

    # -- keeping it small

    async def prune(self, retention: Retention, now: int) -> int:
        """Remove what is too old, too much or expired, a thousand at a time; appending goes on between."""
        went = 0
        loop = asyncio.get_running_loop()
        for bound in tables.bounds(retention, now):
            while self._state == "open":
                n = await loop.run_in_executor(self._writer, self._remove, bound)
                went += n
                if n == 0:
                    break
        while self._state == "open" and await loop.run_in_executor(self._writer, self._shrink):
            pass
        return went

    def _remove(self, bound: tables.Bound) -> int:
        with self._explained():
            n = bound.remove(self._db, self._count, _CHUNK)
        self._count -= n
        return n

    def _shrink(self) -> bool:
        """Give free pages back to the file system, some at a time; tell whether there may be more."""
        with self._explained():
            return tables.shrink(self._db, _CHUNK)

    async def backup(self, path: Path) -> None:
        """Copy everything into a new file; recording goes on meanwhile."""
        if self._state != "open":
            raise StoreError("the store is closed")
        await asyncio.to_thread(self._backup, path)

    def _backup(self, path: Path) -> None:
        whole = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            if path.exists():
                raise StoreError(f"{path} is there already")
            os.close(os.open(whole, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        try:
            with (
                self._explained(),
                contextlib.closing(sqlite3.connect(self._path)) as source,
                contextlib.closing(sqlite3.connect(whole)) as copy,
            ):
                # All in one step: between two steps somebody writes, and SQLite would begin anew each time.
                source.backup(copy, pages=-1)
                copy.execute("PRAGMA journal_mode=DELETE")
            with open(whole, "rb") as written:
                os.fsync(written.fileno())
            os.link(whole, path)  # unlike a rename it never takes the place of another file
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        finally:
            whole.unlink(missing_ok=True)
