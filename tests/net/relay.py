"""A TCP relay between a client and a broker, so that a test can do to the connection what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Self

__all__ = ["Relay"]

_CHUNK: Final = 64 * 1024
_BUFFER: Final = 64 * 1024
"""Bytes of a socket's buffers: small, so that a peer that is held back is felt soon."""


class Relay:
    """Carries bytes between whoever connects to ``port`` and the broker at ``host`` and ``upstream``.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        delay, rate: Seconds more for every piece, and bytes a second at most; 0 means none.
        down: Bytes that came from the broker and went on to the clients.
        connections: How many there are now.
        accepted: How many there ever were.
    """

    def __init__(self, upstream: int, host: str = "127.0.0.1") -> None:
        self._upstream = (host, upstream)
        self._server: asyncio.Server | None = None
        self._sockets: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._heard = asyncio.Event()
        self._heard.set()
        self._open = True
        self.delay = 0.0
        self.rate = 0
        self.port = 0
        self.down = 0
        self.accepted = 0

    @property
    def connections(self) -> int:
        """Return how many connections go through it now."""
        return len(self._sockets)

    def cut(self) -> None:
        """Reset all connections, as a firewall does that forgot them; new ones are taken at once."""
        for ends in self._sockets.values():
            for end in ends:
                _reset(end)

    def shut(self) -> None:
        """Reset all connections and every new one, until `let_in`."""
        self._open = False
        self.cut()

    def let_in(self) -> None:
        """Take connections again."""
        self._open = True

    def hold(self) -> None:
        """Let nothing through from the broker to the clients: they read no more. The other way stays open."""
        self._flowing.clear()

    def release(self) -> None:
        """End `hold`; what waited goes on."""
        self._flowing.set()

    def redirect(self, upstream: int) -> None:
        """Lead new connections to another port, as a load balancer does when a broker is gone."""
        self._upstream = (self._upstream[0], upstream)

    def half_close(self) -> None:
        """Tell the broker that the clients have no more to say, and the other way leave open."""
        for ends in self._sockets.values():
            if len(ends) > 1:
                ends[1].write_eof()

    def mute(self) -> None:
        """Let nothing through from the clients to the broker; the other way stays open."""
        self._heard.clear()

    def unmute(self) -> None:
        """End `mute`; what waited goes on, if its connection still is."""
        self._heard.set()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._sockets[task] = (writer,)
        try:
            if not self._open:
                _reset(writer)
                return
            upstream = socket.socket()
            upstream.setblocking(False)
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            await asyncio.get_running_loop().sock_connect(upstream, self._upstream)
            back_reader, back_writer = await asyncio.open_connection(sock=upstream, limit=_CHUNK)
            self._sockets[task] = (writer, back_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, back_writer, down=False))
                both.create_task(self._carry(back_reader, writer, down=True))
        except (OSError, ExceptionGroup):
            pass  # one end is gone; so is the other
        finally:
            for end in self._sockets.pop(task):
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool) -> None:
        while True:
            if down:
                await self._flowing.wait()
            data = await reader.read(_CHUNK)
            if not down:
                await self._heard.wait()
            if down:
                await self._flowing.wait()
                self.down += len(data)
            if not data:
                raise ConnectionResetError
            if self.delay or self.rate:
                await asyncio.sleep(self.delay + (len(data) / self.rate if self.rate else 0.0))
            writer.write(data)
            await writer.drain()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._sockets)
        self.cut()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _reset(end: asyncio.StreamWriter) -> None:
    # With this option a close is a reset: neither side hears a good-bye.
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()
