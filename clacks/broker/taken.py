"""Calls that somebody has taken, so that one which comes again reaches that somebody and nobody else.

A caller whose connection broke before it heard "accepted" sends its call again, under the same message id.
The agent that took it remembers it and answers again; every other agent would carry it out a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, TypeAlias

__all__ = ["REMEMBERED", "Taken", "Who"]

REMEMBERED: Final = 300.0
"""Seconds for which calls are remembered; agents remember theirs as long."""

Who: TypeAlias = tuple[str, str]
"""A consumer beyond its connection: login and container id, which a client keeps when it reconnects."""


class Taken:
    """The calls of the last five minutes, by key: address, user, message id.

    Args:
        most: Calls that are remembered; the oldest are forgotten beyond.
        seconds: For how long.
    """

    def __init__(self, most: int, seconds: float = REMEMBERED) -> None:
        self._most = most
        self._seconds = seconds
        self._calls: OrderedDict[Hashable, tuple[float, Who]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, key: Hashable, who: Who, now: float) -> None:
        """Remember who took a call."""
        self._expire(now)
        self._calls[key] = (now, who)
        self._calls.move_to_end(key)
        if len(self._calls) > self._most:
            self._calls.popitem(last=False)

    def who(self, key: Hashable, now: float) -> Who | None:
        """Return who took a call in the last five minutes; None: nobody that we know of."""
        self._expire(now)
        found = self._calls.get(key)
        return found[1] if found is not None else None

    def _expire(self, now: float) -> None:
        while self._calls:
            key, (when, _) = next(iter(self._calls.items()))
            if now - when < self._seconds:
                return
            del self._calls[key]
