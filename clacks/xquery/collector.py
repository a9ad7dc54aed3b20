"""The collector of garbage rests where it would only cost time.

A collection of the oldest generation walks every object of the process: 120 ms for the 180,000 objects of a
broker with a thousand filters, while a filter has 20 ms, and a second and more in a process that holds half a
gigabyte, while a query has a second if nobody says otherwise. A query that makes many small lists brings it
about where its own time would long be over. A run leaves next to nothing that only the collector finds, so it
can wait until the query has ended. A query that may run for longer is not treated so: what it constructs
points at its parents, and memory would grow. There only the making of a large map spares the oldest
generation (``Growth``): what is made stays, and to walk all of it again and again would cost a third of the
time.
"""

from __future__ import annotations

import gc

from clacks.xquery.budget import QueryBudget

__all__ = ["LONGEST_REST", "Growth", "rest", "work_again"]

LONGEST_REST = 1.0
"""Seconds of a budget up to which the collector rests: those of the usual one, which bounds nodes as well."""


def rest(budget: QueryBudget) -> bool:
    """Let the collector rest, if the budget is short; tell whether ``work_again`` must be called.

    Threads may do so at once: who found the collector at work sets it to work again, and the others leave it
    as it is.
    """
    if budget.seconds > LONGEST_REST or not gc.isenabled():
        return False
    gc.disable()
    return True


work_again = gc.enable
"""Let the collector work; it looks at what is new with the next object that is made."""

GROWTH = 20_000
"""Entries of a map after which the younger generations are collected. Each holds two objects or three."""


class Growth:
    """The making of something large, during which only the younger generations are collected.

    A context manager; ``look`` is called with the size now and then.
    """

    def __init__(self) -> None:
        self.next = GROWTH
        self.resting = False

    def __enter__(self) -> Growth:
        return self

    def look(self, size: int) -> None:
        """Collect what is new, if much has been made since the last time."""
        if size < self.next:
            return
        if self.next == GROWTH:
            self.resting = gc.isenabled()
            gc.disable()
        if self.resting:
            gc.collect(1)
        self.next = size + GROWTH

    def __exit__(self, *_: object) -> None:
        if self.resting:
            work_again()
