"""The embedded broker on sockets: accepts, logs in, shovels, beats. It decides nothing about messages.

Memory is bounded per connection: one shared buffer for reading, what proton may hold (the broker's ``room``),
and asyncio's write buffer, which is not fed while it is above its mark. A peer that takes nothing loses its
own messages, in the broker's queues.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

from clacks.amqp.sasl import SaslServer
from clacks.broker.broker import Broker
from clacks.broker.peer import BrokerConnection
from clacks.common import audit
from clacks.common.credentials import Credentials, ScramKeys
from clacks.common.errors import BusError, ConnectionFailed
from clacks.net.ports import why_not
from clacks.net.tls import channel_of
from clacks.net.verifier import Logins

__all__ = ["BrokerServer"]

_log = logging.getLogger(__name__)

_READ: Final = 256 * 1024
"""Bytes read at a time, into one buffer for all connections: what a turn of the loop takes from one peer."""

_UNREAD: Final = 4 * 1024 * 1024
"""Bytes that we take from a peer that does not read what we write. Its heartbeats are a few; more would make
answers pile up (outcomes, refusals), so it is not read any more until it reads."""

_SPARE: Final = 256
"""Connections above the limit that are still answered with the reason; beyond, they are just closed."""

_ACCEPTED_AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop: a thousand agents that come back do not stop the events."""

_GOODBYE: Final = 2.0
"""Seconds that a peer has to answer our close."""


class _Socket(asyncio.BufferedProtocol):
    """One accepted socket and its connection, joined."""

    def __init__(
        self, server: BrokerServer, loop: asyncio.AbstractEventLoop, *, user: str | None = None
    ) -> None:
        self._server = server
        self._loop = loop
        self._buffer = server.buffer
        self._user = user
        self._transport: asyncio.Transport | None = None
        self._sasl: SaslServer | None = None
        self._scheduled = False
        self._paused = False
        self._unread = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._opened = False
        self._failure = ""
        self.address = "local"
        self.keys: ScramKeys | None = None
        self.peer: BrokerConnection | None = None

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        server = self._server
        self._transport = transport
        if not server.admit(self):
            transport.abort()
            return
        if self._user is None:
            name = transport.get_extra_info("peername")
            self.address = str(name[0]) if isinstance(name, tuple) else "local"
            self._sasl = server.logins.server(self.address, channel_of(transport))
        peer = server.broker.connect(user=self._user, sasl=self._sasl)
        peer.engine.on_work = self._schedule
        self.peer = peer
        self._timer = self._loop.call_later(server.broker.limits.login_timeout, self._too_late)

    def get_buffer(self, sizehint: int) -> memoryview:
        # A view, not the bytearray: asyncio's TLS reads into slices of it, and those would be copies.
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received(self._buffer[:nbytes])

    def eof_received(self) -> bool:
        if self.peer is not None:
            self.peer.eof()
            self._flush()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._server.gone(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()
        peer, self.peer = self.peer, None
        if peer is None:
            return
        peer.lost(time.time())
        reason = self._failure or peer.ended
        if error is not None and peer.ended == "lost":
            reason = str(error)
        if self._opened:
            _log.info("connection lost user=%s address=%s reason=%s", peer.user, self.address, ascii(reason))
        else:
            _log.debug(
                "connection ended before it was open address=%s reason=%s", self.address, ascii(reason)
            )

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._unread > _UNREAD and self._transport is not None:
            self._transport.resume_reading()
        self._unread = 0
        self._flush()

    # -- bytes

    def _received(self, data: bytes | memoryview) -> None:
        peer = self.peer
        if peer is None:
            return
        if self._sasl is not None:
            self._login(peer, bytes(data))
            return
        peer.receive(data, time.time())
        if not self._opened and peer.opened:
            self._open(peer)
        if self._paused:
            self._unread += len(data)
            if self._unread > _UNREAD and self._transport is not None:
                self._transport.pause_reading()
        if peer.closing:
            self._leave()

    def _login(self, peer: BrokerConnection, data: bytes) -> None:
        sasl = self._sasl
        assert sasl is not None
        try:
            peer.receive(data, time.time())
        except BusError as error:
            if self._deciding is not None:
                self._deciding.cancel()
            self._server.logins.refused(self.address, sasl, error)
            self._failure = str(error)
            self._close()
            return
        if sasl.done:
            self._sasl = None
            self._server.logins.accepted(self.address, sasl)
            self.keys = self._server.keys_of(sasl.user or "")
            if peer.opened:
                self._open(peer)
        elif sasl.pending is not None and self._deciding is None:
            self._deciding = self._loop.create_task(self._decide(sasl))

    async def _decide(self, sasl: SaslServer) -> None:
        await self._server.logins.decide(self.address, sasl)
        self._received(b"")

    def _open(self, peer: BrokerConnection) -> None:
        self._opened = True
        _log.info("connected user=%s address=%s", peer.user, self.address)
        if self._timer is not None:
            self._timer.cancel()
        self._beat()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what is to be written: once per connection and turn of the loop."""
        self._scheduled = False
        peer, transport = self.peer, self._transport
        if peer is None or transport is None or transport.is_closing() or self._paused:
            return
        data = peer.bytes_to_send()
        if data:
            transport.write(data)
        if peer.finished:
            transport.close()
            self._leave()  # what is written may be more than the peer will ever read
        elif not self._paused:
            peer.resume(time.time())

    def _close(self) -> None:
        """Write the last word and close."""
        peer, transport = self.peer, self._transport
        if peer is not None and transport is not None and not transport.is_closing():
            transport.write(peer.bytes_to_send())
            transport.close()

    # -- time

    def _beat(self) -> None:
        peer = self.peer
        if peer is None:
            return
        now = self._loop.time()
        then = peer.tick(now)
        if then is not None:
            self._timer = self._loop.call_at(max(then, now + 0.05), self._beat)
        # A peer that reads nothing does not get our close either.
        if peer.ended and self._paused and self._transport is not None:
            self._transport.abort()

    def _too_late(self) -> None:
        if not self._opened and self._transport is not None:
            self._failure = "no login in time"
            self._server.broker.metrics.count("logins", result="too late")
            audit.login("broker", "", self.address, "late")
            _log.warning("no login in time address=%s", self.address)
            self._transport.abort()

    # -- the server's side

    def end(self, condition: str, description: str) -> None:
        """Say why, and close."""
        peer, transport = self.peer, self._transport
        if peer is None or transport is None:
            return
        self._failure = description
        if peer.opened:
            peer.close(condition, description)
            self._leave()
            self._flush()
        else:
            transport.abort()

    def _leave(self) -> None:
        """Wait for the peer's answer to our close, but not for ever."""
        if self._leaving is None:
            self._leaving = self._loop.call_later(_GOODBYE, self.abort)

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()


class BrokerServer:
    """The sockets of one broker.

    Args:
        broker: What decides.
        credentials: Gives the users that count now; a user who is removed or gets another password there is
            disconnected within a second.
        host: Address to listen on; ``localhost`` means both loopback addresses where there are two.
        port: Port without TLS; 0 takes a free one, None none.
        tls_port: Port with TLS, likewise; needs ``tls``.
        tls: Context of the TLS port.
        logins: How peers log in, if not by the defaults.

    Raises in `start`:
        ConnectionFailed: If a port cannot be had.
    """

    def __init__(
        self,
        broker: Broker,
        credentials: Callable[[], Credentials],
        *,
        host: str = "localhost",
        port: int | None = 5672,
        tls_port: int | None = None,
        tls: ssl.SSLContext | None = None,
        logins: Logins | None = None,
    ) -> None:
        if tls_port is not None and tls is None:
            raise ValueError("a TLS port needs a TLS context")
        self.broker = broker
        self.logins = Logins(credentials, metrics=broker.metrics) if logins is None else logins
        self.buffer = memoryview(bytearray(_READ))
        self.ports: Mapping[str, int] = {}
        """The ports in use, by the scheme of their URLs: ``amqp`` and ``amqps``."""
        self._credentials = credentials
        self._seen: Credentials | None = None
        self._host = host
        self._wanted = {"amqp": (port, None), "amqps": (tls_port, tls)}
        self._listening: list[socket.socket] = []
        self._sockets: dict[_Socket, None] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = False
        self._joining: set[asyncio.Task[None]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it runs on, between `start` and `close`."""
        if self._loop is None:
            raise RuntimeError("the broker does not run")
        return self._loop

    async def start(self) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        self._open = True
        self.logins.start()
        self._seen = self._credentials()
        self._tick()
        try:
            self.ports = {
                scheme: await self._listen(scheme, port, context)
                for scheme, (port, context) in self._wanted.items()
                if port is not None
            }
        except BaseException:
            await self.close()
            raise

    async def _listen(self, scheme: str, port: int, context: ssl.SSLContext | None) -> int:
        hosts = ("127.0.0.1", "::1") if self._host == "localhost" else (self._host,)
        taken = port
        for host in hosts:
            try:
                taken = await self._bind(host, taken, context)
            except OSError as error:
                if host == "::1":  # a machine without IPv6
                    continue
                raise ConnectionFailed(f"cannot listen on {host} port {port}: {why_not(error)}") from error
        _log.info("listening scheme=%s host=%s port=%d", scheme, self._host, taken)
        return taken

    async def _bind(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=512)
        listening.setblocking(False)
        self._listening.append(listening)
        self.loop.add_reader(listening, self._accept, listening, context)
        return int(listening.getsockname()[1])

    # Not asyncio's server: it loses a connection that is accepted in the turn in which it closes (CPython
    # issue 109564), and it does not let us count those that are still shaking hands.

    def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptors left: what we have goes on
                _log.error("cannot accept connections error=%s", error)
                self.loop.remove_reader(listening)
                self.loop.call_later(1.0, self._accept_again, listening, context)
                return
            if len(self._sockets) + len(self._joining) >= self.broker.limits.connections + _SPARE:
                self.broker.metrics.count("connections_refused")
                accepted.close()
                continue
            accepted.setblocking(False)
            # asyncio does it for its own sockets only. Without it an event waits 40 ms for the peer's ACK.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(accepted, None, context)

    def _accept_again(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        if listening in self._listening:
            self.loop.add_reader(listening, self._accept, listening, context)

    def _begin(
        self, accepted: socket.socket, user: str | None, context: ssl.SSLContext | None = None
    ) -> None:
        if not self._open:
            accepted.close()
            return
        task = self.loop.create_task(self._join(accepted, user, context))
        self._joining.add(task)

        def joined(task: asyncio.Task[None]) -> None:
            self._joining.discard(task)
            if task.cancelled():
                accepted.close()

        task.add_done_callback(joined)

    async def _join(self, accepted: socket.socket, user: str | None, context: ssl.SSLContext | None) -> None:
        loop = self.loop
        try:
            await loop.connect_accepted_socket(
                lambda: _Socket(self, loop, user=user),
                accepted,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self.broker.limits.login_timeout,
                ssl_shutdown_timeout=None if context is None else _GOODBYE,
            )
        except OSError as error:  # that of ssl is one
            self.broker.metrics.count("logins", result="no TLS")
            _log.debug("connection failed before the login error=%s", error)
            accepted.close()

    async def close(self) -> None:
        """Stop listening, say goodbye to all peers, and close what is left after two seconds."""
        self._open = False
        for listening in self._listening:
            if self._loop is not None:
                self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()
        for task in self._joining:
            task.cancel()
        for link in list(self._sockets):
            link.end("amqp:connection:forced", "the broker stops")
        if self._loop is not None:
            deadline = self._loop.time() + _GOODBYE
            while self._sockets and self._loop.time() < deadline:
                await asyncio.sleep(0.01)
            for link in list(self._sockets):
                link.abort()
            await asyncio.sleep(0)
        if self._ticker is not None:
            self._ticker.cancel()
        self.logins.close()
        self.ports = {}
        self._loop = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def local_socket(self, user: str) -> socket.socket:
        """Return one end of a socket pair whose other end is logged in as ``user``: for this process only.

        May be called from any thread.

        Raises:
            RuntimeError: If the broker does not run.
        """
        loop = self.loop
        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        loop.call_soon_threadsafe(self._begin, ours, user)
        return theirs

    # -- for the sockets

    def admit(self, link: _Socket) -> bool:
        """Take note of a socket; False if the broker is about to stop."""
        if not self._open:
            return False
        self._sockets[link] = None
        return True

    def gone(self, link: _Socket) -> None:
        """Forget a socket."""
        self._sockets.pop(link, None)

    @property
    def credentials(self) -> Credentials:
        """The users that count now."""
        return self._credentials()

    def keys_of(self, user: str) -> ScramKeys | None:
        """Return the keys that ``user`` logs in with now, or None if it has none."""
        return self._credentials().users.get(user)

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(1.0, self._tick)
        self.broker.tick(time.time())
        credentials = self._credentials()
        if credentials is not self._seen:
            self._seen = credentials
            for link in list(self._sockets):
                known = link.keys
                if known is not None and link.peer and credentials.users.get(link.peer.user) != known:
                    link.end("amqp:unauthorized-access", "the credentials of this login have changed")
