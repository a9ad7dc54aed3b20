"""How replayed and live events of one subscription become one stream without gap or double. Pure.

A subscription that replays is subscribed first: what comes live meanwhile is held back here. Then the log is
read, page by page, up to its end, and what was held back follows, but for what the log had already told. The
room for what is held back is bounded: beyond it the oldest go, and because they are in the log, too, it is
read on until the latest of them was seen there.

An event is known by its id and its document together, so that nobody makes an event of others disappear by
sending something else under its id. As many are remembered as ``remembered`` says, also while live: the agent
that records publishes an event again that was perhaps not published when it, or its connection, ended. Only
stored events are published again, perhaps long after: as many of them are remembered beside the others, so
that a stream of plain events does not make them forgotten.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["AGAIN", "LOG_ID", "Joint"]

LOG_ID: Final = "clacks_log_id"
"""Application property: where the event stands in the log."""

AGAIN: Final = "clacks_again"
"""Application property: the event was perhaps published before. Subscriptions that remember nothing pass it
over: to lose an event is allowed there, to get it twice is not."""

_BACK: Final = 256  # events before the last one from where the log is read again after a loss

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Held(Generic[Item]):
    id: str | None
    key: int | None
    stored: bool
    item: Item
    size: int


class Joint(Generic[Item]):
    """Decides of each event, replayed or live, whether it is delivered now, later or not at all.

    Args:
        events: How many live events may be held back.
        size: How many bytes of them.
        remembered: How many events are remembered, and how many more that were stored.
        after: The place in the log that the reader has read up to already, if it named one.
    """

    def __init__(
        self, *, events: int, size: int, remembered: int = 10_000, after: tuple[int, int] | None = None
    ) -> None:
        self.after = after
        self.holding = True
        """Whether live events are held back: the log is being read."""
        self._most_events = events
        self._most_bytes = size
        self._held: deque[_Held[Item]] = deque()
        self._bytes = 0
        self._remembered = remembered
        self._known: dict[int, bool] = {}
        self._stored: dict[int, None] = {}
        self._recent: deque[str] = deque(maxlen=_BACK)
        self._lost: int | None = None
        self._lost_unknown = False

    @property
    def anchor(self) -> str | None:
        """The id of an event some way before the last one: after a loss the log is read from there."""
        return self._recent[0] if self._recent else None

    @property
    def incomplete(self) -> bool:
        """Whether events that were held back went and did not turn up in the log yet."""
        return self._lost is not None or self._lost_unknown

    def live(self, id_: str | None, document: bytes, item: Item, size: int, *, stored: bool = False) -> bool:
        """Take an event that came live; tell whether it is to be delivered now."""
        key = None if id_ is None else hash((id_, document))
        if self.holding:
            self._held.append(_Held(id_, key, stored, item, size))
            self._bytes += size
            while len(self._held) > 1 and (
                len(self._held) > self._most_events or self._bytes > self._most_bytes
            ):
                self._let_go()
            return False
        return self._new(id_, key, stored)

    def _let_go(self) -> None:
        oldest = self._held.popleft()
        self._bytes -= oldest.size
        if oldest.key is None:
            self._lost_unknown = True  # it cannot be told from others: nothing shows that it came
        elif not self._knows(oldest.key):
            self._lost = oldest.key

    def replayed(self, id_: str, document: bytes) -> bool:
        """Take an event of the log; tell whether it is to be delivered."""
        key = hash((id_, document))
        if key == self._lost:
            self._lost = None
        return self._new(id_, key, stored=True)

    def _knows(self, key: int) -> bool:
        return key in self._known or key in self._stored

    def _new(self, id_: str | None, key: int | None, stored: bool) -> bool:
        if key is None or id_ is None:
            return True
        if self._knows(key):
            return False
        known = self._known
        known[key] = stored
        if len(known) > self._remembered:
            oldest = next(iter(known))
            if known.pop(oldest):
                self._stored[oldest] = None
                if len(self._stored) > self._remembered:
                    del self._stored[next(iter(self._stored))]
        self._recent.append(id_)
        return True

    def hold(self) -> None:
        """Hold live events back from now on."""
        self.holding = True

    def settle(self) -> list[Item]:
        """Go live: return what was held back and is new, in its order."""
        self.holding = False
        held, self._held, self._bytes = self._held, deque(), 0
        self._lost, self._lost_unknown = None, False
        return [one.item for one in held if self._new(one.id, one.key, one.stored)]
