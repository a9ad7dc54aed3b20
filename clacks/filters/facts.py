"""Facts about events, by which an index finds filters, and how they combine.

An `Access` says of a condition: one of these facts holds whenever it is true. Here is what follows for
conjunctions (the best part will do, two bounds of one number are one band) and disjunctions (all parts are
needed); `clacks.filters.access` reads the facts from conditions.

The direction that must never fail: condition true => some fact holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from clacks.xquery.conditions import ANY, NameTest

__all__ = [
    "MOST_FACTS",
    "NEVER",
    "UNKNOWN",
    "WHOLE",
    "AbsolutePath",
    "Access",
    "Fact",
    "all_of",
    "any_of",
    "follows",
    "possible_children",
    "with_others",
    "worth",
]

AbsolutePath = tuple[tuple[str, NameTest | str], ...]
"""Axis and node test of each step from the document node, predicates left out."""


WHOLE: Final = 1 << 30
"""More levels than a document has."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds or does not hold of an event.

    Attributes:
        path: Where; for a property of the message its name as a str.
        kind: ``present``; ``=`` with a str (equal as text) or a float (equal as number); ``<`` ``<=`` ``>``
            ``>=`` with a float; ``between`` with two floats, ends included; ``starts-with``, ``ends-with``,
            ``contains`` with a str.
        value: What it is compared with; None for ``present``.
        single: Functions and value comparisons fail on two nodes, so it decides only if none have the same
            ancestor so many levels up (the context of the comparison); 0: it always does, `WHOLE`: only
            if the path finds one node at most.
    """

    path: AbsolutePath | str
    kind: str
    value: str | float | tuple[float, float] | None = None
    single: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """How an index finds a condition.

    Attributes:
        facts: One of them holds whenever the condition is true; None: nothing is known.
        decides: Whether the condition is true whenever one of them holds, unless ``single`` is hurt or a
            number was expected among several values and one is none.
        others: Facts that could stand in for ``facts`` (in a conjunction those of the other parts): the index
            takes what is rarest among the filters that it has.
    """

    facts: frozenset[Fact] | None
    decides: bool = False
    others: tuple[frozenset[Fact], ...] = ()


UNKNOWN: Final = Access(None)
NEVER: Final = Access(frozenset(), decides=True)
_WORTH: Final = {
    "=": 0,
    "starts-with": 1,
    "ends-with": 1,
    "contains": 2,
    "between": 2,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "present": 4,
}
_MOST_OTHERS: Final = 8
MOST_FACTS: Final = 256  # a filter with more alternatives is cheaper to look at than to find


def worth(found: Access) -> tuple[int, int, int]:
    """Order facts: the smaller, the more rarely they hold, as far as one can tell without statistics."""
    if found.facts is None:
        return (9, 0, 0)
    if not found.facts:
        return (-1, 0, 0)
    depth = max(len(fact.path) if isinstance(fact.path, tuple) else 1 for fact in found.facts)
    return (max(_WORTH[fact.kind] for fact in found.facts), len(found.facts), -depth)


def all_of(choices: list[Access]) -> Access:
    """Return the facts of a conjunction; it is decided if all other parts follow from the best one."""
    band = _band(choices)
    if band is not None:
        bounds, rest = band
        decides = all(follows(choice, bounds) for choice in rest)
        return with_others(Access(bounds.facts, decides), [*rest, *choices])
    best = min(choices, key=worth)
    decides = best.decides and all(choice is best or follows(choice, best) for choice in choices)
    return with_others(Access(best.facts, decides), choices)


def with_others(best: Access, choices: Iterable[Access]) -> Access:
    """Add what is necessary as well, but for what holds too often to be worth a look."""
    if best.decides or best.facts is None:
        return Access(best.facts, best.decides)
    found: dict[frozenset[Fact], None] = {}
    for choice in choices:
        for facts in (choice.facts, *choice.others):
            if facts and facts != best.facts and len(facts) <= MOST_FACTS:
                found[facts] = None
    return Access(best.facts, False, tuple(found)[:_MOST_OTHERS])


_LOWER: Final = {">": math.inf, ">=": None}
_UPPER: Final = {"<": -math.inf, "<=": None}


def _band(choices: list[Access]) -> tuple[Access, list[Access]] | None:
    """Return a lower and an upper bound of one path as one fact, and the other parts; None if there is none.

    It decides only where the path finds one node: the bounds may speak of two different ones.
    """
    lows: dict[AbsolutePath | str, tuple[float, Access]] = {}
    for choice in choices:
        fact, bound = _bound_of(choice, _LOWER)
        if fact is not None:
            lows.setdefault(fact.path, (bound, choice))
    for choice in choices if lows else ():
        fact, high = _bound_of(choice, _UPPER)
        if fact is not None and fact.path in lows:
            low, lower = lows[fact.path]
            rest = [other for other in choices if other is not choice and other is not lower]
            return Access(frozenset((Fact(fact.path, "between", (low, high), single=WHOLE),))), rest
    return None


def _bound_of(choice: Access, signs: Mapping[str, float | None]) -> tuple[Fact | None, float]:
    """Return the fact of a part that is one bound, and the outermost number inside."""
    if choice.facts is None or len(choice.facts) != 1 or not choice.decides:
        return None, 0.0
    (fact,) = choice.facts
    if fact.kind not in signs or not isinstance(fact.value, float) or not math.isfinite(fact.value):
        return None, 0.0
    towards = signs[fact.kind]
    return fact, fact.value if towards is None else math.nextafter(fact.value, towards)


def follows(weak: Access, strong: Access) -> bool:
    """Tell whether ``weak`` only wants nodes that are there whenever a fact of ``strong`` holds."""
    if weak.facts is None or strong.facts is None or len(weak.facts) != 1 or not weak.decides:
        return False
    (present,) = weak.facts
    path = present.path
    return (
        present.kind == "present"
        and isinstance(path, tuple)
        and all(isinstance(fact.path, tuple) and _leads_to(path, fact.path) for fact in strong.facts)
    )


def _leads_to(weak: AbsolutePath, strong: AbsolutePath) -> bool:
    """Tell whether a node at ``strong`` has been reached through a node at ``weak``."""
    return len(weak) <= len(strong) and all(
        axis == other_axis and _includes(test, other)
        for (axis, test), (other_axis, other) in zip(weak, strong)
    )


def _includes(wide: NameTest | str, narrow: NameTest | str) -> bool:
    if isinstance(wide, NameTest) and isinstance(narrow, NameTest):
        return wide.namespace in (ANY, narrow.namespace) and wide.local in (ANY, narrow.local)
    return wide == narrow


def any_of(choices: list[Access]) -> Access:
    """Return the facts of a disjunction: those of all parts."""
    facts: set[Fact] = set()
    for choice in choices:
        if choice.facts is None:
            return UNKNOWN
        facts |= choice.facts
        if len(facts) > MOST_FACTS:
            return UNKNOWN
    # In "a or b", an error of a hides b: so only parts that cannot fail decide together.
    decides = all(choice.decides for choice in choices) and (
        len(choices) == 1 or all(_infallible(fact) for fact in facts)
    )
    return Access(frozenset(facts), decides)


def _infallible(fact: Fact) -> bool:
    return isinstance(fact.path, tuple) and not fact.single and not isinstance(fact.value, float)


def possible_children(found: Access, root: NameTest) -> frozenset[str] | None:
    """Return the local names of the root's child of which one must be there, or None if any may be.

    ``root`` is the element at the top of every event; names outside its namespace are left out. All facts
    that are necessary count, not only those by which the filter is found.
    """
    if found.facts is None:
        return None
    known = [names for facts in (found.facts, *found.others) if (names := _children(facts, root)) is not None]
    return frozenset.intersection(*known) if known else None


def _children(facts: frozenset[Fact], root: NameTest) -> frozenset[str] | None:
    names = set()
    for fact in facts:
        path = fact.path
        if isinstance(path, str) or len(path) < 2 or path[0][0] != "child":
            return None
        if not _includes(path[0][1], root):
            continue  # no event has such a root
        axis, test = path[1]
        if axis != "child" or not isinstance(test, NameTest) or test.local == ANY:
            return None
        if test.namespace in (root.namespace, ANY):
            names.add(test.local)
    return frozenset(names)
