"""The event log and the key/value store of the agent that records, asked for by command.

A gateway that stands alone has them so: one SQLite file at one agent, and history at every gateway of the
domain. The gateway asks in its own name, as it receives what is live in its own name, and lets through what
the reader may see: that is decided in one place, whatever the log is. The recording agent asks for rights as
well: those of the gateway.
"""

from __future__ import annotations

import base64
import binascii
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from clacks.bus.recording import LOG_QUEUE, NOBODY_RECORDS, PATIENCE
from clacks.common.address import command_address
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandTimeout,
    LinkRefused,
    StoreError,
)
from clacks.common.jsonrpc import Request
from clacks.store.api import LogEntry, NewEntry, Page
from clacks.store.ids import LogId

__all__ = ["Asking", "Recorder", "RemoteLog", "RemoteValues"]

_ANSWER: Final = 30.0  # seconds for one answer
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a document that travelled compressed: as many as `bus.replaying` takes."""
_END: Final = 10**14 - 1  # milliseconds


class Asking(Protocol):
    """What is needed of a bus."""

    @property
    def domain(self) -> str:
        """The domain of the bus."""

    async def request(self, request: Request, *, timeout: float, address: str, patience: float) -> Any:
        """Call a command, as `Bus.request`."""


class Recorder:
    """Calls the agent that records.

    Args:
        bus: A started bus whose login may call ``getEvents``, ``getLogKeys`` and the commands that begin with
            ``kv`` (the role ``gateway`` may).
        now: Seconds of a clock that only goes forward.
    """

    def __init__(self, bus: Asking, now: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._now = now
        self._away = float("-inf")

    async def ask(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Call a command.

        Raises:
            StoreError: Nobody records, or the call failed. That nobody records takes five seconds to find
                out, and is remembered for as long: a client that asks again need not wait again.
        """
        if self._now() - self._away < PATIENCE:
            raise StoreError(NOBODY_RECORDS)
        try:
            return await self._bus.request(
                Request(method, dict(arguments)),
                timeout=_ANSWER,
                address=command_address(self._bus.domain, LOG_QUEUE),
                patience=PATIENCE,
            )
        except (CommandTimeout, LinkRefused):
            self._away = self._now()
            raise StoreError(NOBODY_RECORDS) from None
        except (CommandError, BusError) as error:
            raise StoreError(str(error)) from error


class RemoteLog:
    """Reads the event log of the agent that records."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

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
        """Read events as `EventLog.read` does; the agent bounds the bytes of a page.

        Raises:
            StoreError: Nobody records, or the answer cannot be understood.
        """
        arguments: dict[str, Any] = {"limit": max(1, limit)}
        if after is not None:
            arguments["after"] = str(after)
        if since is not None:
            # For the command a number below zero is a time ago, and one beyond the year 5138 none at all.
            arguments["since"] = min(max(0, since), _END)
        if until is not None:
            arguments["until"] = until if isinstance(until, int) else str(until)
        if kinds is not None:
            arguments["kinds"] = sorted(set(kinds))
        if key is not None:
            arguments["key"] = key
        if newest:
            arguments["newest"] = True
        answer = await self._recorder.ask("getEvents", arguments)
        try:
            return Page(
                tuple(_entry(found) for found in answer["events"]),
                LogId.parse(answer["next"]),
                bool(answer["more"]),
            )
        except (TypeError, KeyError, ValueError, zlib.error, binascii.Error) as error:
            raise StoreError(f"the agent that records answered what is no page: {error}") from error

    async def keys(self, kind: str) -> list[str]:
        """Return all keys under which events of a type are in the log, sorted.

        Raises:
            StoreError: Nobody records.
        """
        return [str(key) for key in await self._recorder.ask("getLogKeys", {"kind": kind})]


def _entry(found: Mapping[str, Any]) -> LogEntry:
    if "deflated" in found:
        unpacking = zlib.decompressobj()
        xml = unpacking.decompress(base64.b64decode(found["deflated"]), _LARGEST)
        if unpacking.unconsumed_tail:
            raise ValueError("a document is too large")
    else:
        xml = str(found["xml"]).encode()
    at = datetime.fromisoformat(found["time"])
    event = NewEntry(
        str(found["id"]),
        str(found["type"]),
        str(found["source"]),
        round(at.timestamp() * 1_000_000),
        xml,
        user=found.get("user"),
        properties=found.get("properties") or {},
    )
    return LogEntry(LogId.parse(found["log"]), event)


class RemoteValues:
    """The key/value store of the agent that records."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def get(self, key: str) -> str | None:
        """Return the value, or None if there is none (any more). Raises StoreError."""
        found = await self._recorder.ask("kvGet", {"key": key})
        return None if found is None else str(found)

    async def set(self, key: str, value: str, ttl: float | None = None) -> None:
        """Set a value, for ``ttl`` seconds or for ever. Raises StoreError."""
        await self._recorder.ask("kvSet", {"key": key, "value": value, "ttl": ttl})

    async def delete(self, key: str) -> bool:
        """Remove a key; tell whether it was there. Raises StoreError."""
        return bool(await self._recorder.ask("kvDelete", {"key": key}))

    async def ttl(self, key: str) -> float | None:
        """Return the seconds left, ``inf`` if it has no end, None if it is not there. Raises StoreError."""
        found = await self._recorder.ask("kvTtl", {"key": key})
        if not found["exists"]:
            return None
        return float("inf") if found["seconds"] is None else float(found["seconds"])

    async def keys(self, prefix: str = "", limit: int = 1000) -> list[str]:
        """Return the keys that begin so, sorted; at most ``limit``. Raises StoreError."""
        return [str(key) for key in await self._recorder.ask("kvKeys", {"prefix": prefix, "limit": limit})]
