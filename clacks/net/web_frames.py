"""Bytes around a message: a WebSocket frame (RFC 6455, 5.2) or a chunk of an HTTP response (RFC 9112, 7.1).

Servers do not mask, so a frame is the same for all who get it: it is made once.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["chunk", "close_frame", "plain", "text_frame"]

_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_MOST_REASON: Final = 123
"""Bytes of a reason in a close frame: a control frame has 125 (5.5), two of them are the code."""


def text_frame(payload: bytes) -> bytes:
    """Return one whole text frame; ``payload`` is UTF-8."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame; without a code an empty one. A reason that is too long is cut."""
    if code is None:
        return bytes((_CLOSE, 0))
    words = reason.encode("utf-8", "replace")[:_MOST_REASON].decode("utf-8", "ignore").encode()
    return bytes((_CLOSE, 2 + len(words))) + struct.pack("!H", code) + words


def chunk(payload: bytes) -> bytes:
    """Return one chunk of a response whose length is not known; nothing for no bytes, which would end it."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def plain(payload: bytes) -> bytes:
    """Return the bytes as they are: for clients that speak HTTP/1.0."""
    return payload
