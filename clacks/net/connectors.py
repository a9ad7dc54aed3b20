"""Ways to reach a broker: by TCP, with TLS or without, or over a socket pair in this process."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clacks.amqp.sasl import SaslClient
from clacks.common.address import BusURL
from clacks.common.errors import BusError, ConnectionFailed
from clacks.net.tls import client_context, connection_failed, is_loopback, server_binding
from clacks.net.wire import Wire

__all__ = ["Connector", "LocalConnector", "Reached", "TcpConnector"]


@dataclass(frozen=True, slots=True)
class Reached:
    """A socket that is connected to the broker, TLS included, and the login to use on it."""

    transport: asyncio.Transport
    protocol: Wire
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

    async def connect(self, wire: Callable[[], Wire]) -> Reached:
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

    async def connect(self, wire: Callable[[], Wire]) -> Reached:
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
            binding=server_binding(transport),
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

    async def connect(self, wire: Callable[[], Wire]) -> Reached:
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
