"""The collector of garbage rests while a query runs that others wait for.

A collection of the oldest generation walks every object of the process: 120 ms for the 180,000 objects of a
broker with a thousand filters, while a filter has 20 ms. A query that makes many small lists brings it about
where its own time would long be over. A run leaves next to nothing that only the collector finds, so it can
wait until the query has ended. A query that may run for long is not treated so: what it constructs points at
its parents, and memory would grow.
"""

from __future__ import annotations

import gc

from clacks.xquery.budget import QueryBudget

__all__ = ["LONGEST_REST", "rest", "work_again"]

LONGEST_REST = 0.1
"""Seconds of a budget up to which the collector rests: beyond, a collection is a small part of the time."""


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
