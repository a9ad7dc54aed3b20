"""What a TLS connection of the web server holds while nothing comes.

asyncio gives each TLS connection a buffer of 256 KiB for what it receives, used or not: a quarter of a
gigabyte for a thousand pages that only listen. It reads a setting of the connection for its size, but that
one counts from the next buffer on; so the first one is replaced once the handshake is done.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["RECEIVED_SIZE", "hold_little"]

RECEIVED_SIZE: Final = 32 * 1024
"""Bytes that are received at once: two records of TLS (RFC 8446, 5.1). More takes more turns."""


def hold_little(transport: asyncio.BaseTransport) -> bool:
    """Give a TLS connection a small buffer; tell whether that was done.

    To be called between two reads, such as in ``connection_made``. Anything but asyncio's own TLS is left as
    it is. To be removed when asyncio has a public way to say the size.
    """
    protocol = getattr(transport, "_ssl_protocol", None)
    buffer = getattr(protocol, "_ssl_buffer", None)
    if protocol is None or not isinstance(buffer, bytearray) or len(buffer) <= RECEIVED_SIZE:
        return False
    protocol.max_size = RECEIVED_SIZE
    protocol._ssl_buffer = bytearray(RECEIVED_SIZE)
    protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)
    return True
