"""Look at a broker before logging in: what it offers, and whether it lets in people without a login.

For ``clacks doctor`` and for tests. Nothing here sends a name or a password.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from clacks.amqp.sasl_frames import SASL_HEADER, FrameBuffer, Mechanisms, describe_opening
from clacks.common.errors import ConnectionFailed, ProtocolError
from clacks.net.tls import connection_failed

__all__ = ["lets_in_without_login", "offered_mechanisms"]

_AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
_READ: Final = 4096

Result = TypeVar("Result")


async def offered_mechanisms(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0
) -> tuple[str, ...]:
    """Return the SASL mechanisms that a broker offers to everybody, in its order.

    ``ANONYMOUS`` among them means that it lets people in without a password, as a user that it keeps for
    them.

    Args:
        host, port: Where it listens.
        tls: Context for a TLS port (``client_context``); None for one without.
        timeout: Seconds for everything.

    Raises:
        ConnectionFailed: Nobody there, TLS refused, or no answer in time.
        ProtocolError: It does not speak SASL as AMQP 1.0 does.
    """

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, ...]:
        writer.write(SASL_HEADER)
        buffer = FrameBuffer()
        header = None
        while True:
            buffer.append(await _more(reader, host, port))
            if header is None:
                header = buffer.header()
                if header is None:
                    continue
                if header != SASL_HEADER:
                    raise ProtocolError(f"the broker offers no login: {describe_opening(header)}")
            frame = buffer.frame()
            if frame is None:
                continue
            if not isinstance(frame, Mechanisms):
                raise ProtocolError("the broker began its login with something else than its mechanisms")
            return tuple(frame.names)

    return await _visit(host, port, tls, timeout, ask)


async def lets_in_without_login(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0
) -> bool:
    """Tell whether a broker speaks AMQP with a peer that skips the login altogether.

    It is asked by the header of AMQP without SASL; one that wants a login answers with the header of SASL
    (AMQP 1.0, 2.2), or closes.

    Raises:
        ConnectionFailed: Nobody there, TLS refused, or no answer in time.
    """

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(_AMQP_HEADER)
        answer = b""
        while len(answer) < len(_AMQP_HEADER):
            try:
                data = await reader.read(_READ)
            except ConnectionError:
                data = b""
            if not data:
                return False
            answer += data
        return answer.startswith(_AMQP_HEADER)

    return await _visit(host, port, tls, timeout, ask)


async def _more(reader: asyncio.StreamReader, host: str, port: int) -> bytes:
    data = await reader.read(_READ)
    if not data:
        raise ConnectionFailed(f"{host}:{port} closed the connection without a word")
    return data


async def _visit(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    timeout: float,
    ask: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Result]],
) -> Result:
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls is not None else None
            )
            try:
                return await ask(reader, writer)
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise ConnectionFailed(f"no connection to {host}:{port}: no answer in time") from error
    except (OSError, ssl.SSLError, EOFError) as error:
        raise connection_failed(error, host, port, tls=tls is not None) from error
