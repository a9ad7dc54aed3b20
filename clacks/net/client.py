"""The client's sockets: connect, shovel bytes, beat, connect again.

A `Connector` reaches a broker and knows the login. A `_Wire` is one connection: it carries bytes between the
socket and a `BusConnection` and decides nothing. `BusClient` keeps one wire after the other alive and hands
on what their connections say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from clacks.amqp.connection import BusConnection, Closed, ConnectionEvent, ConnectionState, Opened
from clacks.amqp.profiles import Profile
from clacks.amqp.sasl import SaslClient
from clacks.common.address import BusURL
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
from clacks.net.tls import client_context, connection_failed, is_loopback

__all__ = ["BusClient", "ConnectionOwner", "Connector", "LocalConnector", "Reached", "TcpConnector"]

log = logging.getLogger(__name__)

_SLOW: Final = 60.0  # seconds before a refused login is tried again: passwords do not change by the second
_GOODBYE: Final = 2.0  # seconds that the broker has to answer our close


@dataclass(frozen=True, slots=True)
class Reached:
    """A socket that is connected to the broker, TLS included, and the login to use on it."""

    transport: asyncio.Transport
    protocol: _Wire
    sasl: SaslClient | None


class Connector(Protocol):
    """A way to reach a broker."""

    @property
    def where(self) -> str:
        """The place for people and logs, without a password."""

    @property
    def hostname(self) -> str | None:
        """What to call the broker in the open of the connection."""

    @property
    def user(self) -> str | None:
        """Who logs in; None if nobody in particular."""

    async def connect(self, wire: Callable[[], _Wire]) -> Reached:
        """Connect; the caller limits the time.

        Raises:
            ConnectionFailed: With a sentence that says what to do.
        """


class TcpConnector:
    """Reaches the broker of a URL by TCP, with TLS for ``amqps``.

    Args:
        url: Where, and who logs in.
        ca: File with the authorities to trust, and no others.
        local_authority: File of this machine's own authority; counts for localhost only.
        certificate, key: Client certificate, for a login by EXTERNAL.
        mechanisms: The only SASL mechanisms to use.

    Raises:
        SettingsError: One of the files cannot be used (at the first connection).
    """

    def __init__(
        self,
        url: BusURL,
        *,
        ca: Path | None = None,
        local_authority: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        mechanisms: tuple[str, ...] | None = None,
    ) -> None:
        self.url = url
        self._files = {
            "ca": ca,
            "local_authority": local_authority,
            "certificate": certificate,
            "key": key,
        }
        self._mechanisms = mechanisms

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{self.url.host}:{self.url.port}"

    @property
    def hostname(self) -> str | None:
        """The host of the URL."""
        return self.url.host

    @property
    def user(self) -> str | None:
        """The user of the URL."""
        return self.url.user

    async def connect(self, wire: Callable[[], _Wire]) -> Reached:
        """Try all addresses of the host in their order.

        Raises:
            ConnectionFailed: Nobody there, no TLS, unknown authority, wrong name.
            SettingsError: A file of the TLS options cannot be used.
        """
        url = self.url
        loop = asyncio.get_running_loop()
        # Read at every connection: certificates are renewed while we run.
        context = client_context(url.host, **self._files) if url.tls else None
        try:
            sock = await self._socket(loop)
            transport, protocol = await loop.create_connection(
                wire,
                sock=sock,
                ssl=context,
                server_hostname=url.host if context is not None else None,
            )
        except (OSError, ssl.SSLError, EOFError) as error:
            raise connection_failed(error, url.host, url.port, tls=url.tls) from error
        peer = transport.get_extra_info("peername")
        login = SaslClient(
            url.user,
            url.password,
            tls=url.tls,
            loopback=is_loopback(str(peer[0])) if isinstance(peer, tuple) else False,
            certificate=self._files["certificate"] is not None,
            hostname=url.host,
            allowed=self._mechanisms,
        )
        return Reached(transport, protocol, login)

    async def _socket(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        found = await loop.getaddrinfo(self.url.host, self.url.port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for family, kind, proto, _, address in found:
            sock = socket.socket(family, kind, proto)
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                failure = failure or error
            except asyncio.CancelledError:
                sock.close()
                raise
            else:
                return sock
        raise failure or OSError("the host has no address")


class LocalConnector:
    """Reaches a broker in this process over a socket pair.

    Args:
        make: Returns our end of a new pair (``BrokerServer.local_socket``); the other end is already logged
            in as ``user``, so there is no SASL.
        user: Who that is.
    """

    def __init__(self, make: Callable[[], socket.socket], user: str | None = None) -> None:
        self._make = make
        self.user = user
        self.where = "the broker in this process"
        self.hostname: str | None = None

    async def connect(self, wire: Callable[[], _Wire]) -> Reached:
        """Ask for a socket.

        Raises:
            ConnectionFailed: The broker gives none any more.
        """
        loop = asyncio.get_running_loop()
        try:
            sock = self._make()
            sock.setblocking(False)
            transport, protocol = await loop.create_connection(wire, sock=sock)
        except (OSError, RuntimeError, BusError) as error:
            raise ConnectionFailed(f"no connection to {self.where}: {error}") from error
        return Reached(transport, protocol, None)


class _Wire(asyncio.Protocol):
    """One socket and one connection, joined."""

    def __init__(self, deliver: Callable[[_Wire, list[ConnectionEvent]], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._tick: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._resumed: asyncio.Future[None] | None = None
        self._early: list[bytes] = []
        self.connection: BusConnection | None = None
        self.transport: asyncio.Transport | None = None
        self.sasl: SaslClient | None = None
        self.paused = False
        self.failure: BusError | None = None
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.heard = self._loop.time()

    def begin(self, connection: BusConnection, sasl: SaslClient | None) -> None:
        """Start speaking."""
        self.connection = connection
        self.sasl = sasl
        connection.engine.on_work = self._schedule
        connection.open()
        self.beat()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)
        self._schedule()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio's word, not the type's

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        connection = self.connection
        if connection is None:
            self._early.append(data)
            return
        try:
            connection.receive(data)
        except BusError as error:
            self._failed(error)
        self._hand_on(connection)

    def eof_received(self) -> bool:
        if self.connection is not None:
            self._login_ended()
            self.connection.eof()
            self._hand_on(self.connection)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        if not self.gone.done():
            self.gone.set_result(None)
        if self.connection is not None:
            self._login_ended()
            self.connection.lost(f"the connection broke: {error}" if error else "the connection was closed")
            self._hand_on(self.connection)

    def _login_ended(self) -> None:
        if self.sasl is not None:
            try:
                self.sasl.eof()  # knows at which step
            except BusError as error:
                self.failure = self.failure or error

    def pause_writing(self) -> None:
        self.paused = True
        if self.connection is not None:
            self.connection.engine.writable = False

    def resume_writing(self) -> None:
        self.paused = False
        if self.connection is not None:
            self.connection.engine.writable = True
            self.flush()
        if self._resumed is not None and not self._resumed.done() and not self.paused:
            self._resumed.set_result(None)

    # -- the connection's side

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is to be written, once per turn of the loop."""
        self._scheduled = False
        connection, transport = self.connection, self.transport
        if connection is None or transport is None or transport.is_closing():
            return
        if self.paused:
            return  # proton keeps it; resume_writing comes back
        data = connection.bytes_to_send()
        if data:
            transport.write(data)
        if connection.engine.finished:
            transport.close()
        self._hand_on(connection)

    def beat(self) -> None:
        """Do what time asks for, and come again."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        connection = self.connection
        if connection is None or self.gone.done():
            return
        now = self._loop.time()
        then = connection.tick(now)
        if then is not None:
            self._tick = self._loop.call_at(max(then, now + 0.01), self.beat)
        self._hand_on(connection)

    def _hand_on(self, connection: BusConnection) -> None:
        while events := connection.events():
            if any(type(event) is Opened for event in events):
                self.beat()  # now we know how often the broker wants to hear from us
            self._deliver(self, events)

    def _failed(self, error: BusError) -> None:
        self.failure = self.failure or error
        if self.connection is not None:
            self.connection.lost(str(error))
        if self.transport is not None:
            # The peer may still wait for our last word (an empty frame of SASL); it gets none.
            self.transport.close()

    # -- waiting

    async def writable(self) -> None:
        """Write now, and wait until the socket takes more."""
        self.flush()
        if self.paused and not self.gone.done():
            if self._resumed is None or self._resumed.done():
                self._resumed = self._loop.create_future()
            await asyncio.shield(self._resumed)
        else:
            await asyncio.sleep(0)

    async def empty(self) -> None:
        """Wait until all bytes have been handed to the socket.

        Raises:
            ConnectionLost: The connection went away meanwhile.
        """
        transport, connection = self.transport, self.connection
        assert transport is not None
        assert connection is not None
        while True:
            self.flush()
            if self.gone.done() or transport.is_closing():
                raise ConnectionLost("the connection went away before all was sent")
            if transport.get_write_buffer_size():
                # With both marks at 0 asyncio pauses us now and resumes when the last byte has gone.
                transport.set_write_buffer_limits(high=0)
                try:
                    await self.writable()
                finally:
                    transport.set_write_buffer_limits()
            elif connection.engine.backlog:
                await asyncio.sleep(0.001)  # the broker's session window is closed; its flow opens it
            elif not self._scheduled:
                return
            else:
                await asyncio.sleep(0)

    def abort(self) -> None:
        """Drop the socket."""
        if self.transport is not None:
            self.transport.abort()


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
        self._wire: _Wire | None = None
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
                await self._pause(str(error))
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
            at_least = 0.0
            while True:
                await self._pause(reason, at_least)
                at_least = 0.0
                try:
                    await self._attempt()
                    break
                except LoginRefused as error:
                    reason = str(error)
                    at_least = 0.0 if error.temporary else _SLOW
                except (ClacksError, OSError) as error:  # a certificate file that is being renewed, too
                    reason = str(error)
                log.debug("connecting failed at=%s reason=%s", self._connector.where, reason)

    async def _pause(self, reason: str, at_least: float = 0.0) -> None:
        now = asyncio.get_running_loop().time()
        pause = self._backoff.failed(now, self._random, at_least=at_least)
        self._owner.on_retry(reason, pause)
        await asyncio.sleep(pause)

    async def _attempt(self) -> None:
        """Make one connection, up to the answer to our open."""
        where = self._connector.where
        reached: list[_Wire] = []
        self._reason = ""
        loop = asyncio.get_running_loop()
        opened = self._opening = loop.create_future()
        try:
            async with asyncio.timeout(self._limits.login_timeout):
                await self._open(reached, opened)
        except (BusError, TimeoutError) as error:
            raise self._explained(error, bool(reached), where) from error
        finally:
            self._opening = None
        wire = reached[0]
        self._backoff.succeeded(loop.time())
        connection = wire.connection
        assert connection is not None
        log.info("connected at=%s broker=%s", where, connection.peer.title)

    async def _open(self, reached: list[_Wire], opened: asyncio.Future[None]) -> None:
        there = await self._connector.connect(lambda: _Wire(self._on_events))
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

    def _on_events(self, wire: _Wire, events: list[ConnectionEvent]) -> None:
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


async def _gone(wire: _Wire) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE):
            await asyncio.shield(wire.gone)


def _free(wire: _Wire) -> None:
    connection: Any = wire.connection
    wire.connection = None
    if connection is not None:
        connection.free()
