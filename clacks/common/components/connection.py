"""The bus behind the blocking classes: a `Bus` on the background loop.

Nothing here refers to the object that the user holds: when that goes, its finalizer gives the lease back, and
link and thread end. The blocking classes share this and add what they are for.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from clacks.bus import Bus
from clacks.common.address import DEFAULT_DOMAIN, BusURL
from clacks.common.errors import ConnectionLost
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry, default_registry
from clacks.common.tracing import Tracing
from clacks.net.threads import Lease, background_loop

__all__ = ["Connection", "Door"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Door:
    """Where a bus is and what is needed to go in.

    Attributes:
        url: Host, login and domain.
        ca: File with the certificates to trust instead of the system's and the local one.
        registry: The event types.
        limits: Sizes of messages and queues.
        tracing: Makes spans of OpenTelemetry; none if None.
    """

    url: BusURL
    ca: str | None
    registry: SchemaRegistry
    limits: Limits = DEFAULT_LIMITS
    tracing: Tracing | None = None

    @classmethod
    def of(
        cls,
        url: str,
        *,
        domain: str = DEFAULT_DOMAIN,
        ca: str | None = None,
        registry: SchemaRegistry | None = None,
        limits: Limits = DEFAULT_LIMITS,
        tracing: Tracing | None = None,
    ) -> Door:
        """Read a URL; ``domain`` counts if it has none. Raises SettingsError if it is no bus URL."""
        found = BusURL.parse(url, default_domain=domain)
        return cls(found, ca, registry if registry is not None else default_registry(), limits, tracing)

    def bus(self) -> Bus:
        """Return a new bus, not yet connected."""
        return Bus(self.url, ca=self.ca, registry=self.registry, limits=self.limits, tracing=self.tracing)


class Connection:
    """A bus that is opened at its first use and shared by all threads that use it.

    Args:
        door: Where it is.
        before: What to wait for on the loop before it is closed.
    """

    def __init__(self, door: Door, before: Callable[[], Awaitable[object]] | None = None) -> None:
        self.door = door
        self._before = before
        self._opening = threading.Lock()
        self._open: tuple[Lease, Bus] | None = None
        self._closed = False

    def run(self, work: Callable[[Bus], Coroutine[Any, Any, Result]]) -> Result:
        """Do some work with the bus on the background loop and wait for it.

        Raises:
            ConnectionFailed, LoginRefused: If it is not open yet and cannot be opened.
            ConnectionLost: If it was closed.
        """
        lease, bus = self.opened()
        return lease.run(work(bus))

    def opened(self) -> tuple[Lease, Bus]:
        """Return the bus and the lease of the loop that it lives on, opening it first if need be."""
        found = self._open
        if found is None or found[0].inherited:
            with self._opening:
                found = self._open
                # After a fork the parent's connection is the parent's alone: the child opens its own.
                if found is None or found[0].inherited:
                    self._check_not_closed()
                    found = self._open = self._opened()
        if self._closed:
            found[0].release()  # closed by another thread while it was opened
            self._check_not_closed()
        return found

    def release(self) -> None:
        """Close without waiting; for finalizers."""
        self._closed = True
        if self._open is not None:
            self._open[0].release()

    def close(self) -> None:
        """Close and wait until the connection is gone. Calling it again does nothing."""
        self._closed = True
        if self._open is not None:
            self._open[0].close()

    def _check_not_closed(self) -> None:
        if self._closed:
            raise ConnectionLost("already closed")

    def _opened(self) -> tuple[Lease, Bus]:
        bus = self.door.bus()
        before = self._before

        async def closing() -> None:
            try:
                if before is not None:
                    await before()
            finally:
                await bus.close()

        lease = background_loop().lease(closing)
        try:
            lease.run(bus.start())
        except BaseException:
            lease.close()
            raise
        return lease, bus
