"""What waits for one consumer: a bounded queue that gives up its oldest, bounded for the broker as well."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Total", "Waiting"]


@dataclass(slots=True)
class Total:
    """Bytes that wait in one broker, and how many may."""

    limit: int
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing more may wait."""
        return self.size >= self.limit


class Waiting:
    """Messages for one consumer, oldest first, each with the time (seconds) at which it expires or None."""

    __slots__ = ("_events", "_size", "_size_limit", "_total", "items")

    def __init__(self, events: int, size: int, total: Total) -> None:
        self.items: deque[tuple[bytes, float | None]] = deque()
        self._events = events
        self._size_limit = size
        self._size = 0
        self._total = total

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def put(self, raw: bytes, expires: float | None) -> int:
        """Let a message wait; return how many had to be given up for it, perhaps itself."""
        self.items.append((raw, expires))
        self._add(len(raw))
        dropped = 0
        while self.items and (
            len(self.items) > self._events
            or self._size > self._size_limit
            or self._total.size > self._total.limit
        ):
            self.take()
            dropped += 1
        return dropped

    def take(self) -> tuple[bytes, float | None]:
        """Return and forget the oldest."""
        item = self.items.popleft()
        self._add(-len(item[0]))
        return item

    def clear(self) -> None:
        """Forget all."""
        self.items.clear()
        self._add(-self._size)

    def _add(self, size: int) -> None:
        self._size += size
        self._total.size += size
