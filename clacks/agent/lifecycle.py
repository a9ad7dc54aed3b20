"""What an agent says of itself, and when: a state machine with timers, pure.

::

    new ──connected──▶ joining ──own capabilities came back──▶ ready
                          ▲  │                                   │
                  connected  └────────────── lost ───────────────┤
                          │                                      ▼
                          └───────────────────────────────── away
    every state ──stop──▶ left

While joining and when ready: a NodeAnnounce of somebody else is answered with NodeCapabilities after a
random delay in the window (`node_window`), at most once per window, so that one broadcast answers all that
came in it.

The same thrift holds for questions. Whoever hears of a node without knowing its capabilities (after a loss,
or when a partition healed) announces itself, after a random delay, unless another one did so meanwhile: that
broadcast is answered by everybody, to everybody.

Clients are asked least of all, as there are so many of them. Who comes learns them from a node that was
there before; one that comes later has no more to tell than we, and may not let us ask. A node that was there
before we heard of it (`Lifecycle.met`) means that a partition healed: what lies beyond it that node knows,
and tells. Single clients that nobody announced to us are polled by their ids. All clients are polled by an
agent that is alone, or whom nobody could tell, and by one of several that came together and hear of clients
which were there before.
"""

from __future__ import annotations

import enum
from random import Random
from typing import Final

from clacks.common.presence import MOST_WANTED, STATUS_INTERVAL, client_window, node_window
from clacks.common.timers import Timers

__all__ = ["STEPS", "Act", "Lifecycle", "State"]

_AGAIN: Final = 5.0
"""Seconds after which an agent announces itself again whose capabilities did not come back."""

_SETTLED: Final = STATUS_INTERVAL
"""Seconds besides two windows after which an agent knows whoever was there when it came: they have answered
its announcement, and sent their status."""

_ALONE: Final = 3.0
"""Seconds after which an agent is alone that nobody answered. Were there one other node, it would have
answered within its window of one second; were there many, the first of them would have long before."""


class State(enum.Enum):
    """Where an agent stands."""

    NEW = "new"
    JOINING = "joining"
    READY = "ready"
    AWAY = "away"
    LEFT = "left"


class _Input(enum.Enum):
    CONNECTED = "connected"
    RETURNED = "own capabilities came back"
    LOST = "lost"
    STOP = "stop"


# What is not here changes nothing.
STEPS: Final = {
    (State.NEW, _Input.CONNECTED): State.JOINING,
    (State.AWAY, _Input.CONNECTED): State.JOINING,
    (State.READY, _Input.CONNECTED): State.JOINING,
    (State.JOINING, _Input.RETURNED): State.READY,
    (State.JOINING, _Input.LOST): State.AWAY,
    (State.READY, _Input.LOST): State.AWAY,
    (State.NEW, _Input.STOP): State.LEFT,
    (State.JOINING, _Input.STOP): State.LEFT,
    (State.READY, _Input.STOP): State.LEFT,
    (State.AWAY, _Input.STOP): State.LEFT,
}


class Act(enum.Enum):
    """What is to be done now. All but one publish an event."""

    ANNOUNCE = "NodeAnnounce"
    CAPABILITIES = "NodeCapabilities"
    STATUS = "NodeStatus"
    POLL = "ClientPoll"
    SEEK = "seek"
    """Publish a ClientPoll for the clients that nobody announced to us."""
    LEAVE = "NodeLeave"
    LEARN = "learn"
    """Ask another agent for its clients."""


class _Check(enum.Enum):
    ALONE = "alone?"
    BACK = "back?"


class Lifecycle:
    """The life of one agent on the bus.

    Tell it what happens; call `due` when `next` says so, and do what it returns, in that order.

    Args:
        random: Spreads what many would do at once.
    """

    def __init__(self, random: Random | None = None) -> None:
        self.state = State.NEW
        self.alone = True
        """Whether no node was heard that was there before we were connected."""
        self.connected_at = float("-inf")
        self._random = random if random is not None else Random()  # noqa: S311 - to spread, not to hide
        self._timers: Timers[Act | _Check] = Timers()
        self._said = float("-inf")  # when our capabilities went out last
        self._asked = float("-inf")  # when anybody announced itself last
        self._polled = float("-inf")  # when anybody polled the clients last
        self._quiet = 0.0  # for how long after that there is no other poll
        self._window = node_window(1)
        self._arrivals = 0.0  # over how long those are spread who came with us
        self.met_at = float("-inf")
        """When we last met nodes that had been there before we heard of them; see `met`."""

    # -- what happens

    def connected(self, now: float) -> None:
        """Note that we are on the bus, and hear it."""
        self._step(_Input.CONNECTED)
        if self.state is not State.JOINING:
            return
        self.alone = True
        self._arrivals = 0.0
        self.connected_at = now
        self._timers.replace(
            {
                Act.ANNOUNCE: now,
                Act.CAPABILITIES: now,
                _Check.BACK: now + _AGAIN,
                _Check.ALONE: now + _ALONE,
            }
        )

    def lost(self) -> None:
        """Note that the connection is gone."""
        self._step(_Input.LOST)
        self._timers.replace({})

    def returned(self, now: float, nodes: int) -> bool:
        """Note that our own capabilities came back; tell whether that makes us ready."""
        if self.state is not State.JOINING:
            return False
        self._step(_Input.RETURNED)
        self._timers.drop(_Check.BACK)
        self._timers.at(Act.STATUS, now + self._random.uniform(0.0, node_window(nodes)))
        return True

    def heard_node(self) -> None:
        """Note a sign of life of a node that was there before us."""
        self.alone = False

    def heard_announce(self, now: float, nodes: int) -> None:
        """Note the NodeAnnounce of another node; ``nodes`` is how many there are."""
        self._asked = now
        self._arrivals = node_window(nodes)
        if self.state is State.READY:
            # Everybody answers this one, to us as well.
            self._timers.drop(Act.ANNOUNCE)
        self.repeat(now, nodes)

    def repeat(self, now: float, nodes: int) -> None:
        """Have our capabilities published, somewhen in the window: somebody lacks them, or they changed."""
        if self.state not in (State.JOINING, State.READY) or Act.CAPABILITIES in self._timers:
            return
        window = node_window(nodes)
        earliest = max(now, self._said + window)
        self._timers.at(Act.CAPABILITIES, max(earliest, now + self._random.uniform(0.0, window)))

    def heard_poll(self, now: float, clients: int, *, ours: bool = True) -> None:
        """Note a ClientPoll of anybody: ``clients`` are about to answer.

        Without ``ours`` it names clients, and not all of those that we miss: we go on as if it were none.
        """
        if not ours:
            return
        self._timers.drop(Act.POLL)
        self._polled, self._quiet = now, 2 * client_window(clients)
        if Act.SEEK in self._timers:
            # Whoever does not answer is asked again.
            self._timers.at(Act.SEEK, now + self._quiet + self._random.uniform(0.0, self._window))

    def miss_node(self, now: float, nodes: int) -> None:
        """Note that there is a node whose capabilities we do not know."""
        window = self._window = node_window(nodes)
        # Whoever asked last is still being answered, and for at most two windows.
        if self.state is State.READY and now - self._asked >= 2 * window:
            self._timers.unless(Act.ANNOUNCE, now + self._random.uniform(0.0, window))

    def met(self, now: float, nodes: int) -> None:
        """Note a node that we did not know and that did not announce itself: it was there before.

        To one that has just come all others are such. Later it means that we were parted from it, and from
        the clients on its side: `Act.LEARN` is due within the window, by which time it has told its commands.
        """
        window = node_window(nodes)
        if self.state is not State.READY or now - self.connected_at < 2 * window + _SETTLED:
            return
        if now - self.met_at < 2 * window + STATUS_INTERVAL:
            return  # one of those that we have just met
        self.met_at = now
        self._timers.drop(Act.SEEK)
        self._timers.at(Act.LEARN, now + 1.0 + self._random.uniform(0.0, window))

    def miss_client(self, now: float, nodes: int) -> None:
        """Note that there is a client that has not announced itself to us."""
        if (
            self.state is State.READY
            and _Check.ALONE not in self._timers
            and Act.LEARN not in self._timers
            and Act.SEEK not in self._timers
        ):
            self._window = node_window(nodes)
            soon = max(now + 1.0, self._polled + self._quiet)
            self._timers.at(Act.SEEK, soon + self._random.uniform(0.0, self._window))

    def learned(self, now: float, nodes: int, *, all_of_them: bool) -> None:
        """Note how `Act.LEARN` went; if nobody could be asked the clients are."""
        if all_of_them or self.state not in (State.JOINING, State.READY):
            return
        window = node_window(nodes)
        if now - self.met_at <= 2 * window + 1.0:
            # None of those that we met has told its commands yet: all do within a window of being asked.
            self._timers.at(Act.LEARN, now + 1.0)
        else:
            # Who had just come is alone with it; of those that met others any may do it for all.
            alone = self.met_at < self.connected_at
            self._timers.at(Act.POLL, now + (0.0 if alone else self._random.uniform(0.0, window)))

    def stop(self) -> list[Act]:
        """End it; return what is still to be done."""
        says = [Act.LEAVE] if self.state in (State.JOINING, State.READY) else []
        self._step(_Input.STOP)
        self._timers.replace({})
        return says

    # -- time

    @property
    def next(self) -> float | None:
        """Return when `due` has something to say; None: not before something happens."""
        return self._timers.next

    def due(self, now: float, clients: int = 0, strangers: int = 0) -> list[Act]:
        """Return what is to be done now.

        Args:
            now: The time.
            clients: How many are expected to answer if all are polled.
            strangers: How many nobody announced to us.
        """
        wanted = strangers if strangers <= MOST_WANTED else clients
        if not strangers:
            self._timers.drop(Act.SEEK)
        acts: list[Act] = []
        for what in self._timers.take(now):
            if isinstance(what, Act):
                acts.append(what)
                self._did(what, now, wanted if what is Act.SEEK else clients)
            elif what is _Check.BACK:
                acts += [Act.ANNOUNCE, Act.CAPABILITIES]
                self._said = now
                self._timers.at(_Check.BACK, now + _AGAIN)
            elif not self.alone:
                acts.append(Act.LEARN)
            elif self._polled < self.connected_at and (strangers or not self._arrivals):
                # Several may have come at the same time: whoever asks first asks for all of them. If the
                # clients came with them each has just announced itself; others are sought when they speak.
                self._timers.at(Act.POLL, now + self._random.uniform(0.0, self._arrivals))
        if Act.ANNOUNCE in acts and Act.CAPABILITIES not in acts:
            # Those whom we ask lack what we can do, as we lack theirs.
            self._timers.unless(Act.CAPABILITIES, max(now, self._said + self._window))
        # An announcement comes before what is announced.
        acts.sort(key=_ORDER.__getitem__)
        return acts

    def _did(self, what: Act, now: float, clients: int) -> None:
        if what is Act.ANNOUNCE:
            self._asked = now
        elif what is Act.CAPABILITIES:
            self._said = now
        elif what is Act.STATUS:
            self._timers.at(Act.STATUS, now + STATUS_INTERVAL)
        elif what in (Act.POLL, Act.SEEK):
            self.heard_poll(now, clients)

    def _step(self, what: _Input) -> None:
        self.state = STEPS.get((self.state, what), self.state)


_ORDER: Final = {act: place for place, act in enumerate(Act)}
