"""The bus for code on other threads than its loop: the commands of plug-ins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from clacks.common.errors import CommandError
from clacks.common.jsonrpc import UNAVAILABLE

if TYPE_CHECKING:
    from clacks.bus.bus import Bus
    from clacks.common.event import Event

__all__ = ["LOOP_TIME", "publish_from_thread"]

LOOP_TIME: Final = 10.0
"""Seconds that a thread waits for the loop; the bus itself gives up an event after five."""


def publish_from_thread(bus: Bus, loop: asyncio.AbstractEventLoop, event: Event) -> None:
    """Send an event from another thread than that of ``loop``, and wait until it has left.

    Raises:
        CommandError: It was dropped, or the loop does not come to it.
    """
    sent = asyncio.run_coroutine_threadsafe(bus.publish(event), loop)
    try:
        gone = sent.result(LOOP_TIME)
    except TimeoutError:  # the loop is stuck or has ended
        sent.cancel()
        gone = False
    if not gone:
        raise CommandError(UNAVAILABLE, f"{event.kind} was dropped: the broker takes no events")
