"""The web server: HTTP and WebSocket on aiohttp, TLS, sockets in the file system. It decides nothing.

What comes becomes a `Request` value, and the handler says what happens: an answer, an upgrade to WebSocket,
or a response that goes on. Here are the limits of time and size that must hold before there is a request:
slow headers, slow bodies, silent connections, too many of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeAlias

from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from clacks.common.address import is_loopback
from clacks.common.errors import ConnectionFailed
from clacks.common.limits import Limits
from clacks.common.metrics import Metrics
from clacks.dialects.exchange import Request, Response
from clacks.dialects.session import Hello
from clacks.net.ports import why_not
from clacks.net.tls import channel_of
from clacks.net.web_frames import chunk, plain, text_frame
from clacks.net.web_link import Link
from clacks.net.web_outbox import Outbox
from clacks.net.web_tls import hold_little

__all__ = ["Answer", "Streaming", "Upgrade", "WebHandler", "WebListener", "WebServer"]

_log = logging.getLogger(__name__)

_SWEEP: Final = 1.0  # seconds between two looks at connections that say nothing
_READ: Final = 64 * 1024
_SHUTDOWN: Final = 2.0
_LINGER: Final = 1.0
"""Seconds for the rest of a body that was refused: the answer must reach who is still sending."""


@dataclass(frozen=True, slots=True)
class WebListener:
    """Where to listen.

    Attributes:
        kind: Handed to the handler: it decides what is served.
        host, port: Address and port (0 takes a free one); or
        path: of a socket in the file system.
        tls: Context, or None.
    """

    kind: str
    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Go over to WebSocket and run this as long as it takes."""

    run: Callable[[Link], Awaitable[None]]
    message_size: int
    ping: float = 30.0


@dataclass(frozen=True, slots=True)
class Streaming:
    """Answer with a response that goes on as long as ``run`` runs."""

    run: Callable[[Link], Awaitable[None]]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_alive: bytes = b""
    ping: float = 30.0


Answer: TypeAlias = Response | Upgrade | Streaming


class WebHandler(Protocol):
    """What decides."""

    async def respond(self, kind: str, request: Request, uid: int | None) -> Answer:
        """Answer a request that came to a listener of this kind; ``uid`` is the system's user of the peer on
        a socket in the file system."""


class _Requests(web.RequestHandler):
    """aiohttp's, which would answer what cannot be read with what it was; its link hears what happens."""

    __slots__ = ("link", "quiet")

    def __init__(self, *args: Any, quiet: dict[Any, float], **named: Any) -> None:
        super().__init__(*args, **named)
        self.link: Link | None = None
        self.quiet = quiet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        hold_little(transport)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Take note that the transport holds something back."""
        super().pause_writing()
        if self.link is not None:
            self.link.paused()

    def resume_writing(self) -> None:
        """Take note that it holds nothing back any more."""
        super().resume_writing()
        if self.link is not None:
            self.link.resumed()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take note that the connection is gone."""
        if self.link is not None:
            self.link.lost()
        # Or what came over it is kept for as long as an open connection may be silent.
        self.quiet.pop(self, None)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be read, or one that we failed at."""
        if exc is not None and status >= 500:
            _log.error("request failed path=%s", ascii(request.path[:200]), exc_info=exc)
        return _last(status)


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class WebServer:
    """The listeners of one gateway. Use it as context manager, or `start` and `close`.

    Args:
        listeners: Where to listen.
        handler: What decides.
        limits: The ones that begin with ``web_``.
        metrics: Where to count.

    Raises in `start`:
        ConnectionFailed: If a port or path cannot be had.
    """

    def __init__(
        self, listeners: Sequence[WebListener], handler: WebHandler, limits: Limits, metrics: Metrics
    ) -> None:
        self.ports: list[tuple[WebListener, int]] = []
        """The listeners with the ports in use, in their order; 0 for a socket in the file system."""
        self._listeners = tuple(listeners)
        self._handler = handler
        self._limits = limits
        self._metrics = metrics
        self._open: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._servers: list[web.Server] = []
        self._outbox: Outbox | None = None
        self._quiet: dict[Any, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._links: dict[Link, _Requests] = {}
        self._connections = metrics.counter("web_connections")

    @property
    def outbox(self) -> Outbox:
        """Where frames are collected, once it is started."""
        assert self._outbox is not None
        return self._outbox

    # -- life

    async def start(self) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(self._loop, self._metrics)
        try:
            for listener in self._listeners:
                await self._listen(self._loop, listener)
        except BaseException:
            await self.close()
            raise
        self._sweep()

    async def _listen(self, loop: asyncio.AbstractEventLoop, listener: WebListener) -> None:
        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            return await self._serve(listener, request)

        server = web.Server(serve, handler_cancellation=True)
        self._servers.append(server)

        def accept() -> asyncio.Protocol:
            if len(server.connections) >= self._limits.web_connections:
                self._metrics.count("web_refused", reason="too many connections")
                return _Refused()
            protocol = _Requests(
                server,
                quiet=self._quiet,
                loop=loop,
                access_log=None,  # the handler writes a line without the query
                keepalive_timeout=self._limits.web_keepalive,
                read_bufsize=_READ,
                auto_decompress=False,
                lingering_time=_LINGER,
            )
            self._quiet[protocol] = loop.time() + self._limits.web_header_timeout
            return protocol

        handshake = self._limits.web_header_timeout if listener.tls is not None else None
        try:
            if listener.path is not None:
                _make_room(listener.path)
                opened = await loop.create_unix_server(accept, str(listener.path), backlog=512)
                listener.path.chmod(0o666)  # who may do what is decided by who it is
                self._paths.append(listener.path)
                self._open.append(opened)
                self.ports.append((listener, 0))
                _log.info("listening kind=%s path=%s", listener.kind, listener.path)
                return
            port = listener.port
            hosts = ("127.0.0.1", "::1") if listener.host == "localhost" else (listener.host,)
            for host in hosts:
                try:
                    opened = await loop.create_server(
                        accept,
                        host or None,
                        port,
                        ssl=listener.tls,
                        backlog=1024,
                        ssl_handshake_timeout=handshake,
                        ssl_shutdown_timeout=None if listener.tls is None else _SHUTDOWN,
                    )
                except OSError:
                    if host == "::1" and len(hosts) > 1:  # a machine without IPv6
                        continue
                    raise
                self._open.append(opened)
                port = int(opened.sockets[0].getsockname()[1])
        except OSError as error:
            where = str(listener.path) if listener.path else f"{listener.host} port {listener.port}"
            raise ConnectionFailed(f"cannot listen on {where}: {why_not(error)}") from error
        self.ports.append((listener, port))
        _log.info("listening kind=%s host=%s port=%d", listener.kind, listener.host, port)

    async def close(self) -> None:
        """Stop listening, say good-bye, cut what is left."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for opened in self._open:
            opened.close()
        self._open.clear()
        for link in list(self._links):
            if link.framed is text_frame:
                link.close(1001, "the gateway stops")
            else:
                link.end()
        if self._links:
            deadline = asyncio.get_running_loop().time() + _SHUTDOWN
            while self._links and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.01)
        for link in list(self._links):
            link.abort()
        for server in self._servers:
            await server.shutdown(_SHUTDOWN)
        self._servers.clear()
        for path in self._paths:
            with contextlib.suppress(OSError):
                path.unlink()
        self._paths.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _sweep(self) -> None:
        """Cut connections that take too long to say what they want."""
        assert self._loop is not None
        now = self._loop.time()
        late = [protocol for protocol, until in self._quiet.items() if until <= now]
        for protocol in late:
            del self._quiet[protocol]
            if protocol.transport is not None:
                self._metrics.count("web_refused", reason="no request in time")
                protocol.transport.abort()
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    # -- requests

    async def _serve(self, listener: WebListener, raw: web.BaseRequest) -> web.StreamResponse:
        protocol = raw.protocol
        self._quiet.pop(protocol, None)
        try:
            return await self._answered(listener, raw)
        finally:
            if protocol.transport is not None and self._loop is not None:
                self._quiet[protocol] = self._loop.time() + self._limits.web_keepalive

    async def _answered(self, listener: WebListener, raw: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._limits.web_body_timeout):
                body = await self._body(raw)
        except TimeoutError:
            return _last(408)
        except (web.RequestPayloadError, HttpProcessingError, ValueError):
            return _last(400)
        if body is None:
            return _last(413)
        try:
            path, query = raw.path, raw.rel_url.query
            request = Request(
                raw.method,
                path,
                {name: tuple(query.getall(name)) for name in query},
                {name.lower(): ", ".join(raw.headers.getall(name)) for name in raw.headers},
                body,
                _hello(listener, raw),
            )
        except ValueError:  # a URL that cannot be read
            return _last(400)
        answer = await self._handler.respond(listener.kind, request, _uid(raw))
        match answer:
            case Upgrade():
                return await self._upgrade(raw, answer)
            case Streaming():
                return await self._stream(raw, answer)
        response = web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": answer.content_type, **answer.headers},
        )
        if answer.status >= 400:
            response.force_close()
        return response

    async def _body(self, raw: web.BaseRequest) -> bytes | None:
        """Read the body; None if it is too large."""
        limit = self._limits.web_body_size
        if not raw.can_read_body:
            return b""
        if raw.content_length is not None and raw.content_length > limit:
            return None
        parts: list[bytes] = []
        size = 0
        async for part in raw.content.iter_any():
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        return b"".join(parts)

    async def _upgrade(self, raw: web.BaseRequest, upgrade: Upgrade) -> web.StreamResponse:
        socket_ = web.WebSocketResponse(
            compress=False,  # one frame for all; and compressed secrets beside foreign text leak (CRIME)
            max_msg_size=upgrade.message_size,
            heartbeat=upgrade.ping or None,
            timeout=_SHUTDOWN,
        )
        if not socket_.can_prepare(raw):
            return _last(400)
        writer = await socket_.prepare(raw)

        async def receive() -> str | bytes | None:
            message = await socket_.receive()
            if message.type is WSMsgType.TEXT:
                return str(message.data)
            if message.type is WSMsgType.BINARY:
                return bytes(message.data)
            return None

        link = self._link(raw, text_frame, receive, writer.drain)
        try:
            await upgrade.run(link)
        finally:
            link.flush()
            if not link.closed:
                link.close()
            self._over(link)
        return socket_

    async def _stream(self, raw: web.BaseRequest, streaming: Streaming) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": streaming.content_type, "Cache-Control": "no-cache", **streaming.headers}
        )
        chunked = raw.version >= (1, 1)
        if chunked:
            response.enable_chunked_encoding()
        response.force_close()
        writer = await response.prepare(raw)
        assert writer is not None
        await writer.drain()  # our chunks go past aiohttp, which may hold the headers back

        async def receive() -> str | bytes | None:
            await asyncio.sleep(streaming.ping)
            return b""

        link = self._link(raw, chunk if chunked else plain, receive, writer.drain)

        async def beat() -> None:
            while not link.closed:
                await asyncio.sleep(streaming.ping)
                link.send(streaming.keep_alive)

        beating = asyncio.ensure_future(beat())
        try:
            await streaming.run(link)
        finally:
            beating.cancel()
            link.flush()
            self._over(link)
        return response

    def _link(
        self,
        raw: web.BaseRequest,
        framed: Callable[[bytes], bytes],
        receive: Callable[[], Awaitable[str | bytes | None]],
        drain: Callable[[], Awaitable[None]],
    ) -> Link:
        transport, protocol = raw.transport, raw.protocol
        assert transport is None or isinstance(transport, asyncio.Transport)
        assert isinstance(protocol, _Requests)
        descriptor = _descriptor(transport)
        link = Link(
            self.outbox,
            transport,
            framed,
            limit=self._limits.web_buffer,
            receive=receive,
            drain=drain,
            address=_address(raw),
            descriptor=descriptor,
        )
        protocol.link = link
        if descriptor is not None and transport is not None:
            # Anything that is held back counts: it goes first.
            transport.set_write_buffer_limits(0)
            if transport.get_write_buffer_size():
                link.paused()
        self._links[link] = protocol
        self._connections.value += 1
        return link

    def _over(self, link: Link) -> None:
        """Forget a link, once nobody writes to it any more."""
        self._links.pop(link).link = None
        self._connections.value -= 1
        self.outbox.forget(link)


def _last(status: int) -> web.Response:
    response = web.Response(status=status, text=HTTPStatus(status).phrase, headers={"Server": "clacks"})
    response.force_close()
    return response


def _descriptor(transport: asyncio.Transport | None) -> int | None:
    """Return the number of a socket that may be written to past its transport."""
    if transport is None or transport.is_closing() or transport.get_extra_info("ssl_object") is not None:
        return None
    held = transport.get_extra_info("socket")
    number = -1 if held is None else int(held.fileno())
    return number if number >= 0 else None


def _address(raw: web.BaseRequest) -> str:
    name = raw.transport.get_extra_info("peername") if raw.transport is not None else None
    return str(name[0]) if isinstance(name, tuple) and name else "unix"


def _hello(listener: WebListener, raw: web.BaseRequest) -> Hello:
    address = _address(raw)
    tls = listener.tls is not None
    return Hello(
        path=raw.path,
        query={name.lower(): value for name, value in raw.rel_url.query.items()},
        headers={name.lower(): value for name, value in raw.headers.items()},
        address=address,
        secure=tls or address == "unix" or is_loopback(address),
        tls=tls,
        binding=(channel_of(raw.transport).binding if tls and raw.transport is not None else None) or b"",
    )


def _uid(raw: web.BaseRequest) -> int | None:
    """Return the system's user at the other end of a socket in the file system."""
    held = raw.transport.get_extra_info("socket") if raw.transport is not None else None
    if held is None or held.family != socket.AF_UNIX:
        return None
    _, uid, _ = struct.unpack("3i", held.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _make_room(path: Path) -> None:
    """Remove a socket that nobody listens on any more; OSError if somebody does, or it is something else."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(17, "File exists")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(98, "Address already in use")
