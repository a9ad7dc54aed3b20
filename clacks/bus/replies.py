"""Answers on their way back: the link that leads to each caller, and what waits for it."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from clacks.amqp.connection import LinkClosed
from clacks.amqp.messages import Message, encode
from clacks.amqp.profiles import NodeKind
from clacks.bus.links import Line, Outlet

__all__ = ["Replies"]

log = logging.getLogger(__name__)

_MOST_REPLIES: Final = 1000
_MOST_OUTLETS: Final = 32


class Replies:
    """Sends answers to wherever callers wait, in order for each of them, over a reconnect if need be."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._relay: Outlet | None = None
        self._via: Outlet | None = None
        self._direct: dict[str, Outlet] = {}
        self._waiting: deque[tuple[str, Message]] = deque()

    def send(self, reply_to: str, message: Message) -> None:
        """Send an answer, now or when there is a link; too many that wait push out the oldest."""
        self._waiting.append((reply_to, message))
        if len(self._waiting) > _MOST_REPLIES:
            lost, _ = self._waiting.popleft()
            log.warning("an answer was dropped, its caller cannot be reached reply_to=%s", lost)
        self._pump()

    def _pump(self) -> None:
        if self._line.connection is None:
            return
        stuck: deque[tuple[str, Message]] = deque()
        blocked: set[Outlet] = set()
        while self._waiting:
            reply_to, message = self._waiting.popleft()
            outlet, subject, to = self._way(reply_to)
            outlet.open()
            if outlet in blocked or outlet.sender is None or outlet.sender.credit <= 0:
                blocked.add(outlet)
                stuck.append((reply_to, message))
                continue
            message.subject, message.to = subject, to
            outlet.sender.send(encode(message))
        self._waiting = stuck

    def _way(self, reply_to: str) -> tuple[Outlet, str | None, str | None]:
        """Return the link, and the subject and ``to`` that lead the answer on it to its caller."""
        connection = self._line.connection
        assert connection is not None
        profile = connection.profile
        assert profile is not None
        if profile.relays(NodeKind.REPLY, connection.peer):
            self._relay = self._relay or self._outlet(None)
            return self._relay, None, reply_to
        if profile.reply_via is not None and reply_to.startswith(profile.reply_via[0]):
            prefix, target = profile.reply_via
            self._via = self._via or self._outlet(None, target)
            return self._via, reply_to[len(prefix) :], None
        outlet = self._direct.pop(reply_to, None) or self._outlet(reply_to)
        self._direct[reply_to] = outlet  # behind the others: used last
        while len(self._direct) > _MOST_OUTLETS:
            self._direct.pop(next(iter(self._direct))).close()
        return outlet, None, reply_to

    def _outlet(self, address: str | None, target: str | None = None) -> Outlet:
        return Outlet(
            self._line, address, NodeKind.REPLY, ready=self._pump, closed=self._closed, target=target
        )

    def _closed(self, outlet: Outlet, event: LinkClosed) -> None:
        if outlet.address is None or event.with_connection:
            return
        # The caller has gone, and its node with it.
        self._direct.pop(outlet.address, None)
        if event.refused:
            before = len(self._waiting)
            self._waiting = deque(item for item in self._waiting if item[0] != outlet.address)
            log.info("answers were dropped, their caller has gone n=%d", before - len(self._waiting))

    def restore(self) -> None:
        """Go on over a new connection."""
        self._relay = self._via = None
        self._direct.clear()
        self._pump()
