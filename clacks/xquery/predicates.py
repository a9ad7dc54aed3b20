"""Predicates: which items of a sequence they keep.

The plain way evaluates the predicate for each item. Two kinds need not: one whose value is the same for all
items is evaluated once, and one that compares nothing but ``position()`` with such values (``[position() = 1
to 10]``, ``[position() > 1 and position() < last()]``) is a question of arithmetic. Where types or errors
make that doubtful, the plain way has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import hot
from clacks.xquery.conversion import atomize, boolean_value
from clacks.xquery.library import PREFIXES
from clacks.xquery.tokens import FOCUS_FREE, Expression

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["filtered", "is_condition", "is_positional", "may_count", "picked"]

NUMERIC = (int, float, Decimal)
NUMBERS = frozenset(NUMERIC)
LAST = f"{{{PREFIXES['fn']}}}last"
POSITION = f"{{{PREFIXES['fn']}}}position"
GENERAL = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
FLIPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
BOOLEAN = frozenset(
    [*GENERAL, *FLIPPED, "is", "<<", ">>", "and", "or", "some", "every", "instance", "castable"]
)


BOOLEAN_FUNCTIONS = frozenset(["not", "exists", "empty", "boolean", "contains", "starts-with", "ends-with"])
"""Functions of the library whose result is one boolean."""


def is_condition(predicate: Any) -> bool:
    """Tell whether a predicate is surely no number, that is a position: it is a boolean, or nothing."""
    if predicate.symbol == "(" and len(predicate._items) == 1:
        return is_condition(predicate._items[0])
    if predicate.symbol == "call" and predicate.library is not None and not predicate.partial:
        return predicate.library.qname.local_name in BOOLEAN_FUNCTIONS
    return predicate.symbol in BOOLEAN


def may_count(predicate: Expression) -> bool:
    """Tell whether a predicate's outcome may depend on position or size."""
    symbol = predicate.symbol
    if symbol in BOOLEAN or symbol in ("/", "step"):
        return any(
            part.symbol in ("call", "reference") and part.value.rpartition(":")[2] in ("position", "last")
            for part in predicate.walk()
        )
    return True


def is_call(expression: Expression, name: str) -> bool:
    """Tell whether an expression is the call of a function without arguments."""
    return expression.symbol == "call" and expression.name == name and not expression._items


def is_steady(expression: Expression) -> bool:
    """Tell whether the value is the same for each item of one sequence."""
    return all(part.symbol in FOCUS_FREE or is_call(part, LAST) for part in expression.walk())


def is_positional(predicate: Expression) -> bool:
    """Tell whether a predicate compares only the position with steady values."""
    known: bool | None = predicate.__dict__.get("positional")
    if known is None:
        parts = predicate._items
        if predicate.symbol in ("and", "or"):
            known = all(is_positional(part) for part in parts)
        elif predicate.symbol in GENERAL or predicate.symbol in FLIPPED:
            known = (is_call(parts[0], POSITION) and is_steady(parts[1])) or (
                is_call(parts[1], POSITION) and is_steady(parts[0])
            )
        else:
            known = False
        predicate.__dict__["positional"] = known
    return known


def positions(predicate: Any, ctx: Context, size: int) -> range | set[int] | None:
    """Return the positions, from 1 to ``size``, at which a positional predicate holds; None if it is not as
    simple as that.
    """
    symbol = predicate.symbol
    if symbol in ("and", "or"):
        first = positions(predicate._items[0], ctx, size)
        second = positions(predicate._items[1], ctx, size)
        if first is None or second is None:
            return None
        if symbol == "or":
            ctx.execution.meter.step(len(first) + len(second))
            return {*first, *second}
        if type(first) is range and type(second) is range:
            return range(max(first.start, second.start), min(first.stop, second.stop))
        ctx.execution.meter.step(min(len(first), len(second)))
        few, many = (first, second) if len(first) < len(second) else (second, first)
        return {position for position in few if position in many}
    left, right = predicate._items
    flipped = not is_call(left, POSITION)
    values = atomize((left if flipped else right).run(ctx))
    name = GENERAL.get(symbol, symbol)
    return matching(FLIPPED[name] if flipped else name, values, symbol in GENERAL, ctx, size)


def matching(
    name: str, values: Sequence[Any], general: bool, ctx: Context, size: int
) -> range | set[int] | None:
    """Return the positions that compare true with one of some values."""
    if not values:
        return range(1, 1)
    if len(values) > 1 and not general:
        return None
    if type(values) is range and name == "eq":
        return range(max(1, values[0]), min(size, values[-1]) + 1)
    ctx.execution.meter.step(len(values))
    if not NUMBERS.issuperset(map(type, values)) or any(value != value for value in values):
        return None
    if name == "eq":
        return {int(value) for value in values if 1 <= value <= size and value == int(value)}
    low, high = min(values), max(values)
    if name == "ne":
        if low != high or not 1 <= low <= size or low != int(low):
            return range(1, size + 1)
        ctx.execution.meter.step(size)
        return {position for position in range(1, size + 1) if position != low}
    if name in ("lt", "le"):
        if high > size:
            return range(1, size + 1)
        if high < 1:
            return range(1, 1)
        return range(1, (ceil(high) if name == "lt" else floor(high) + 1))
    if low < 1:
        return range(1, size + 1)
    if low > size:
        return range(1, 1)
    return range((floor(low) + 1) if name == "gt" else ceil(low), size + 1)


def at_positions(items: Sequence[Any], predicate: Expression, ctx: Context) -> Sequence[Any] | None:
    """Return the items at which a positional predicate holds; None if each must be looked at."""
    try:
        wanted = positions(predicate, ctx.focus(items[0], 1, len(items)), len(items))
    except QueryBudgetExceeded:
        raise
    except QueryError:
        # Perhaps no item asks for the part that fails.
        return None
    if wanted is None:
        return None
    if type(wanted) is range:
        some = items[wanted.start - 1 : max(wanted.start, wanted.stop) - 1]
        if type(some) is not range:
            ctx.execution.meter.step(1 + len(some))
        return some
    ctx.execution.meter.step(1 + len(wanted))
    return [items[position - 1] for position in sorted(wanted)]


def filtered(items: Sequence[Any], predicate: Expression, ctx: Context) -> Sequence[Any]:
    """Return the items for which a predicate holds; positions count in the order given."""
    size = len(items)
    if size == 0:
        return []
    if predicate.ignores_focus:
        return picked(items, predicate.run(ctx))
    if is_call(predicate, LAST):
        return [items[-1]]
    if is_positional(predicate):
        found = at_positions(items, predicate, ctx)
        if found is not None:
            return found
    inner = ctx.focus(None, 0, size)
    step = ctx.execution.meter.step
    out = []
    run: Callable[[Any], Sequence[Any]] = predicate.run
    place = 0
    for item in items:
        place += 1
        inner.item = item
        inner.position = place
        step(1)
        if place == hot.OFTEN + 1:
            run = hot.hot_run(predicate, ctx.execution.meter)
        value = run(inner)
        if len(value) == 1:
            only = value[0]
            if only is True:
                out.append(item)
                continue
            if only is False:
                continue
            if isinstance(only, NUMERIC) and type(only) is not bool:
                if only == place:
                    out.append(item)
                continue
        if boolean_value(value):
            out.append(item)
    return out


def picked(items: Sequence[Any], value: Sequence[Any]) -> list[Any]:
    """Return the items for which a predicate holds that is the same for all of them."""
    if len(value) == 1:
        only = value[0]
        if isinstance(only, NUMERIC) and type(only) is not bool:
            if (type(only) is float and only != only) or not 1 <= only <= len(items) or only != int(only):
                return []
            return [items[int(only) - 1]]
    return list(items) if boolean_value(value) else []
