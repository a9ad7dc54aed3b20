"""Names of subscriptions with an argument: ``reporting.realtime:{"interval": 5}``.

The name is cut at the first colon; what follows is JSON. Event sources take an ``interval``; any event type
takes an object of fields, and lets those events through whose fields equal them, or, for users with that
right, ``{"xquery": "..."}``. Nothing else of the bus's own filter language belongs here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clacks.common.schema import SchemaRegistry
from clacks.dialects.actions import Wanted
from clacks.dialects.delivered import Delivered
from clacks.dialects.truenas.collections import Collection, member_names, shown_fields

__all__ = ["BadArgument", "FieldsEqual", "Target", "target_of"]

LEAST_INTERVAL: Final = 2
MOST_INTERVAL: Final = 24 * 3600
MOST_FIELDS: Final = 20


class BadArgument(Exception):
    """The argument cannot be used; ``name`` says what of it, the text why."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class FieldsEqual:
    """Tells whether the fields of an event equal those of an argument; numbers and their text are equal."""

    fields: tuple[tuple[str, str], ...]

    def __call__(self, delivered: Delivered) -> bool:
        """Compare one event."""
        found = shown_fields(delivered)
        return all(name in found and _canonical(found[name]) == value for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class Target:
    """What a subscription is to.

    Attributes:
        wanted: For the gateway.
        pace: Seconds between two events at least.
        once: Whether it shares one copy of an event with the others of its connection.
        query: Whether it is a query, which needs a right of its own.
    """

    wanted: Wanted
    pace: float = 0.0
    once: bool = True
    query: bool = False


def target_of(collection: Collection, argument: str | None, registry: SchemaRegistry) -> Target:
    """Return what a name with this argument, or without one, asks for.

    Raises:
        BadArgument: If it is no JSON object, or names what this collection does not have.
    """
    kinds = frozenset({collection.kind})
    given = {} if argument is None else _object(argument)
    if collection.source:
        interval = given.pop("interval", LEAST_INTERVAL)
        if type(interval) is not int or not LEAST_INTERVAL <= interval <= MOST_INTERVAL:
            raise BadArgument(
                "interval", f"Input should be a number from {LEAST_INTERVAL} to {MOST_INTERVAL}"
            )
        if given:
            raise BadArgument(next(iter(given)), "Extra inputs are not permitted")
        return Target(Wanted(kinds=kinds), pace=float(interval), once=False)
    if argument is None:
        return Target(Wanted(kinds=kinds))
    if "xquery" in given:
        query = given.pop("xquery")
        if not isinstance(query, str):
            raise BadArgument("xquery", "Input should be a valid string")
        if given:
            raise BadArgument(next(iter(given)), "xquery stands alone")
        return Target(Wanted(kinds=kinds, xquery=query), once=False, query=True)
    names = member_names(collection.kind, registry)
    for name in given:
        if name not in names:
            raise BadArgument(name, f"{collection.name} has no such field")
    test = FieldsEqual(tuple((name, _canonical(value)) for name, value in given.items()))
    return Target(Wanted(kinds=kinds, test=test), once=False)


def _object(argument: str) -> dict[str, Any]:
    try:
        value = json.loads(argument)
    except (ValueError, RecursionError) as error:
        raise BadArgument("argument", f"Invalid JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise BadArgument("argument", "Input should be a valid dictionary")
    if len(value) > MOST_FIELDS:
        raise BadArgument("argument", f"at most {MOST_FIELDS} fields")
    return value


def _canonical(value: Any) -> str:
    """Return a text that is the same for equal values; a number equals its text, as clients write either."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return json.dumps(int(value) if float(value).is_integer() else value)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return json.dumps({str(name): _canonical(inner) for name, inner in value.items()}, sort_keys=True)
    return json.dumps([_canonical(inner) for inner in value])
