"""Sending links, opened when they are needed and again after every loss.

An `Outlet` belongs to one address of the bus. Who wants to send asks for credit; the outlet opens its link,
waits, and wakes them in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from clacks.amqp.connection import BusConnection, ConnectionEvent, LinkClosed, SendTo, Settled
from clacks.amqp.links import Sender
from clacks.amqp.profiles import NodeKind, Profile
from clacks.common.errors import LinkRefused

__all__ = ["Line", "Outlet", "permanent"]

_PERMANENT = frozenset(
    {
        "amqp:unauthorized-access",
        "amqp:not-allowed",
        "amqp:not-found",
        "amqp:not-implemented",
        "amqp:invalid-field",
        "amqp:precondition-failed",
        "amqp:decode-error",
    }
)


def permanent(condition: str) -> bool:
    """Tell whether it makes no sense to ask for a link again that was refused with this condition."""
    return condition in _PERMANENT


class Line(Protocol):
    """The connection as the parts of the bus see it."""

    @property
    def connection(self) -> BusConnection | None:
        """The connection, or None while there is none."""

    def hurry(self) -> None:
        """Hand what is to be written to the socket now, not at the end of the turn."""

    @property
    def domain(self) -> str:
        """The domain of the bus."""

    @property
    def user(self) -> str | None:
        """The login."""


class Outlet:
    """A link to one address, and who waits for its credit.

    Args:
        line: The connection.
        address: The address of the bus; None for the relay. For a reply, the address as the caller wrote it.
        kind: What it is.
        settled: Called with the context and outcome of each unsettled message, or None.
        ready: Called when there may be credit.
        closed: Called when the link is gone.
        target: The broker's address, if it does not follow from the address.
    """

    __slots__ = (
        "_closed",
        "_line",
        "_ready",
        "_settled",
        "_target",
        "_waiters",
        "_woken",
        "address",
        "kind",
        "refusal",
        "sender",
    )

    def __init__(
        self,
        line: Line,
        address: str | None,
        kind: NodeKind,
        *,
        settled: Callable[[Settled], None] | None = None,
        ready: Callable[[], None] | None = None,
        closed: Callable[[Outlet, LinkClosed], None] | None = None,
        target: str | None = None,
    ) -> None:
        self.address = address
        self.kind = kind
        self.sender: Sender | None = None
        self.refusal: LinkRefused | None = None
        self._line = line
        self._settled = settled
        self._ready = ready
        self._closed = closed
        self._target = target
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._woken = 0

    @property
    def credit(self) -> int:
        """Messages that may be sent now."""
        return self.sender.credit if self.sender is not None else 0

    @property
    def contended(self) -> bool:
        """Whether somebody waits already."""
        return bool(self._waiters) or self._woken > 0

    def open(self) -> None:
        """Open the link if there is a connection and no link yet."""
        connection = self._line.connection
        if self.sender is not None or connection is None:
            return
        profile = connection.profile
        assert profile is not None
        self.refusal = None
        self.sender = connection.open_sender(self._asked(profile), self)

    def _asked(self, profile: Profile) -> SendTo:
        domain = self._line.domain
        if self._target is not None or self.address is None:
            return SendTo(self._target)
        target = profile.target(self.address, self.kind, domain)
        properties = profile.topic_properties if self.kind is NodeKind.TOPIC else {}
        return SendTo(target, profile.capabilities(self.kind), properties)

    async def wait(self, deadline: float) -> bool:
        """Wait until it may be our turn to send; False when the deadline (of the loop's clock) has passed.

        Raises:
            LinkRefused: The broker does not let us send there.
        """
        loop = asyncio.get_running_loop()
        self.open()
        if self.credit > 0 and not self.contended:
            return True
        waiter = loop.create_future()
        self._waiters.append(waiter)
        outcome: bool | None = None
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
            outcome = True
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._woken -= 1
                if outcome is None:  # cancelled in the same turn: the credit is for the next
                    self.wake()
        return True

    def wake(self) -> None:
        """Let as many go on as there is credit for."""
        # Who was woken and has not had its turn yet has a claim on the credit.
        free = self.credit - self._woken
        while free > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._woken += 1
                free -= 1
        if self._ready is not None and free > 0:
            self._ready()

    def on_link(self, event: ConnectionEvent) -> None:
        """Take an event of our link."""
        match event:
            case Settled():
                if self._settled is not None:
                    self._settled(event)
            case LinkClosed():
                if event.link is self.sender:
                    self.sender = None
                if event.refused and not event.with_connection:
                    self._refuse(event)
                if self._closed is not None:
                    self._closed(self, event)
                if self._waiters and not event.with_connection:
                    self.open()
            case _:
                self.wake()

    def _refuse(self, event: LinkClosed) -> None:
        self.refusal = LinkRefused(event.condition, event.description, self.address or "")
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self.refusal)

    def restore(self) -> None:
        """Open the link again if somebody waits for it: there is a new connection."""
        self.sender = None
        if self._waiters:
            self.open()

    def close(self) -> None:
        """Give the link up."""
        connection = self._line.connection
        if self.sender is not None and connection is not None:
            connection.close_link(self.sender)
        self.sender = None

    def fail(self, error: Exception) -> None:
        """Let everybody who waits fail."""
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
