"""Connect, and say that the broker is not there yet instead of waiting without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clacks.cli import output

if TYPE_CHECKING:
    from clacks.bus import Bus, StateChange

__all__ = ["start"]


async def start(bus: Bus, *, patient: bool) -> None:
    """Start a bus; a patient one waits for its broker, and says so once.

    Raises:
        ConnectionFailed, LoginRefused: As `Bus.start`.
    """
    from clacks.bus import BusState

    said = False

    def tell(change: StateChange) -> None:
        nonlocal said
        if change.state is BusState.CONNECTING and change.reason and not said:
            said = True
            output.note(f"waiting: {change.reason}")

    end = bus.on_state(tell)
    try:
        await bus.start(patient=patient)
    finally:
        end()
