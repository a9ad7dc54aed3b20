"""Receive UDP packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from clacks.common.errors import ConnectionFailed

__all__ = ["DatagramReceiver"]

Take = Callable[[bytes, str], object]
"""Gets each packet and the address that it came from."""


class DatagramReceiver:
    """A UDP port; use it as context manager.

    Args:
        host, port: Where to listen; port 0 takes a free one.
        take: Gets each packet, on the loop.

    Attributes:
        port: The port that it got.
    """

    def __init__(self, host: str, port: int, take: Take) -> None:
        self._host = host
        self.port = port
        self._take = take
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConnectionFailed: The port cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Protocol(self._take), local_addr=(self._host, self.port)
            )
        except OSError as error:
            raise ConnectionFailed(
                f"cannot listen on UDP {self._host}:{self.port}: {error.strerror or error}"
            ) from error
        self._transport = transport
        self.port = cast("tuple[Any, ...]", transport.get_extra_info("sockname"))[1]

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def __aenter__(self) -> DatagramReceiver:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, take: Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._take(data, str(addr[0]))
