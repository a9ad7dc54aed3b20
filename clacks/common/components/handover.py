"""From the loop to a worker thread, in order, in batches.

The loop puts, the worker takes all there is. Waking a thread for each event would cost more than the event;
so the worker is woken only when it sleeps. The loop waits when enough lies here: the bounded queue that drops
its oldest, and counts, is the subscription's, not this one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Handover"]

Item = TypeVar("Item")


class Handover(Generic[Item]):
    """Carries items from one loop to one thread.

    Args:
        soon: Calls a function on the loop, from any thread (``Lease.soon``).
        most: Items that may lie here before ``put`` waits.
    """

    def __init__(self, soon: Callable[[Callable[[], object]], None], most: int = 64) -> None:
        self._soon = soon
        self._most = most
        self._items: list[Item] = []
        self._changed = threading.Condition()
        self._closed = False
        self._room: asyncio.Event | None = None

    async def put(self, item: Item) -> None:
        """Hand an item over; wait while the worker has enough. Belongs to the loop."""
        with self._changed:
            self._items.append(item)
            room = None
            if len(self._items) == 1:
                self._changed.notify()
            if len(self._items) >= self._most and not self._closed:
                room = self._room = asyncio.Event()
        if room is not None:
            await room.wait()

    def take(self) -> list[Item]:
        """Wait for items and return all there are; none means closed. Belongs to the worker."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if self._closed:
                return []
            items, self._items = self._items, []
            room, self._room = self._room, None
        if room is not None:
            self._soon(room.set)
        return items

    @property
    def closed(self) -> bool:
        """Tell whether nothing is taken any more."""
        return self._closed

    def close(self) -> int:
        """Let nothing be taken any more; return how many items are thrown away. Belongs to the loop."""
        with self._changed:
            self._closed = True
            left, self._items = len(self._items), []
            self._changed.notify_all()
            room, self._room = self._room, None
        if room is not None:
            room.set()
        return left
