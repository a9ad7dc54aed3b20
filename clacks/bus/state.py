"""Where a bus stands with its broker."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["BusState", "StateChange", "StateWatch"]


class BusState(enum.Enum):
    """Where a `Bus` stands with its broker."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """What `Bus.state` has become, when (aware, UTC), and why: a sentence, or empty."""

    state: BusState
    at: datetime
    reason: str = ""


class StateWatch:
    """The state, and who wants to know of its changes."""

    def __init__(self) -> None:
        self.state = BusState.NEW
        self._callbacks: list[Callable[[StateChange], None]] = []

    def become(self, state: BusState, reason: str = "") -> None:
        """Change the state and tell everybody; the same state again counts only with a reason."""
        if state is self.state and not reason:
            return
        self.state = state
        change = StateChange(state, datetime.now(UTC), reason)
        loop = asyncio.get_running_loop()
        for callback in self._callbacks:
            # In a turn of its own: what it raises goes to the loop's log and stops nobody.
            loop.call_soon(callback, change)

    def listen(self, callback: Callable[[StateChange], None]) -> Callable[[], None]:
        """Call ``callback`` at each change; return what ends that."""
        self._callbacks.append(callback)

        def end() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return end

    async def changes(self) -> AsyncIterator[StateChange]:
        """Iterate over the changes from now on, `CLOSED` the last."""
        waiting: asyncio.Queue[StateChange] = asyncio.Queue()
        end = self.listen(waiting.put_nowait)
        try:
            change = None
            while change is None or change.state is not BusState.CLOSED:
                change = await waiting.get()
                yield change
        finally:
            end()
