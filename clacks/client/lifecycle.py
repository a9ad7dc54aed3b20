"""What a client says of itself, and when: a state machine with timers, pure.

::

    new ──connected──▶ up ──lost──▶ away
                       ▲             │
                       └──connected──┘
    every state ──stop──▶ left

A client announces itself when it comes up. It announces itself again when an agent polls, or when it comes
back after a loss, after a random delay in `client_window`: a hundred thousand clients hear the same poll. In
between it says every minute that it lives; an announcement says so, too.
"""

from __future__ import annotations

import enum
from random import Random
from typing import Final

from clacks.common.presence import PING_INTERVAL, client_window
from clacks.common.timers import Timers

__all__ = ["STEPS", "Act", "Lifecycle", "State"]

_MOST_CLIENTS: Final = 1_000_000
"""Clients of one domain that are believed: a poll that claims more would silence us for over 17 min."""

_REST: Final = 1.0
"""Seconds between two announcements of changes: a device that flaps must not flood the bus."""


class State(enum.Enum):
    """Where a client stands."""

    NEW = "new"
    UP = "up"
    AWAY = "away"
    LEFT = "left"


class _Input(enum.Enum):
    CONNECTED = "connected"
    LOST = "lost"
    STOP = "stop"


# What is not here changes nothing.
STEPS: Final = {
    (State.NEW, _Input.CONNECTED): State.UP,
    (State.AWAY, _Input.CONNECTED): State.UP,
    (State.UP, _Input.LOST): State.AWAY,
    (State.NEW, _Input.STOP): State.LEFT,
    (State.UP, _Input.STOP): State.LEFT,
    (State.AWAY, _Input.STOP): State.LEFT,
}


class Act(enum.Enum):
    """What is to be done now: the event to publish."""

    ANNOUNCE = "ClientAnnounce"
    PING = "ClientPing"
    LEAVE = "ClientLeave"


class Lifecycle:
    """The life of one client on the bus; times are seconds of a clock that never goes back.

    Tell it what happens; call `due` when `next` says so, and do what it returns, in that order.

    Args:
        random: Spreads what many would do at once.

    Example:
        >>> life = Lifecycle()
        >>> life.connected(0.0)
        >>> life.due(0.0)
        [<Act.ANNOUNCE: 'ClientAnnounce'>]
    """

    def __init__(self, random: Random | None = None) -> None:
        self.state = State.NEW
        self._random = random if random is not None else Random()  # noqa: S311 - to spread, not to hide
        self._timers: Timers[Act] = Timers()
        self._announced = float("-inf")
        self._clients = 0

    def connected(self, now: float) -> None:
        """Note that we are on the bus."""
        new = self.state is State.NEW
        if not self._step(_Input.CONNECTED):
            return
        # Who comes back does so with all the others: the broker was away for everybody.
        self._timers.at(Act.ANNOUNCE, now if new else now + self._spread())
        self._timers.at(Act.PING, now + self._interval())

    def lost(self) -> None:
        """Note that the connection is gone."""
        if self._step(_Input.LOST):
            self._timers.replace({})

    def polled(self, now: float, clients: int = 0) -> None:
        """Note ClientPoll; ``clients`` is how many the agent expects to answer, 0 if it does not say."""
        if self.state is not State.UP:
            return
        self._clients = min(max(clients, 0), _MOST_CLIENTS)
        # An answer that is still to come answers this poll as well.
        self._timers.unless(Act.ANNOUNCE, now + self._spread())

    def changed(self, now: float) -> None:
        """Note that what we announced is no longer true: a device or a command came or went."""
        if self.state is State.UP:
            self._timers.sooner(Act.ANNOUNCE, max(now, self._announced + _REST))

    def due(self, now: float) -> list[Act]:
        """Return what is to be done now."""
        acts = self._timers.take(now)
        if Act.ANNOUNCE in acts:
            self._announced = now
            # It says that we live as well.
            acts = [Act.ANNOUNCE]
        if acts:
            self._timers.at(Act.PING, now + self._interval())
        return acts

    @property
    def next(self) -> float | None:
        """When `due` will have something to do; None if never, as it stands."""
        return self._timers.next

    def stop(self) -> list[Act]:
        """Note that we end; return what is to be said."""
        up = self.state is State.UP
        self._step(_Input.STOP)
        self._timers.replace({})
        return [Act.LEAVE] if up else []

    def _spread(self) -> float:
        return self._random.random() * client_window(self._clients)

    def _interval(self) -> float:
        # A little less than agreed, never more, so that clients started together drift apart.
        return PING_INTERVAL * (1.0 - 0.1 * self._random.random())

    def _step(self, happened: _Input) -> bool:
        state = STEPS.get((self.state, happened))
        if state is None:
            return False
        self.state = state
        return True
