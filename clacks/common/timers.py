"""What is to be done when: at most one time for each thing. Pure: times are values, in seconds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["Timers"]

What = TypeVar("What", bound=Hashable)


class Timers(Generic[What]):
    """The times of things that are still to be done.

    Example:
        >>> timers = Timers[str]()
        >>> timers.at("wake", 10.0)
        >>> timers.at("rest", 20.0)
        >>> timers.next, timers.take(12.0), timers.next
        (10.0, ['wake'], 20.0)
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[What, float] = {}

    def __contains__(self, what: object) -> bool:
        return what in self._times

    def at(self, what: What, when: float) -> None:
        """Do it then, whatever was said before."""
        self._times[what] = when

    def unless(self, what: What, when: float) -> None:
        """Do it then, unless it has a time already."""
        self._times.setdefault(what, when)

    def sooner(self, what: What, when: float) -> None:
        """Do it then, unless its time is earlier."""
        self._times[what] = min(when, self._times.get(what, when))

    def drop(self, *things: What) -> None:
        """Do not do these."""
        for what in things:
            self._times.pop(what, None)

    def replace(self, times: Mapping[What, float]) -> None:
        """Forget all and do these."""
        self._times = dict(times)

    @property
    def next(self) -> float | None:
        """When the first of them is due; None: there is none."""
        return min(self._times.values(), default=None)

    def take(self, now: float) -> list[What]:
        """Return what is due and forget it, in the order in which it was said first."""
        due = [what for what, when in self._times.items() if when <= now]
        self.drop(*due)
        return due
