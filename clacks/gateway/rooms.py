"""Rooms: connections of this gateway that know of each other, as the peers of a bridge do."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from clacks.dialects.actions import EventDraft, Join, Member, Members

__all__ = ["Guest", "Rooms"]


class Guest(Protocol):
    """A connection in a room."""

    def met(self, token: Hashable, members: Members) -> None:
        """Take who is there."""

    def told(self, text: str) -> None:
        """Take what another one says."""


@dataclass(slots=True)
class _Seat:
    guest: Guest
    join: Join


class Rooms:
    """All rooms of a gateway.

    Attributes:
        publish: Gets the events that tell who is there; the gateway sends them in its own name.
    """

    def __init__(self, publish: Callable[[EventDraft], None] = lambda draft: None) -> None:
        self.publish = publish
        self._rooms: dict[str, dict[str, _Seat]] = {}

    def join(self, join: Join, guest: Guest) -> None:
        """Let a connection in, or let it change its name and role."""
        seats = self._rooms.setdefault(join.room, {})
        self._away(seats, guest)
        seats[join.name] = _Seat(guest, join)
        self._changed(join.room)

    def leave(self, room: str, guest: Guest) -> None:
        """Let a connection go; nothing happens if it is not there."""
        if self._away(self._rooms.get(room, {}), guest):
            self._changed(room)

    def leave_all(self, guest: Guest) -> None:
        """Let a connection go from wherever it is."""
        for room in list(self._rooms):
            self.leave(room, guest)

    def tell(self, room: str, name: str, text: str) -> None:
        """Give one connection a message."""
        seat = self._rooms.get(room, {}).get(name)
        if seat is not None:
            seat.guest.told(text)

    @staticmethod
    def _away(seats: dict[str, _Seat], guest: Guest) -> bool:
        names = [name for name, seat in seats.items() if seat.guest is guest]
        for name in names:
            del seats[name]
        return bool(names)

    def _changed(self, room: str) -> None:
        seats = self._rooms[room]
        members = tuple(Member(name, seat.join.role) for name, seat in seats.items())
        news = next((seat.join.news for seat in seats.values() if seat.join.news is not None), None)
        for seat in list(seats.values()):
            seat.guest.met(seat.join.token, Members(members))
        if not seats:
            del self._rooms[room]
        if news is not None:
            self.publish(news(members))
