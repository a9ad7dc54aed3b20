"""The client's connection, kept alive: one wire after the other, with growing pauses between them.

A `Connector` reaches a broker and knows the login; a `Wire` carries bytes between its socket and a
`BusConnection`; `BusClient` hands on what these connections say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol

from clacks.amqp.connection import BusConnection, Closed, ConnectionEvent, ConnectionState, Opened
from clacks.amqp.profiles import Profile
from clacks.amqp.sasl import SaslClient
from clacks.common.backoff import Backoff
from clacks.common.errors import (
    BusError,
    ClacksError,
    ConnectionFailed,
    ConnectionLost,
    LoginRefused,
    ProtocolError,
)
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.net.connectors import Connector, LocalConnector, TcpConnector
from clacks.net.wire import Wire

__all__ = ["BusClient", "ConnectionOwner", "Connector", "LocalConnector", "TcpConnector"]

log = logging.getLogger(__name__)

_SLOW: Final = 60.0  # seconds before a refused login is tried again: passwords do not change by the second
_ABSENT: Final = 0.8
"""Seconds at most between two tries while nobody listens, before jitter. A refused connection costs next to
nothing, and whoever waits for a broker wants to be back within a second after it."""
_GOODBYE: Final = 2.0  # seconds that the broker has to answer our close


class ConnectionOwner(Protocol):
    """Who is told what becomes of the connection; all calls come on the loop."""

    def on_events(self, connection: BusConnection, events: list[ConnectionEvent]) -> None:
        """Take what happened on the connection in use."""

    def on_retry(self, reason: str, pause: float) -> None:
        """Note that the connection is gone, or could not be made again; the next try is in ``pause`` s."""


class BusClient:
    """Keeps a connection to a broker.

    Args:
        connector: How to get there.
        owner: Who is told.
        container_id: Our name to the broker.
        profile: What the broker is known to be; None chooses by what it says.
        limits: Sizes and times.
        backoff: The pauses between attempts.
        random_number: Numbers from 0 to below 1 for their jitter.
        version: Our version, for the broker's logs.
    """

    def __init__(
        self,
        connector: Connector,
        owner: ConnectionOwner,
        *,
        container_id: str,
        profile: Profile | None = None,
        limits: Limits = DEFAULT_LIMITS,
        backoff: Backoff | None = None,
        random_number: Callable[[], float] = random.random,
        version: str = "",
    ) -> None:
        self._connector = connector
        self._owner = owner
        self._container_id = container_id
        self._profile = profile
        self._limits = limits
        self._backoff = backoff or Backoff()
        self._random = random_number
        self._version = version
        self._wire: Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._opening: asyncio.Future[None] | None = None
        self._reason = ""

    @property
    def connection(self) -> BusConnection | None:
        """The connection in use, or None while there is none that is open."""
        wire = self._wire
        if wire is None or wire.connection is None or wire.connection.state is not ConnectionState.OPEN:
            return None
        return wire.connection

    @property
    def silent(self) -> float:
        """Seconds since the broker was last heard."""
        return 0.0 if self._wire is None else asyncio.get_running_loop().time() - self._wire.heard

    async def start(self, *, patient: bool = False) -> None:
        """Connect, and keep the connection from then on.

        Args:
            patient: Keep trying if nobody is there yet. A refused login and wrong TLS end it all the same.

        Raises:
            ConnectionFailed, LoginRefused, SettingsError: As the connector and the login say it.
        """
        while True:
            try:
                await self._attempt()
                break
            except ConnectionFailed as error:
                if not patient or isinstance(error.__cause__, ssl.SSLError):
                    raise
                await self._pause(str(error), at_most=_ABSENT if _nobody_there(error) else None)
        self._keeper = asyncio.create_task(self._keep(), name=f"bus connection to {self._connector.where}")

    async def close(self) -> None:
        """Say good-bye and let go of the socket; waits two seconds for the broker's answer."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        wire, self._wire = self._wire, None
        if wire is None or wire.connection is None:
            return
        if not wire.gone.done():
            wire.connection.close()
            wire.flush()
            await asyncio.wait({wire.gone}, timeout=_GOODBYE)
            wire.abort()
            await asyncio.wait({wire.gone}, timeout=_GOODBYE)
        _free(wire)

    async def writable(self) -> None:
        """Write now, and wait until the socket takes more; returns at once without a connection."""
        if self._wire is not None:
            await self._wire.writable()

    def hurry(self) -> None:
        """Hand what is to be written to the socket now, as far as it takes it."""
        if self._wire is not None:
            self._wire.flush()

    async def flush(self) -> None:
        """Wait until all has been handed to the socket.

        Raises:
            ConnectionLost: There is no connection, or it goes away meanwhile.
        """
        if self._wire is None or self.connection is None:
            raise ConnectionLost("there is no connection")
        await self._wire.empty()

    # -- one attempt after the other

    async def _keep(self) -> None:
        while True:
            wire = self._wire
            assert wire is not None
            await asyncio.shield(wire.gone)  # a task that is cancelled takes a bare future with it
            reason = self._reason or "the connection was closed"
            log.info("connection lost at=%s reason=%s", self._connector.where, reason)
            self._wire = None
            _free(wire)
            at_least, at_most = 0.0, None
            while True:
                await self._pause(reason, at_least, at_most)
                at_least, at_most = 0.0, None
                try:
                    await self._attempt()
                    break
                except LoginRefused as error:
                    reason = str(error)
                    at_least = 0.0 if error.temporary else _SLOW
                except (ClacksError, OSError) as error:  # a certificate file that is being renewed, too
                    reason = str(error)
                    at_most = _ABSENT if _nobody_there(error) else None
                log.debug("connecting failed at=%s reason=%s", self._connector.where, reason)

    async def _pause(self, reason: str, at_least: float = 0.0, at_most: float | None = None) -> None:
        now = asyncio.get_running_loop().time()
        pause = self._backoff.failed(now, self._random, at_least=at_least, at_most=at_most)
        self._owner.on_retry(reason, pause)
        await asyncio.sleep(pause)

    async def _attempt(self) -> None:
        """Make one connection, up to the answer to our open."""
        where = self._connector.where
        reached: list[Wire] = []
        self._reason = ""
        loop = asyncio.get_running_loop()
        opened = self._opening = loop.create_future()
        try:
            async with asyncio.timeout(self._limits.login_timeout):
                await self._open(reached, opened)
        except (BusError, TimeoutError) as error:
            explained = self._explained(error, bool(reached), where)
            if explained is error:
                raise  # its cause says what happened; "from" itself would hide it
            raise explained from error
        finally:
            self._opening = None
        wire = reached[0]
        self._backoff.succeeded(loop.time())
        connection = wire.connection
        assert connection is not None
        log.info("connected at=%s broker=%s", where, connection.peer.title)

    async def _open(self, reached: list[Wire], opened: asyncio.Future[None]) -> None:
        there = await self._connector.connect(lambda: Wire(self._on_events))
        wire = self._wire = there.protocol
        reached.append(wire)
        try:
            wire.begin(self._new_connection(there.sasl), there.sasl)
            await opened
            if self.connection is None:
                # A broker without room opens all the same, to be able to say why it closes (2.4.1).
                raise ConnectionFailed(f"the broker does not keep the connection: {self._reason}")
        except BaseException:
            self._wire = None
            wire.abort()
            await _gone(wire)
            _free(wire)
            raise

    def _new_connection(self, sasl: SaslClient | None) -> BusConnection:
        return BusConnection(
            container_id=self._container_id,
            sasl=sasl,
            hostname=self._connector.hostname,
            profile=self._profile,
            limits=self._limits,
            version=self._version,
        )

    def _explained(self, error: BusError | TimeoutError, reached: bool, where: str) -> BaseException:
        if isinstance(error, TimeoutError):
            if not reached:
                return ConnectionFailed(f"no connection to {where}: no answer in time")
            return ConnectionFailed(
                f"no connection to {where}: the port answers, and then nothing comes (is it a broker? is it "
                "a port for TLS, amqps://?)"
            )
        if isinstance(error, ProtocolError):
            return ConnectionFailed(f"{where} does not speak AMQP 1.0: {error}")
        if isinstance(error, ConnectionFailed) and where not in str(error):
            return ConnectionFailed(f"no connection to {where}: {error}")
        return error

    def _on_events(self, wire: Wire, events: list[ConnectionEvent]) -> None:
        if wire is not self._wire:
            return  # given up already
        opening = self._opening
        for event in events:
            if type(event) is Closed:
                self._reason = event.description or event.condition
                if wire.transport is not None:
                    wire.flush()
                    wire.transport.close()
                if opening is not None and not opening.done():
                    opening.set_exception(wire.failure or _never_opened(event))
            elif type(event) is Opened and opening is not None and not opening.done():
                opening.set_result(None)
        assert wire.connection is not None
        self._owner.on_events(wire.connection, events)


def _never_opened(event: Closed) -> BusError:
    """Say what it means that a broker closed instead of opening."""
    words = event.description or event.condition
    if event.condition in ("amqp:unauthorized-access", "amqp:not-allowed"):
        return LoginRefused(f"the broker does not let us in: {words}")
    return ConnectionFailed(f"the broker did not open the connection: {words}")


def _nobody_there(error: BaseException) -> bool:
    """Tell whether the machine answered that nobody listens on that port."""
    return isinstance(error.__cause__, ConnectionRefusedError)


async def _gone(wire: Wire) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE):
            await asyncio.shield(wire.gone)


def _free(wire: Wire) -> None:
    connection: Any = wire.connection
    wire.connection = None
    if connection is not None:
        connection.free()
