"""Which store an address means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import time

from clacks.common.errors import StoreError
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.store.api import Store

__all__ = ["open_store"]


def open_store(
    address: str | Path,
    *,
    sync: str = "full",
    domain: str = "org.clacks",
    recorder: str = "recorder",
    limits: Limits = DEFAULT_LIMITS,
    clock: Callable[[], float] = time,
) -> Store:
    """Return the store at an address, not yet started.

    Args:
        address: A path or ``sqlite:PATH``, or ``redis://[user:password@]host[:port][/db]``, ``rediss://...``
            or ``unix://[user:password@]/path[?db=n]`` for a Redis.
        sync: When SQLite answers: "full", when it is on the disk, or "normal", when the operating system has
            it. Redis says that in its own configuration (``appendfsync``).
        domain: The domain whose events these are: several may share a Redis.
        recorder: Name of who records, the same after a restart; Redis keeps by it what was not published yet.
        limits: Of keys and values.
        clock: Seconds since 1970.

    Raises:
        StoreError: The address means no store, or the extra ``clacks[redis]`` is not installed.

    Example:
        >>> open_store("sqlite:/tmp/events.sqlite").where
        '/tmp/events.sqlite'
    """
    text = str(address)
    scheme, colon, rest = text.partition(":")
    if scheme in ("redis", "rediss", "unix") and rest.startswith("//"):
        try:
            from clacks.store.redis import RedisStore
        except ImportError as error:
            raise StoreError("for a store in Redis install the extra: pip install 'clacks[redis]'") from error
        return RedisStore(text, domain=domain, recorder=recorder, limits=limits, clock=clock)
    if colon and scheme.isalpha() and len(scheme) > 1:
        if scheme != "sqlite":
            raise StoreError(f"a store is sqlite:PATH, redis://, rediss:// or unix://, not {scheme}:")
        text = rest
    if not text or text == ":memory:":
        raise StoreError("a store needs a file: sqlite:PATH")
    from clacks.store.sqlite import SqliteStore

    return SqliteStore(Path(text), sync=sync, limits=limits, clock=clock)
