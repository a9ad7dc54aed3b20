"""What the gateway holds of one connection: where it writes, and the turn of the loop in which that is sent.

Everything that a connection gets within one turn is joined and written once. The frames go to the transport
as they are: they were made for all receivers together. A reader that does not keep up has the transport's
buffer, up to its limit, and is cut off then; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

from clacks.common.metrics import Metrics
from clacks.net.web_frames import close_frame

__all__ = ["Link", "Outbox"]

_log = logging.getLogger(__name__)

_GOODBYE: Final = 2.0
"""Seconds that a peer has to answer our close frame."""


class Outbox:
    """The links that have something to write; written in the next turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self.dirty: list[Link] = []
        """Links that just got their first unwritten frame; who appends here calls `schedule` once."""
        self.metrics = metrics
        self.cut = metrics.counter("web_cut_off")
        self._loop = loop
        self._scheduled = False

    def schedule(self) -> None:
        """See to it that what is dirty is written soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write everything now."""
        self._scheduled = False
        dirty, self.dirty = self.dirty, []
        write = os.write
        # With a thousand readers this runs twenty thousand times a second: nothing here is for beauty.
        for link in dirty:
            pending = link.pending
            if not pending:
                continue
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            transport = link.transport
            if transport is None:
                continue
            descriptor = link.descriptor
            # With nothing buffered the kernel may have it at once. The number is that of this connection
            # until the transport closes.
            if descriptor is not None and not (transport.is_closing() or transport.get_write_buffer_size()):
                try:
                    written = write(descriptor, data)
                except OSError:
                    written = 0  # full, or gone: the transport finds out
                if written == len(data):
                    continue
                data = data[written:]
            transport.write(data)
            if transport.get_write_buffer_size() > link.limit:
                link.cut_off()


class Link:
    """One WebSocket or one endless response.

    Attributes:
        framed: Makes of a message what is written.
        pending: Frames of this turn. Whoever appends to an empty one puts the link into ``outbox.dirty``.
        transport: Where they go; None when the link is over.
        descriptor: Of the socket, if what is written to it is what the peer gets; None with TLS.
        limit: Bytes that may wait in the transport.
        address: IP address of the peer, or ``unix``.
    """

    __slots__ = (
        "_drain",
        "_receive",
        "address",
        "descriptor",
        "framed",
        "limit",
        "outbox",
        "pending",
        "transport",
    )

    def __init__(
        self,
        outbox: Outbox,
        transport: asyncio.Transport | None,
        framed: Callable[[bytes], bytes],
        *,
        limit: int,
        receive: Callable[[], Awaitable[str | bytes | None]],
        drain: Callable[[], Awaitable[None]],
        address: str = "",
    ) -> None:
        self.outbox = outbox
        self.framed = framed
        self.pending: list[bytes] = []
        self.address = address
        self.transport = transport
        self.descriptor = _descriptor(transport)
        self.limit = limit
        self._receive = receive
        self._drain = drain

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.transport is None or self.transport.is_closing()

    @property
    def waiting(self) -> bool:
        """Whether the peer has not taken everything that was handed to the transport."""
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def send(self, message: bytes) -> None:
        """Send a message that only this peer gets."""
        self.write(self.framed(message))

    def write(self, frame: bytes) -> None:
        """Send a frame that is made already."""
        pending = self.pending
        if not pending:
            self.outbox.dirty.append(self)
            self.outbox.schedule()
        pending.append(frame)

    def flush(self) -> None:
        """Hand what is pending to the transport; cut off who does not read."""
        data = b"".join(self.pending)
        self.pending.clear()
        transport = self.transport
        if not data or transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self.limit:
            self.cut_off()

    def cut_off(self) -> None:
        """Cut the connection of a reader that does not read."""
        self.outbox.cut.value += 1
        _log.warning("connection cut off: it does not read address=%s", self.address)
        self.abort()

    async def room(self) -> None:
        """Wait until the peer has read most of what was sent: before more is fetched for it alone.

        Raises:
            ConnectionError: If the connection is gone.
        """
        self.flush()
        await self._drain()

    async def receive(self) -> str | bytes | None:
        """Wait for the next message; None when the connection is over. Bytes are a binary frame."""
        return await self._receive()

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Write what is pending and a close frame; cut the connection if the peer does not close soon."""
        self.write(close_frame(code, reason))
        transport = self._leave()
        if transport is None:
            return
        if code is None:
            transport.close()
        else:
            asyncio.get_running_loop().call_later(_GOODBYE, _end, transport)

    def end(self) -> None:
        """Write what is pending and end an endless response."""
        transport = self._leave()
        if transport is not None:
            transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self.pending.clear()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    def _leave(self) -> asyncio.Transport | None:
        """Write what is pending, the last of it."""
        self.flush()
        transport, self.transport = self.transport, None
        return None if transport is None or transport.is_closing() else transport


def _descriptor(transport: asyncio.Transport | None) -> int | None:
    if transport is None or transport.get_extra_info("ssl_object") is not None:
        return None
    held = transport.get_extra_info("socket")
    number = -1 if held is None else int(held.fileno())
    return number if number >= 0 else None


def _end(transport: asyncio.Transport) -> None:
    # What is still buffered would keep a closing transport alive for as long as the peer likes.
    transport.abort()
