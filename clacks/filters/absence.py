"""What a condition says of an event in which none of its paths finds anything.

If it is false then, or an error, one of the paths must find a node wherever it is true. That is how an index
finds conditions of which it understands nothing but the paths: arithmetic, dates, functions of text, JSON.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

from lxml import etree

from clacks.filters.evaluate import holds
from clacks.filters.values import ConditionError, Undecided
from clacks.filters.view import View
from clacks.xquery.conditions import (
    Call,
    Condition,
    Filter,
    For,
    Opaque,
    Path,
    Property,
    Quantified,
    Sequence,
)

__all__ = ["needed_paths"]

_NOTHING: Final = Sequence(())
_CHANGING: Final = frozenset(
    ("current-date", "current-dateTime", "current-time", "implicit-timezone", "position", "last", "at")
)
_MOST_PARTS: Final = 200  # a condition that is larger is not evaluated when a filter is added


class _Unknown(Exception):
    """The condition depends on more than its paths."""


def needed_paths(condition: Condition) -> list[Path] | None:
    """Return paths of which one finds a node on every event where the condition is true, None if unknown."""
    paths: dict[Path, None] = {}
    try:
        emptied = _Emptying(paths).of(condition, frozenset())
        if not paths or holds(emptied, View(etree.Element("nothing"))):
            return None
    except ConditionError:
        return list(paths)
    except (_Unknown, Undecided, KeyError):
        return None
    return list(paths)


class _Emptying:
    """Puts the empty sequence in the place of every path, and collects the paths."""

    def __init__(self, paths: dict[Path, None]) -> None:
        self._paths = paths
        self._left = _MOST_PARTS

    def of(self, condition: Any, bound: frozenset[str]) -> Any:
        """Return the condition without its paths; ``bound`` are variables of its own."""
        self._left -= 1
        if self._left < 0:
            raise _Unknown
        if isinstance(condition, Path):
            if condition.origin in bound:
                return condition
            if not condition.steps:
                raise _Unknown  # the document, or a node that is surely there
            self._paths[condition] = None
            return _NOTHING
        if isinstance(condition, Opaque | Property):
            raise _Unknown
        if isinstance(condition, Call) and condition.name in _CHANGING:
            raise _Unknown
        if isinstance(condition, For | Quantified):
            inner = bound | {condition.variable}
            changes: dict[str, Any] = {"source": self.of(condition.source, bound)}
            name = "body" if isinstance(condition, For) else "condition"
            changes[name] = self.of(getattr(condition, name), inner)
            return replace(condition, **changes)
        if isinstance(condition, Filter):
            source = self.of(condition.source, bound)
            if isinstance(condition.predicate, int):
                return Filter(source, condition.predicate)
            return Filter(source, self._predicate(condition.predicate, bound | {"."}))
        return self._parts(condition, bound)

    def _predicate(self, predicate: Condition, bound: frozenset[str]) -> Condition:
        if isinstance(predicate, Call) and predicate.name == "at":
            return Call("at", (self.of(predicate.arguments[0], bound),))
        found: Condition = self.of(predicate, bound)
        return found

    def _parts(self, condition: Any, bound: frozenset[str]) -> Any:
        changes: dict[str, Any] = {}
        for field in fields(condition):
            value = getattr(condition, field.name)
            if isinstance(value, tuple):
                changes[field.name] = tuple(self.of(part, bound) for part in value)
            elif hasattr(value, "__dataclass_fields__"):
                changes[field.name] = self.of(value, bound)
        return replace(condition, **changes) if changes else condition
