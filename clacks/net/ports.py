"""Why a port cannot be listened on, in words that say what to do."""

from __future__ import annotations

import errno
import os

__all__ = ["why_not"]


def why_not(error: OSError) -> str:
    """Return why a socket could not be bound, without its address: asyncio's text says that once more."""
    if not error.errno:
        return str(error)
    reason = os.strerror(error.errno)
    if error.errno == errno.EADDRINUSE:
        reason += "; another program, or another clacks, listens there"
    return reason
