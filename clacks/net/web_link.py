"""What the gateway holds of one connection: where it writes, and whether that may be done without a look.

Everything that a connection gets within one turn is joined and written once. The frames go to the transport
as they are: they were made for all receivers together. A reader that does not keep up has the transport's
buffer, up to its limit, and is cut off then; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from clacks.net.web_frames import close_frame
from clacks.net.web_outbox import Outbox

__all__ = ["Link"]

_log = logging.getLogger(__name__)

_GOODBYE: Final = 2.0
"""Seconds that a peer has to answer our close frame."""


class Link:
    """One WebSocket or one endless response.

    Attributes:
        framed: Makes of a message what is written.
        pending: Frames of this turn. Whoever appends to an empty one puts the link into ``outbox.dirty``.
        transport: Where they go; None when the link is over.
        descriptor: Of the socket, if what is written to it is what the peer gets, and whoever made this link
            calls `paused`, `resumed` and `lost`; else None.
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
        descriptor: int | None = None,
    ) -> None:
        self.outbox = outbox
        self.framed = framed
        self.pending: list[bytes] = []
        self.address = address
        self.transport = transport
        self.descriptor = descriptor
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

    # -- what its protocol says

    def paused(self) -> None:
        """Take note that the transport holds something back."""
        self.outbox.busy.add(self)

    def resumed(self) -> None:
        """Take note that it holds nothing back any more."""
        if self.transport is not None:
            self.outbox.busy.discard(self)

    def lost(self) -> None:
        """Take note that the connection is gone; its descriptor is somebody else's from now on."""
        self.transport = None
        self.outbox.busy.add(self)

    # -- writing

    def send(self, message: bytes) -> None:
        """Send a message that only this peer gets."""
        self.write(self.framed(message))

    def write(self, frame: bytes) -> None:
        """Send a frame that is made already."""
        self.outbox.part(self)
        pending = self.pending
        if not pending:
            self.outbox.dirty.append(self)
            self.outbox.schedule()
        pending.append(frame)

    def flush(self) -> None:
        """Hand what is pending to the transport; cut off who does not read."""
        self.outbox.part(self)
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
        self.outbox.busy.add(self)
        if transport is not None:
            transport.abort()

    def _leave(self) -> asyncio.Transport | None:
        """Write what is pending, the last of it."""
        self.flush()
        transport, self.transport = self.transport, None
        self.outbox.busy.add(self)
        return None if transport is None or transport.is_closing() else transport


def _end(transport: asyncio.Transport) -> None:
    # What is still buffered would keep a closing transport alive for as long as the peer likes.
    transport.abort()
