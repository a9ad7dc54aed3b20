"""The bus as its users see it; the parts are in the other files of this folder."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import platform
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, overload
from urllib.parse import quote

from lxml import etree

from clacks.amqp.connection import BusConnection, Closed, ConnectionEvent, Opened
from clacks.amqp.eventmessage import EventEncoder, EventIdentity
from clacks.amqp.profiles import Profile, named_profile
from clacks.bus.calling import ON_BEHALF_OF, Caller
from clacks.bus.confirming import ConfirmedPublisher
from clacks.bus.joining import Joint
from clacks.bus.publishing import Publisher
from clacks.bus.recording import LOG_QUEUE, PATIENCE, record
from clacks.bus.replaying import Replay, Since, place_of
from clacks.bus.replies import Replies
from clacks.bus.serving import CallHandler, Service
from clacks.bus.state import BusState, StateChange, StateWatch
from clacks.bus.subscribing import Subscriber
from clacks.bus.subscription import Item, Subscription
from clacks.common import jsonrpc
from clacks.common.address import BusURL, command_address, event_address
from clacks.common.errors import (
    BusError,
    CommandError,
    ConnectionLost,
)
from clacks.common.event import Event
from clacks.common.jsonrpc import Request
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Metrics
from clacks.common.schema import SchemaRegistry, default_registry
from clacks.common.settings import default_state_dir
from clacks.common.tracing import Tracing
from clacks.net.client import BusClient, Connector, TcpConnector

__all__ = ["Bus", "EventLike"]

log = logging.getLogger(__name__)

EventLike: TypeAlias = "Event | etree._Element | bytes | str"

_PATIENCE: Final = 5.0  # seconds that publish waits for credit
_NEW: Final = 'the bus is not started: use "async with" or start()'


def _local_authority(url: BusURL) -> Path | None:
    """Return the authority that ``clacks up`` made on this machine, where it counts."""
    if not (url.tls and url.loopback):
        return None
    from clacks.net.certificates import local_authority  # takes a moment: it knows cryptography

    return local_authority(default_state_dir(os.environ))


def _version() -> str:
    try:
        return importlib.metadata.version("clacks")
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
        return ""


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
        trust_users: Believe the ``user-id`` of calls although the broker does not vouch for it: its operator
            says that all its users may be trusted with each other's names.
        tracing: Makes a span of each event that is published, each call and what is done for one, and
            carries its context in the message.

    Example:
        >>> async with Bus("amqp://admin:secret@localhost/org.clacks") as bus:  # doctest: +SKIP
        ...     await bus.publish(event)
        ...     print(await bus.call("getMethods"))
    """

    def __init__(
        self,
        url: str | BusURL,
        *,
        registry: SchemaRegistry | None = None,
        connector: Connector | None = None,
        ca: str | None = None,
        profile: Profile | str | None = None,
        name: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        metrics: Metrics | None = None,
        trust_users: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self._url = url if isinstance(url, BusURL) else BusURL.parse(url)
        self._registry = registry if registry is not None else default_registry()
        self._limits = limits
        self.metrics = metrics if metrics is not None else Metrics()
        if connector is None:
            connector = TcpConnector(
                self._url,
                ca=None if ca is None else Path(ca),
                local_authority=_local_authority(self._url),
            )
        self._connector = connector
        self._watch = StateWatch()
        who = name or platform.node() or "unknown"
        self._client = BusClient(
            connector,
            self,
            container_id=f"clacks-{who}-{uuid.uuid4().hex[:8]}",
            profile=named_profile(profile) if isinstance(profile, str) else profile,
            limits=limits,
            version=_version(),
        )
        self._trust_users = trust_users
        self.tracing = tracing
        encoder = EventEncoder(self.user, f"urn:clacks:{quote(who)}", f"{uuid.uuid4().hex[:16]}-")
        self._encoder = encoder
        self._publisher = Publisher(self, encoder, self._client.writable, self.metrics)
        self._confirmed = ConfirmedPublisher(self, encoder)
        self._subscriber = Subscriber(self, self._registry, limits, self.metrics)
        self._caller = Caller(self)
        self._replies = Replies(self)
        self._services: list[Service] = []
        self._profile: Profile | None = None

    # -- life

    async def start(self, *, patient: bool = False) -> None:
        """Connect and log in. ``async with`` does it.

        Args:
            patient: Keep trying while nobody is there; a refused login ends it all the same.

        Raises:
            ConnectionFailed: Nobody there, TLS refused, unknown CA, wrong host name, no AMQP there.
            LoginRefused: The broker does not take these credentials.
        """
        if self._watch.state is not BusState.NEW:
            raise ConnectionLost("a bus is started once")
        self._watch.become(BusState.CONNECTING)
        try:
            await self._client.start(patient=patient)
        except BaseException:
            self._watch.become(BusState.CLOSED)
            raise

    async def close(self) -> None:
        """Say good-bye: what was published is handed to the socket first, pending calls fail."""
        if self._watch.state in (BusState.CLOSED, BusState.NEW):
            self._watch.become(BusState.CLOSED)
            return
        for service in list(self._services):
            await service.close()
        if self._client.connection is not None:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._client.flush()
            except (TimeoutError, BusError):
                log.info("closed before everything was sent")
        self._watch.become(BusState.CLOSED)
        self._caller.close()
        self._subscriber.close()
        self._publisher.close()
        self._confirmed.close()
        await self._client.close()

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
        return self._watch.state

    def on_state(self, callback: Callable[[StateChange], None]) -> Callable[[], None]:
        """Have ``callback`` called on the loop at each change; return what ends that."""
        return self._watch.listen(callback)

    def states(self) -> AsyncIterator[StateChange]:
        """Iterate over the changes from now on, until the bus is closed."""
        return self._watch.changes()

    @property
    def profile(self) -> Profile | None:
        """What is known of the broker, or None before the first connection."""
        connection = self._client.connection
        if connection is not None:
            self._profile = connection.profile
        return self._profile

    @property
    def domain(self) -> str:
        """The domain of the bus, such as ``org.clacks``."""
        return self._url.domain

    @property
    def user(self) -> str | None:
        """The login, or None if there is none (anonymous)."""
        return self._connector.user

    # -- events

    @overload
    async def publish(
        self,
        event: EventLike,
        *,
        stored: Literal[False] = False,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
        identity: EventIdentity | None = None,
        on_behalf_of: str | None = None,
    ) -> bool: ...
    @overload
    async def publish(
        self,
        event: EventLike,
        *,
        stored: Literal[True],
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
        identity: EventIdentity | None = None,
        on_behalf_of: str | None = None,
    ) -> str: ...
    async def publish(
        self,
        event: EventLike,
        *,
        stored: bool = False,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
        identity: EventIdentity | None = None,
        on_behalf_of: str | None = None,
    ) -> bool | str:
        """Send an event; tell whether it went out, or with ``stored`` return its log id.

        Fire and forget: with nobody listening it is gone. If the broker gives no credit for five seconds, or
        there is no connection for that long, the event is dropped, counted and logged, and the answer is
        False.

        Args:
            event: An `Event`, or an element, bytes or text that the registry makes one of.
            stored: Have a recording agent commit it to the event log first, and then publish it. What was
                answered is not lost; if the agent ends meanwhile, the call is made again for half a minute,
                under the same id, so that the event is recorded once.
            properties: More application properties; queries see them as external variables.
            expires: When it is no longer worth delivering (aware).
            identity: Id, source and time of an event that has them already; else they are made.
            on_behalf_of: In whose name; counts only if this login has the right ``impersonate``.

        Raises:
            MalformedEvent, InvalidEvent: It is no valid event; nothing was sent.
            LinkRefused: The broker does not let this user publish that type.
            CommandRefused: ``stored`` and no agent on this domain records events (``UNAVAILABLE``), the log
                takes no events (``UNAVAILABLE``), or the user may not publish that type.
            OutcomeUnknown: ``stored``, and the recording agent was lost for too long: perhaps it is recorded.
            ConnectionLost: The bus is closed.
            ValueError, TypeError: A property has a name of CloudEvents' own, or a type that AMQP lacks.
        """
        if type(event) is not Event:
            event = self._event(event)
        self._check_running()
        if stored:
            identity = identity or self._encoder.identity(time.time())
            ask = partial(self._ask_log, on_behalf_of=on_behalf_of)
            return await record(ask, event, identity, properties, expires)
        if on_behalf_of is not None:
            properties = {**(properties or {}), ON_BEHALF_OF: on_behalf_of}
        if self.tracing is None:
            return await self._publisher.publish(event, properties, expires, identity)
        with self.tracing.publish(event.kind, event_address(self.domain, event.kind)) as context:
            merged = {**context, **(properties or {})}
            return await self._publisher.publish(event, merged, expires, identity)

    def _event(self, source: EventLike) -> Event:
        if isinstance(source, (bytes, str)):
            return self._registry.receive(source)
        if isinstance(source, Event):
            return source
        return self._registry.event(source)

    async def _ask_log(
        self, method: str, arguments: Mapping[str, Any], timeout: float, on_behalf_of: str | None = None
    ) -> Any:
        """Call the agent that records."""
        address = command_address(self.domain, LOG_QUEUE)
        request = Request(method, arguments)
        return await self.request(
            request, timeout=timeout, address=address, on_behalf_of=on_behalf_of, patience=PATIENCE
        )

    async def publish_confirmed(
        self,
        event: Event,
        identity: EventIdentity,
        properties: Mapping[str, Any] | None = None,
        expires: datetime | None = None,
    ) -> bool:
        """Send an event that has an identity, and wait until the broker has it; False if it refused it.

        Raises:
            ConnectionLost: The connection went before the broker said anything: perhaps it has the event.
            LinkRefused: The broker does not let this user publish that type.
        """
        self._check_running()
        return await self._confirmed.publish(event, identity, properties, expires)

    async def flush(self) -> None:
        """Wait until everything published so far has been handed to the socket.

        Raises:
            ConnectionLost: The connection went away meanwhile.
        """
        await self._client.flush()

    async def subscribe(
        self,
        xquery: str = ".",
        *,
        kinds: Iterable[str] | None = None,
        queue_events: int | None = None,
        queue_bytes: int | None = None,
        since: Since | None = None,
    ) -> Subscription:
        """Ask for the events that a query lets through; return when the broker has agreed.

        Args:
            xquery: Matches if its effective boolean value is true; the context item is the document node.
            kinds: Only these event types, so that the broker can do the coarse work.
            queue_events, queue_bytes: How much may wait for the reader (limits of the bus if None).
            since: First replay what was recorded since then, and then go on live, without gap or double: an
                ISO time or an aware datetime, a time ago (``"-1h"``, -3600, a timedelta), or a log id, after
                which to begin. What is missed later, while the connection is away, is replayed as well; a
                gap is reported only if that fails. Nothing is dropped while the log is read.

        Raises:
            QuerySyntaxError: The query does not compile.
            LinkRefused: The broker refuses the subscription.
            CommandRefused: ``since`` and no agent on this domain records events, ``since`` means nothing, or
                the user has no right to ``getEvents``.
            ConnectionLost: The bus is closed.
        """
        self._check_running()
        if since is None:
            return await self._subscriber.subscribe(xquery, kinds, queue_events, queue_bytes)
        kinds = None if kinds is None else tuple(kinds)
        joint: Joint[Item] = Joint(
            events=max(1, (queue_events or self._limits.queue_events) // 2),
            size=(queue_bytes or self._limits.queue_bytes) // 2,
            after=place_of(since),
        )
        found = await self._subscriber.subscribe(xquery, kinds, queue_events, queue_bytes, joint)
        found.replay = Replay(found, joint, self._ask_log, self._registry, self.domain, kinds)
        try:
            await found.replay.begin(since)
        except BaseException:
            await found.close()
            raise
        return found

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
        if args and kwargs:
            raise CommandError(
                jsonrpc.INVALID_PARAMS, "a call has positional or keyword arguments, not both (JSON-RPC 2.0)"
            )
        if address is None or node is not None:
            address = command_address(self.domain, node=node)
        return await self.request(Request(method, kwargs or args), timeout=timeout, address=address)

    async def request(
        self,
        request: Request,
        *,
        timeout: float = 30.0,
        address: str | None = None,
        on_behalf_of: str | None = None,
        patience: float | None = None,
    ) -> Any:
        """Do what `call` does for a call that is already put together.

        Args:
            request: Its id is replaced: the message id of AMQP serves as one.
            timeout: As in `call`.
            address: A command queue, ``{domain}.command.core`` if None.
            on_behalf_of: The user for whom a gateway speaks; counts if the login may impersonate.
            patience: Seconds for somebody to take the call, if that is less than the time-out: who is there
                takes it at once, and whoever has another one to ask need not wait long.

        Raises:
            CommandError, BusError: As `call`.
        """
        self._check_running()
        address = address or command_address(self.domain)
        if self.tracing is None:
            return await self._caller.request(request, address, timeout, on_behalf_of, patience)
        with self.tracing.call(request.method, address) as context:
            return await self._caller.request(request, address, timeout, on_behalf_of, patience, context)

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
        self._check_running()
        addresses = [address or command_address(self.domain, queue)]
        if node is not None and address is None:
            addresses.append(command_address(self.domain, queue, node))
        service = Service(
            self,
            self._replies,
            handler,
            tuple(addresses),
            workers,
            trust_users=self._trust_users,
            ended=self._service_ended,
            tracing=self.tracing,
        )
        self._services.append(service)
        service.restore()
        try:
            await service.agreed()
        except BaseException:
            await service.close(0.0)
            raise
        return service

    def _service_ended(self, service: Service) -> None:
        if service in self._services:
            self._services.remove(service)

    # -- the connection's side

    @property
    def connection(self) -> BusConnection | None:
        """The AMQP connection, or None while there is none; for the parts of the bus."""
        return self._client.connection

    def hurry(self) -> None:
        """Hand what is to be written to the socket now; for the parts of the bus."""
        self._client.hurry()

    def on_events(self, connection: BusConnection, events: list[ConnectionEvent]) -> None:
        """Take what happened on the connection; for the client of ``net``."""
        for event in events:
            match event:
                case Opened():
                    self._restore(event)
                case Closed():
                    self._subscriber.lost(event.description, self._client.silent)
                case _:
                    event.owner.on_link(event)

    def on_retry(self, reason: str, pause: float) -> None:
        """Note that the connection is gone, or not there yet; for the client of ``net``."""
        if self._watch.state is BusState.CONNECTED:
            self.metrics.count("connections_lost")
            self._watch.become(BusState.RECONNECTING, reason)
        elif self._watch.state in (BusState.CONNECTING, BusState.RECONNECTING):
            self._watch.become(self._watch.state, f"{reason}; trying again in {pause:.1f} s")

    def _restore(self, event: Opened) -> None:
        self._publisher.restore()
        self._confirmed.restore()
        self._subscriber.restore()
        for service in self._services:
            service.restore()
        self._replies.restore()
        self._caller.restore()
        self._watch.become(BusState.CONNECTED, event.peer.title)

    def _check_running(self) -> None:
        if self._watch.state is BusState.CLOSED:
            raise ConnectionLost("the bus is closed")
        if self._watch.state is BusState.NEW:
            raise ConnectionLost(_NEW)
