"""Where an expression leads: its nodes as one absolute path, predicates left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clacks.filters.facts import AbsolutePath
from clacks.xquery.conditions import ANY, Call, Condition, Filter, For, NameTest, Path, Step

__all__ = ["Places", "Where", "place_of"]

Where = AbsolutePath | None
Places = Mapping[str, Where]
"""The paths of variables."""


def place_of(condition: Condition, here: Where, places: Places) -> Where:
    """Return the absolute path of a node expression, its predicates left out, or None."""
    if isinstance(condition, Filter):
        return place_of(condition.source, here, places)
    inner = condition.arguments[0] if isinstance(condition, Call) and condition.name == "ordered" else None
    if isinstance(inner, For):
        return place_of(inner.body, here, {**places, inner.variable: place_of(inner.source, here, places)})
    if not isinstance(condition, Path):
        return None
    if condition.origin == "/":
        start: Where = ()
    elif condition.origin == ".":
        start = here
    else:
        start = places.get(condition.origin)
    if start is None:
        return None
    for step in condition.steps:
        start = _append(start, step)
        if start is None:
            return None
    return start


def _append(path: AbsolutePath, step: Step) -> Where:
    if step.axis == "self":
        if step.test == "node()":
            return path
        return _narrowed(path, step.test) if isinstance(step.test, NameTest) else None
    if step.axis not in _INWARD:
        return None
    if path and path[-1] == _ANYWHERE:
        # "//a[1]": the step that // stands for, and one to children or attributes.
        if step.axis == "child":
            return (*path[:-1], ("descendant", step.test))
        return (*path[:-1], ("descendant-or-self", _ANY_NAME), (step.axis, step.test))
    return (*path, (step.axis, step.test))


_INWARD: Final = frozenset(("child", "descendant", "descendant-or-self", "attribute"))
_ANYWHERE: Final = ("descendant-or-self", "node()")
_ANY_NAME: Final = NameTest(ANY, ANY)


def _narrowed(path: AbsolutePath, test: NameTest) -> Where:
    """Return the path whose last step also fulfils ``test``, or None if it cannot be written so."""
    if not path:
        return None
    axis, last = path[-1]
    if axis == "attribute" or not isinstance(last, NameTest):
        return None
    both = last.both(test)
    return None if both is None else (*path[:-1], (axis, both))
