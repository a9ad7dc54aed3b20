"""The store in Redis, for several gateways and recorders: a stream is the log, its ids are Redis's own.

Beside the stream ``log`` stand streams that hold nothing but ids: one for each type, one for each key of a
type; they have the same ids, so reading by type or key does not walk through everything. A hash leads from
event ids to log ids. All of it changes in one script, so that nobody sees a half. Whether what was answered
survives a loss of power says ``appendfsync`` of the server; without ``appendonly`` it survives nothing but
our own end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import redis
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from clacks.common.errors import StoreError, StoreFull
from clacks.common.limits import Limits
from clacks.store.api import Appended, LogEntry, LogStatus, NewEntry, Page, Retention
from clacks.store.commits import Commits
from clacks.store.ids import LogId
from clacks.store.texts import check_text, encoded, plain, seconds

__all__ = ["RedisStore"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_TIMEOUT: Final = 10.0  # seconds for one answer of the server
_CHUNK: Final = 500
_OLDEST: Final = (6, 2)  # exclusive ranges of streams
_NOTED: Final = 0.2

# KEYS[1] is the prefix; ARGV: who records, then twelve fields for each event.
_APPEND: Final = """
local p, who, found = KEYS[1], ARGV[1], {}
for i = 2, #ARGV, 12 do
  local event, digest, kind, key, stored = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4]
  local known = redis.call('HGET', p..'events', event)
  if known and string.sub(known, 1, 32) == digest then
    found[#found+1] = '=' .. string.sub(known, 33)
  else
    local id = redis.call('XADD', p..'log', '*', 'event', event, 'kind', kind, 'key', key, 'stored', stored,
      'source', ARGV[i+5], 'time', ARGV[i+6], 'user', ARGV[i+7], 'expires', ARGV[i+8],
      'properties', ARGV[i+9], 'xml', ARGV[i+10])
    redis.call('HSET', p..'events', event, digest..id)
    redis.call('XADD', p..'kind:'..kind, id, '', '')
    redis.call('SADD', p..'kinds', kind)
    if ARGV[i+11] == '1' then
      redis.call('XADD', p..'key:'..kind..':'..key, id, '', '')
      redis.call('ZADD', p..'keys:'..kind, 0, key)
    end
    if stored == '1' then redis.call('ZADD', p..'unpublished:'..who, 0, id) end
    found[#found+1] = '+' .. id
  end
end
return found
"""

# ARGV: the most that go, and "" or the id before which they go.
_REMOVE: Final = """
local p, n = KEYS[1], 0
local last = ARGV[2] == '' and '+' or '(' .. ARGV[2]
for _, item in ipairs(redis.call('XRANGE', p..'log', '-', last, 'COUNT', ARGV[1])) do
  local id, f = item[1], {}
  for i = 1, #item[2], 2 do f[item[2][i]] = item[2][i+1] end
  redis.call('XDEL', p..'log', id)
  redis.call('XDEL', p..'kind:'..f.kind, id)
  if redis.call('XLEN', p..'kind:'..f.kind) == 0 then
    redis.call('DEL', p..'kind:'..f.kind)
    redis.call('SREM', p..'kinds', f.kind)
  end
  local index = p..'key:'..f.kind..':'..f.key
  if redis.call('XDEL', index, id) > 0 and redis.call('XLEN', index) == 0 then
    redis.call('DEL', index)
    redis.call('ZREM', p..'keys:'..f.kind, f.key)
  end
  local known = redis.call('HGET', p..'events', f.event)
  if known and string.sub(known, 33) == id then redis.call('HDEL', p..'events', f.event) end
  n = n + 1
end
return n
"""


@dataclass(frozen=True, slots=True)
class _Append:
    entries: tuple[NewEntry, ...]


class RedisStore:
    """Event log and key/value store in Redis.

    Args:
        address: ``redis://``, ``rediss://`` or ``unix://``, as redis-py takes it.
        domain: Domain of the bus; part of all names in Redis.
        recorder: Name of who records: after its end it asks under the same name what it had not published.
        limits: Of keys and values. How many there may be is for Redis to say (``maxmemory``).
        clock: Seconds since 1970.
    """

    shared = True

    def __init__(
        self, address: str, *, domain: str, recorder: str, limits: Limits, clock: Callable[[], float]
    ) -> None:
        parts = urlsplit(address)
        self.where = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._prefix = f"clacks:{domain}:".encode()
        self._recorder = recorder
        self._clock = clock
        try:
            self._client = redis.Redis.from_url(
                address, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, client_name="clacks"
            )
        except ValueError as error:
            raise StoreError(f"{self.where}: {error}") from error
        self._append_script = self._client.register_script(_APPEND)
        self._remove_script = self._client.register_script(_REMOVE)
        # One thread writes, so that events are recorded in the order in which they were given.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="clacks-store")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="clacks-store-read")
        self._commits = Commits(self._writer, self._commit, self._committed)
        self._done: list[str] = []
        self._noting: asyncio.TimerHandle | None = None
        self._open = False
        self.values = _RedisValues(self._run, self._client, self._prefix + b"value:", limits)

    @property
    def log(self) -> RedisStore:
        """The event log: this object."""
        return self

    # -- life

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreError: Nobody there, refused, or too old.
        """
        self._open = True
        try:
            await self._run(self._check)
        except BaseException:
            await self.close()
            raise

    def _check(self) -> None:
        info = self._client.info("server")
        version = str(info["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise StoreError(f"{self.where}: Redis {version} is too old: at least 6.2")
        persistence = self._client.info("persistence")
        if not persistence.get("aof_enabled"):
            _log.warning(
                "this Redis has appendonly off: what is stored is lost if it ends where=%s", self.where
            )

    async def close(self) -> None:
        """Finish what was begun and let go. Calling it again does nothing."""
        if not self._open:
            return
        self._open = False
        if self._noting is not None:
            self._noting.cancel()
        await self._commits.close()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(StoreError):
            await loop.run_in_executor(self._writer, self._write_notes)
        await loop.run_in_executor(None, partial(self._readers.shutdown, wait=True))
        await loop.run_in_executor(self._writer, self._client.close)
        self._writer.shutdown(wait=False)

    async def __aenter__(self) -> RedisStore:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            text = str(error)
            if isinstance(error, OutOfMemoryError) or text.startswith(("OOM", "MISCONF")):
                raise StoreFull(f"{self.where}: no room: {text}") from error
            raise StoreError(f"{self.where}: {text}") from error
        except RedisError as error:
            raise StoreError(f"{self.where}: {error}") from error

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Carry out ``work`` on a reader's thread."""
        if not self._open:
            raise StoreError("the store is closed")

        def explained() -> Result:
            with self._explained():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._readers, explained)

    def _name(self, *parts: str) -> bytes:
        return self._prefix + encoded(":".join(parts))

    # -- writing

    def _commit(self, batch: Sequence[_Append]) -> list[Any]:
        arguments: list[bytes | str | int] = [self._recorder]
        for work in batch:
            for entry in work.entries:
                arguments += (
                    encoded(entry.event_id),
                    hashlib.blake2b(entry.xml, digest_size=16).hexdigest(),
                    entry.kind,
                    encoded(entry.key or ""),
                    int(entry.stored),
                    encoded(entry.source),
                    entry.time,
                    encoded("" if entry.user is None else f"={entry.user}"),
                    "" if entry.expires is None else entry.expires,
                    json.dumps(dict(entry.properties)) if entry.properties else "",
                    entry.xml,
                    int(entry.key is not None),
                )
        with self._explained():
            answers = iter(cast("list[bytes]", self._append_script(keys=[self._prefix], args=arguments)))
        found = []
        for work in batch:
            of_work = []
            for _ in work.entries:
                answer = next(answers)
                of_work.append(Appended(LogId.parse(answer[1:].decode()), known=answer[:1] == b"="))
            found.append(of_work)
        return found

    def _committed(self, batch: Sequence[Any], results: list[Any]) -> None:
        pass

    async def append(self, entries: Sequence[NewEntry]) -> list[Appended]:
        """Record events, see `EventLog.append`."""
        if not entries:
            return []
        result: list[Appended] = await self._commits.write(_Append(tuple(entries)))
        return result

    async def unpublished(self) -> list[LogEntry]:
        """Return the stored events that this recorder perhaps did not publish before its last end."""
        ids = cast(
            "list[bytes]",
            await self._run(lambda: self._client.zrange(self._name("unpublished", self._recorder), 0, -1)),
        )
        found = []
        for id_ in sorted(LogId.parse(text.decode()) for text in ids):
            entries = await self._run(partial(self._fetch, [id_]))
            if entries:
                found += entries
            else:
                self.published(id_)  # pruned meanwhile
        return found

    def published(self, id: LogId) -> None:  # noqa: A002 - as in the protocol
        """Note that a stored event was published."""
        self._done.append(str(id))
        if self._noting is None and self._open:
            self._noting = asyncio.get_running_loop().call_later(_NOTED, self._note)

    def _note(self) -> None:
        self._noting = None
        noted = asyncio.get_running_loop().run_in_executor(self._writer, self._write_notes)
        noted.add_done_callback(_report)

    def _write_notes(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            with self._explained():
                self._client.zrem(self._name("unpublished", self._recorder), *done)
        except StoreError:
            self._done += done
            raise

    # -- reading

    def _last(self) -> LogId | None:
        try:
            info = self._client.xinfo_stream(self._name("log"))
        except ResponseError as error:
            if "no such key" in str(error):
                return None
            raise
        return LogId.parse(info["last-generated-id"].decode())

    def _fetch(self, ids: Iterable[LogId]) -> list[LogEntry]:
        pipe = self._client.pipeline(transaction=False)
        for id_ in ids:
            pipe.xrange(self._name("log"), str(id_), str(id_))
        return [_entry(*rows[0]) for rows in pipe.execute() if rows]

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
        low = after
        if since is not None and (low is None or low.ms < since):
            low = LogId(since - 1, (1 << 64) - 1) if since > 0 else None
        wanted = None if kinds is None else sorted(set(kinds))
        return await self._run(partial(self._page, low, until, wanted, key, max(0, limit), size, newest))

    def _page(
        self,
        low: LogId | None,
        until: int | LogId | None,
        kinds: list[str] | None,
        key: str | None,
        limit: int,
        size: int,
        newest: bool,
    ) -> Page:
        last = self._last()
        if isinstance(until, int):
            until = LogId(until, (1 << 64) - 1) if until >= 0 else LogId(0, 0)
        # What comes while we read belongs to the next page.
        end = last if until is None or last is None else min(last, until)
        if end is None or (low is not None and end <= low):
            return Page((), low or LogId(0, 0), False)
        now = int(self._clock() * 1000)
        entries: list[LogEntry] = []
        room, more = size, False
        for entry in self._walk(low, end, kinds, key, newest):
            if entry.event.expires is not None and entry.event.expires <= now:
                continue
            if len(entries) >= limit or (entries and room < len(entry.event.xml)):
                more = True
                break
            room -= len(entry.event.xml)
            entries.append(entry)
        if newest:
            entries.reverse()
        place = entries[-1].id if more and entries and not newest else end
        if more and not entries:
            place = low or LogId(0, 0)
        return Page(tuple(entries), place, more)

    def _walk(
        self, low: LogId | None, end: LogId, kinds: list[str] | None, key: str | None, newest: bool
    ) -> Iterator[LogEntry]:
        if kinds is None and key is None:
            for id_, fields in self._stream(self._name("log"), low, end, newest):
                yield _entry(id_, fields)
            return
        if kinds is None:
            found = cast("set[bytes]", self._client.smembers(self._name("kinds")))
            kinds = sorted(kind.decode() for kind in found)
        names = [self._name("kind", k) if key is None else self._name("key", k, key) for k in kinds]
        walks = [
            (LogId.parse(id_.decode()) for id_, _ in self._stream(name, low, end, newest)) for name in names
        ]
        merged = heapq.merge(*walks, reverse=newest)
        while ids := list(itertools.islice(merged, _CHUNK)):
            yield from self._fetch(ids)

    def _stream(
        self, name: bytes, low: LogId | None, end: LogId, newest: bool
    ) -> Iterator[tuple[bytes, Any]]:
        first = "-" if low is None else f"({low}"
        final = str(end)
        while True:
            if newest:
                rows = cast("list[Any]", self._client.xrevrange(name, final, first, count=_CHUNK))
            else:
                rows = cast("list[Any]", self._client.xrange(name, first, final, count=_CHUNK))
            yield from rows
            if len(rows) < _CHUNK:
                return
            beyond = "(" + rows[-1][0].decode()
            if newest:
                final = beyond
            else:
                first = beyond

    async def find(self, event_id: str) -> LogId | None:
        """Return where an event stands."""
        found = cast(
            "bytes | None",
            await self._run(lambda: self._client.hget(cast(str, self._name("events")), encoded(event_id))),
        )
        return None if found is None else LogId.parse(found[32:].decode())

    async def keys(self, kind: str) -> list[str]:
        """Return the keys of a type."""
        found = cast(
            "list[bytes]", await self._run(lambda: self._client.zrange(self._name("keys", kind), 0, -1))
        )
        return [plain(key) for key in found]

    async def status(self) -> LogStatus:
        """Return how much there is."""
        return await self._run(self._status)

    def _status(self) -> LogStatus:
        name = self._name("log")
        first = cast("list[Any]", self._client.xrange(name, count=1))
        return LogStatus(
            self._client.xlen(name),
            self._client.memory_usage(name) or 0,
            LogId.parse(first[0][0].decode()) if first else None,
            self._last(),
        )

    # -- keeping it small

    async def prune(self, retention: Retention, now: int) -> int:
        """Remove what is too old or too much, some at a time.

        What expired is not read any more and goes with its age; Redis removes keys and values by itself.
        """
        went = 0
        if retention.age is not None:
            before = f"{max(0, now - int(retention.age * 1000))}-0"
            went += await self._remove_all(lambda _: _CHUNK, before)
        if retention.events is not None:
            most_events = retention.events
            went += await self._remove_all(lambda status: status.events - most_events)
        if retention.size is not None:
            most = retention.size
            went += await self._remove_all(
                lambda status: (
                    0 if status.size <= most else -(-status.events * (status.size - most) // status.size)
                )
            )
        return went

    async def _remove_all(self, surplus: Callable[[LogStatus], int], before: str = "") -> int:
        went = 0
        while (n := min(_CHUNK, surplus(await self.status()))) > 0:
            done = cast(
                int,
                await self._run(partial(self._remove_script, keys=[self._prefix], args=[n, before])),
            )
            went += done
            if done == 0:
                break
        return went

    async def backup(self, path: Path) -> None:
        """Refuse: the copy of a Redis is made by Redis."""
        raise StoreError(f"{self.where}: a Redis is copied by itself (BGSAVE, or its appendonly files)")


def _report(noted: asyncio.Future[None]) -> None:
    if not noted.cancelled() and (error := noted.exception()) is not None:
        _log.warning("not noted what was published: %s", error)


def _entry(id_: bytes, fields: dict[bytes, bytes]) -> LogEntry:
    user = plain(fields[b"user"])
    key = plain(fields[b"key"])
    return LogEntry(
        LogId.parse(id_.decode()),
        NewEntry(
            plain(fields[b"event"]),
            fields[b"kind"].decode(),
            plain(fields[b"source"]),
            int(fields[b"time"]),
            fields[b"xml"],
            user[1:] if user else None,
            fields[b"stored"] == b"1",
            key or None,
            int(fields[b"expires"]) if fields[b"expires"] else None,
            json.loads(fields[b"properties"]) if fields[b"properties"] else {},
        ),
    )


class _RedisValues:
    """Texts by key; see `KeyValue`."""

    def __init__(
        self,
        run: Callable[[Callable[[], Any]], Any],
        client: redis.Redis,
        prefix: bytes,
        limits: Limits,
    ) -> None:
        self._run = run
        self._client = client
        self._prefix = prefix
        self._limits = limits

    def _name(self, key: str) -> bytes:
        return self._prefix + encoded(key)

    async def get(self, key: str) -> str | None:
        """Return the value of a key, or None."""
        found = await self._run(lambda: self._client.get(self._name(key)))
        return None if found is None else plain(found)

    async def set(self, key: str, value: str, ttl: float | None = None) -> None:
        """Set a value, for a time or for ever."""
        name, data, left = self._name(key), encoded(value), seconds(ttl)
        check_text(encoded(key), data, self._limits)
        px = None if left is None else max(1, round(left * 1000))
        await self._run(lambda: self._client.set(name, data, px=px))

    async def delete(self, key: str) -> bool:
        """Remove a key; tell whether it was there."""
        return bool(await self._run(lambda: self._client.delete(self._name(key))))

    async def ttl(self, key: str) -> float | None:
        """Return the seconds that a key has left."""
        left = int(await self._run(lambda: self._client.pttl(self._name(key))))
        if left == -2:
            return None
        return float("inf") if left == -1 else left / 1000

    async def keys(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """Return the keys that begin so, sorted by their bytes."""
        pattern = b"".join(
            b"\\" + bytes([sign]) if sign in b"*?[]\\^" else bytes([sign]) for sign in self._name(prefix)
        )
        found: set[bytes] = await self._run(
            lambda: set(self._client.scan_iter(match=pattern + b"*", count=1000))
        )
        return [plain(name[len(self._prefix) :]) for name in sorted(found)[:limit]]
