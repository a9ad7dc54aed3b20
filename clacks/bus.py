"""The one asynchronous client of the bus: publish, subscribe, call, serve.

Everything else that speaks to a bus, the blocking classes and the services, is built on `Bus`. It uses
asyncio's tasks and queues, never sockets: those are in ``net``; what AMQP says is in ``amqp``.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from lxml import etree

from clacks.common.jsonrpc import Request
from clacks.common.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from clacks.amqp.profiles import Profile
    from clacks.common.event import Event
    from clacks.common.metrics import Metrics
    from clacks.common.schema import SchemaRegistry
    from clacks.net.client import Connector

__all__ = ["Bus", "BusState", "CallHandler", "Gap", "Received", "Service", "StateChange", "Subscription"]

EventLike: TypeAlias = "Event | etree._Element | bytes | str"
CallHandler: TypeAlias = Callable[[Request, str, str | None], Any | Awaitable[Any]]
"""Gets the call, the user who made it, and for whom (``clacks_on_behalf_of``, as the message says it:
whether that user may speak for others is the handler's question). Returns a JSON value or an awaitable of
one; raises CommandError to refuse. A plain function runs in a thread, a coroutine function on the loop."""


class BusState(enum.Enum):
    """Where a `Bus` stands with its broker."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """What `Bus.state` has become, when (aware, UTC), and why: a sentence, or empty."""

    state: BusState
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events between ``start`` and ``end`` (aware, UTC) may be missing: the connection was away."""

    start: datetime
    end: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """One event with what its message said.

    Attributes:
        event: The validated event.
        address: The topic it came from as the subscription named it.
        subject: The subject of the message: the event type.
        user: Who sent it (``user-id``), or None. Whether that can be believed says `Bus.profile`.
        properties: The application properties, ``cloudEvents_id`` among them.
    """

    event: Event
    address: str
    subject: str | None
    user: str | None
    properties: Mapping[str, Any]


class Subscription:
    """Events that a query lets through: an asynchronous iterator and context manager.

    Events wait here in a bounded queue for their reader. If the reader is too slow the oldest are dropped and
    counted in ``dropped``; nobody else waits for it.

    Example:
        >>> async with await bus.subscribe("declare namespace f='http://www.gonicus.de/Events';"
        ...                                "./f:Event/f:PhoneStatus") as events:  # doctest: +SKIP
        ...     async for event in events:
        ...         print(event.kind)
    """

    @property
    def dropped(self) -> int:
        """How many events were thrown away because the reader was too slow."""
        raise NotImplementedError

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """When the connection was away, the latest last; the oldest are forgotten after a hundred."""
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[Event]:
        raise NotImplementedError

    async def __anext__(self) -> Event:
        """Wait for the next event; ends when the subscription or its bus is closed.

        Raises:
            LinkRefused: If the broker took the subscription away (rights, filter).
        """
        raise NotImplementedError

    def messages(self) -> AsyncIterator[Received]:
        """Iterate over the same queue, with what each message said. Use one of the two."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop; events still in the queue can be read. Calling it again does nothing."""
        raise NotImplementedError

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Service:
    """Commands being served; close it to stop taking calls."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The queues that are served, as the bus names them."""
        raise NotImplementedError

    async def close(self, grace: float = 5.0) -> None:
        """Take no more calls, let the running ones finish for ``grace`` seconds, cancel the rest."""
        raise NotImplementedError

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Bus:
    """A connection to a bus that is kept alive.

    It reconnects by itself, with growing pauses, and restores subscriptions, services and pending calls.
    All methods belong to the loop that entered it.

    Args:
        url: ``amqp[s]://user:password@host[:port]/domain``, or a parsed one.
        registry: The event types; the ones that come with Clacks if None.
        connector: How to reach the broker instead of the URL's host and port (``LocalConnector``).
        ca: File with the certificates to trust instead of the system's and the local one.
        profile: A `Profile` or the name of one, if the choice by what the broker says of itself is wrong.
        name: Who speaks, for people: part of the container id and the source of events
            (``cloudEvents_source``). The host name if None.
        limits: Sizes of messages, queues and windows.
        metrics: Where to count; an own one if None.

    Example:
        >>> async with Bus("amqp://admin:secret@localhost/org.clacks") as bus:  # doctest: +SKIP
        ...     await bus.publish(event)
        ...     print(await bus.call("getMethods"))
    """

    def __init__(
        self,
        url: str,
        *,
        registry: SchemaRegistry | None = None,
        connector: Connector | None = None,
        ca: str | None = None,
        profile: Profile | str | None = None,
        name: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        metrics: Metrics | None = None,
    ) -> None:
        raise NotImplementedError

    # -- life

    async def start(self) -> None:
        """Connect and log in. ``async with`` does it.

        Raises:
            ConnectionFailed: Nobody there, TLS refused, unknown CA, wrong host name, no AMQP there.
            LoginRefused: The broker does not take these credentials.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Say good-bye: what was published is handed to the socket first, pending calls fail."""
        raise NotImplementedError

    async def __aenter__(self) -> Bus:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def state(self) -> BusState:
        """Where it stands now."""
        raise NotImplementedError

    def on_state(self, callback: Callable[[StateChange], None]) -> Callable[[], None]:
        """Have ``callback`` called on the loop at each change; return what ends that."""
        raise NotImplementedError

    def states(self) -> AsyncIterator[StateChange]:
        """Iterate over the changes from now on, until the bus is closed."""
        raise NotImplementedError

    @property
    def profile(self) -> Profile | None:
        """What is known of the broker, or None before the first connection."""
        raise NotImplementedError

    @property
    def domain(self) -> str:
        """The domain of the bus, such as ``org.clacks``."""
        raise NotImplementedError

    @property
    def user(self) -> str | None:
        """The login, or None if there is none (anonymous)."""
        raise NotImplementedError

    # -- events

    async def publish(
        self,
        event: EventLike,
        *,
        stored: bool = False,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
    ) -> bool:
        """Send an event; tell whether it went out.

        Fire and forget: with nobody listening it is gone. If the broker gives no credit for five seconds, or
        there is no connection for that long, the event is dropped, counted and logged, and the answer is
        False.

        Args:
            event: An `Event`, or an element, bytes or text that the registry makes one of.
            stored: Have a recording agent commit it to the event log first.
            properties: More application properties; queries see them as external variables.
            expires: When it is no longer worth delivering (aware).

        Raises:
            MalformedEvent, InvalidEvent: It is no valid event; nothing was sent.
            LinkRefused: The broker does not let this user publish that type.
            CommandRefused: ``stored`` and no agent on this domain records events.
            ConnectionLost: The bus is closed.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until everything published so far has been handed to the socket.

        Raises:
            ConnectionLost: The connection went away meanwhile.
        """
        raise NotImplementedError

    async def subscribe(
        self,
        xquery: str = ".",
        *,
        kinds: Iterable[str] | None = None,
        queue_events: int | None = None,
        queue_bytes: int | None = None,
    ) -> Subscription:
        """Ask for the events that a query lets through; return when the broker has agreed.

        Args:
            xquery: Matches if its effective boolean value is true; the context item is the document node.
            kinds: Only these event types, so that the broker can do the coarse work.
            queue_events, queue_bytes: How much may wait for the reader (limits of the bus if None).

        Raises:
            QuerySyntaxError: The query does not compile.
            LinkRefused: The broker refuses the subscription.
            ConnectionLost: The bus is closed.
        """
        raise NotImplementedError

    # -- commands

    async def call(
        self,
        method: str,
        *args: Any,
        timeout: float = 30.0,
        address: str | None = None,
        node: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a command of an agent and return its result (a JSON value).

        Positional or keyword arguments, not both. It is carried out at most once.

        Args:
            method: Name of the command.
            timeout: Seconds for everything, the way there and back included.
            address: A command queue other than ``{domain}.command.core``, as the bus names it.
            node: Ask this agent, not any.

        Raises:
            CommandRefused: The agent answered with an error; code, message and data are its own.
            CommandTimeout: Nobody took it in time: it was not carried out.
            OutcomeUnknown: An agent took it and the answer is lost: it may have been carried out.
            CommandError: The arguments cannot be written as JSON, or both kinds were given.
            LinkRefused: The broker does not let this user send there.
            ConnectionLost: The bus is closed.
        """
        raise NotImplementedError

    async def request(
        self,
        request: Request,
        *,
        timeout: float = 30.0,
        address: str | None = None,
        on_behalf_of: str | None = None,
    ) -> Any:
        """Do what `call` does for a call that is already put together.

        Args:
            request: Its id is replaced: the message id of AMQP serves as one.
            timeout: As in `call`.
            address: A command queue, ``{domain}.command.core`` if None.
            on_behalf_of: The user for whom a gateway speaks; counts if the login may impersonate.

        Raises:
            CommandError, BusError: As `call`.
        """
        raise NotImplementedError

    async def serve(
        self,
        handler: CallHandler | Mapping[str, CallHandler],
        *,
        queue: str = "core",
        node: str | None = None,
        address: str | None = None,
        workers: int = 8,
    ) -> Service:
        """Answer the calls of a command queue; return when the broker has agreed.

        As many calls are asked for as there are free workers. A call is accepted when its execution begins;
        what comes twice (same message id within five minutes) is not executed again.

        Args:
            handler: One for all, or a mapping from method names.
            queue: ``{domain}.command.{queue}`` is shared with other agents.
            node: Serve ``{domain}.command.{queue}.{node}`` as well, with as many workers again.
            address: Serve this queue instead (``client_address(...)``).
            workers: Calls executed at the same time.

        Raises:
            LinkRefused: The broker does not let this user serve there.
            ConnectionLost: The bus is closed.
        """
        raise NotImplementedError
