"""A TCP connection to a service that is no broker, with TLS or without: bytes, and not what they mean."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from clacks.common.errors import ConnectionFailed, ConnectionLost
from clacks.net.tls import client_context, connection_failed

__all__ = ["Stream", "open_stream"]

_READ: Final = 64 * 1024
_GOODBYE: Final = 2.0


class Stream:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout

    async def read(self) -> bytes:
        """Return some bytes; empty at the end.

        Raises:
            ConnectionLost: The connection broke.
        """
        try:
            return await self._reader.read(_READ)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Send bytes; return when the other side keeps up.

        Raises:
            ConnectionLost: The connection broke, or the other side takes nothing for too long.
        """
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._timeout):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(str(error) or "the other side takes nothing") from error


@contextlib.asynccontextmanager
async def open_stream(
    host: str, port: int, *, tls: bool = False, ca: Path | None = None, timeout: float = 10.0
) -> AsyncIterator[Stream]:
    """Connect, and close at the end of the block.

    Args:
        host, port: Where to.
        tls: Whether the port wants TLS; certificate and name are verified.
        ca: Authorities to trust instead of the system's.
        timeout: Seconds to connect in, and for which the other side may take nothing.

    Raises:
        ConnectionFailed: Nobody there, or TLS refused.
        SettingsError: The file of authorities cannot be used.
    """
    context = client_context(host, ca=ca) if tls else None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=host if tls else None
            )
    except TimeoutError as error:
        raise ConnectionFailed(f"no connection to {host}:{port}: no answer in time") from error
    except (OSError, ssl.SSLError) as error:
        raise connection_failed(error, host, port, tls=tls) from error
    try:
        yield Stream(reader, writer, timeout)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await writer.wait_closed()
