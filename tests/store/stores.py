"""Stores for tests, and events to put into them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.store import NewEntry, Store, open_store

__all__ = ["Clock", "Kind", "RedisKind", "SqliteKind", "entry", "scenario"]


class Clock:
    """A clock that stands where a test puts it."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class SqliteKind:
    path: Path
    name: str = "sqlite"

    def store(self, clock: Callable[[], float] | None = None, limits: Limits = DEFAULT_LIMITS) -> Store:
        more = {} if clock is None else {"clock": clock}
        return open_store(self.path, sync="normal", limits=limits, **more)


@dataclass
class RedisKind:
    address: str
    domain: str
    name: str = "redis"

    def store(self, clock: Callable[[], float] | None = None, limits: Limits = DEFAULT_LIMITS) -> Store:
        more = {} if clock is None else {"clock": clock}
        return open_store(self.address, domain=self.domain, limits=limits, **more)


Kind = SqliteKind | RedisKind


def entry(n: int, kind: str = "PhoneStatus", **more: Any) -> NewEntry:
    return NewEntry(f"id-{n}", kind, "urn:test", 1_790_000_000_000_000 + n, f"<e>{n}</e>".encode(), **more)


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(60):
                await test(*args, **kwargs)

        asyncio.run(limited())

    return run
