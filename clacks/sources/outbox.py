"""Events on their way from a source that does not wait to a bus that may be slow: bounded, losses counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from clacks.common.errors import BusError
from clacks.common.event import Event

__all__ = ["Outbox", "Publish"]

_log = logging.getLogger(__name__)

Publish: TypeAlias = Callable[[Event], Awaitable[object]]
"""Sends an event; `Bus.publish` is one."""

_QUIET: Final = 60.0  # seconds between two lines of the log on the same trouble


class Outbox:
    """A bounded queue of events; the oldest go first when it is full.

    Args:
        publish: Sends one event.
        most: Events that may wait.

    Attributes:
        sent: Events that were handed to the bus.
        dropped: Events that were lost here.
    """

    def __init__(self, publish: Publish, most: int = 10_000) -> None:
        self._publish = publish
        self._most = most
        self._waiting: deque[Event] = deque()
        self._something = asyncio.Event()
        self._warned: dict[str, float] = {}
        self.sent = 0
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Take an event; does not wait."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.dropped += 1
            self.warn("the bus is slower than the source, the oldest events are dropped")
        self._waiting.append(event)
        self._something.set()

    def warn(self, words: str, *details: object) -> None:
        """Log a trouble, at most once a minute."""
        now = time.monotonic()
        if now - self._warned.get(words, -_QUIET) >= _QUIET:
            self._warned[words] = now
            _log.warning("%s dropped=%d %s", words, self.dropped, " ".join(map(str, details)))

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                try:
                    gone = await self._publish(event)
                except BusError as error:
                    self.dropped += 1
                    self.warn("an event was not sent", f"kind={event.kind}", f"reason={error}")
                    continue
                if gone is False:
                    self.dropped += 1
                else:
                    self.sent += 1
            self._something.clear()
            await self._something.wait()
