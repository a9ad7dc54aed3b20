"""Functions on sequences (F&O 3.1, 14): general, comparing, cardinality, aggregates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from elementpath.datatypes import (
    AnyURI,
    DayTimeDuration,
    Float,
    UntypedAtomic,
    YearMonthDuration,
)

from clacks.xquery.arithmetic import DECIMALS
from clacks.xquery.compare import Incomparable, deep_equal, equal, family, less, value_key
from clacks.xquery.context import Context
from clacks.xquery.conversion import describe, to_double
from clacks.xquery.errors import failure
from clacks.xquery.functions_strings import collation_of
from clacks.xquery.library import function
from clacks.xquery.values import double_of, is_numeric, to_float

__all__: list[str] = []


def charge(ctx: Context, value: Sequence[Any]) -> None:
    """Charge for a copy of a sequence; a range of integers costs nothing."""
    if type(value) is not range:
        ctx.execution.meter.step(1 + len(value) // 16)


@function("fn:insert-before($target as item()*, $position as xs:integer, $inserts as item()*) as item()*")
def insert_before(
    ctx: Context, target: Sequence[Any], position: int, inserts: Sequence[Any]
) -> Sequence[Any]:
    at = min(max(position - 1, 0), len(target))
    ctx.execution.meter.step(1 + len(target) + len(inserts))
    return [*target[:at], *inserts, *target[at:]]


@function("fn:remove($target as item()*, $position as xs:integer) as item()*")
def remove(ctx: Context, target: Sequence[Any], position: int) -> Sequence[Any]:
    if not 1 <= position <= len(target):
        return target
    if position == 1:
        charge(ctx, target)
        return target[1:]
    ctx.execution.meter.step(1 + len(target))
    return [*target[: position - 1], *target[position:]]


@function(
    "fn:subsequence($sourceSeq as item()*, $startingLoc as xs:double) as item()*",
    "fn:subsequence($sourceSeq as item()*, $startingLoc as xs:double, $length as xs:double) as item()*",
)
def subsequence(
    ctx: Context, value: Sequence[Any], start: float, length: float | None = None
) -> Sequence[Any]:
    first = half_up(start)
    end = math.inf if length is None else first + half_up(length)
    if first != first or end != end:
        return []
    low = max(first, 1)
    high = min(end, len(value) + 1)
    if low >= high:
        return []
    charge(ctx, value)
    return value[int(low) - 1 : int(high) - 1]


def half_up(value: float) -> float:
    """Round as fn:round does; NaN and infinities stay."""
    if value != value or math.isinf(value) or abs(value) >= 2**52:
        return value
    return math.floor(value + 0.5)


@function("fn:unordered($sourceSeq as item()*) as item()*")
def unordered(ctx: Context, value: Sequence[Any]) -> Sequence[Any]:
    return value


@function(
    "fn:distinct-values($arg as xs:anyAtomicType*) as xs:anyAtomicType*",
    "fn:distinct-values($arg as xs:anyAtomicType*, $collation as xs:string) as xs:anyAtomicType*",
)
def distinct_values(ctx: Context, values: Sequence[Any], uri: str | None = None) -> Sequence[Any]:
    collation = collation_of(ctx, uri)
    if type(values) is range:
        return values
    timezone = ctx.execution.timezone
    seen: dict[Any, list[Any]] = {}
    out: list[Any] = []
    for value in values:
        ctx.execution.meter.step()
        same = seen.setdefault(value_key(value, collation, timezone), [])
        if is_numeric(value) and value == value:
            if any(equal(value, other, collation, timezone) for other in same):
                continue
        elif same:
            continue
        same.append(value)
        out.append(value)
    return out


@function(
    "fn:index-of($seq as xs:anyAtomicType*, $search as xs:anyAtomicType) as xs:integer*",
    "fn:index-of($seq as xs:anyAtomicType*, $search as xs:anyAtomicType, $collation as xs:string)"
    " as xs:integer*",
)
def index_of(ctx: Context, values: Sequence[Any], wanted: Any, uri: str | None = None) -> list[int]:
    collation = collation_of(ctx, uri)
    timezone = ctx.execution.timezone
    if type(values) is range and type(wanted) is int:
        return [values.index(wanted) + 1] if wanted in values else []
    out = []
    for index, value in enumerate(values, 1):
        ctx.execution.meter.step()
        try:
            if equal(value, wanted, collation, timezone):
                out.append(index)
        except Incomparable:
            continue
    return out


@function(
    "fn:deep-equal($parameter1 as item()*, $parameter2 as item()*) as xs:boolean",
    "fn:deep-equal($parameter1 as item()*, $parameter2 as item()*, $collation as xs:string) as xs:boolean",
)
def are_deep_equal(ctx: Context, a: Sequence[Any], b: Sequence[Any], uri: str | None = None) -> bool:
    return deep_equal(a, b, collation_of(ctx, uri), ctx.execution.timezone, ctx.execution.meter.step)


# aggregates


def numbers_of(values: Iterable[Any]) -> list[Any]:
    """Cast untyped values to xs:double (FORG0001 if that fails)."""
    out = []
    for value in values:
        if isinstance(value, UntypedAtomic):
            try:
                value = double_of(value.value)
            except ValueError as error:
                raise failure("FORG0001", str(error)) from None
        out.append(value)
    return out


def widest(values: Iterable[Any]) -> int:
    """Return how far numbers are promoted: 0 integer, 1 decimal, 2 float, 3 double."""
    width = 0
    for value in values:
        if isinstance(value, Float):
            width = max(width, 2)
        elif isinstance(value, float):
            return 3
        elif isinstance(value, Decimal):
            width = max(width, 1)
    return width


def add_up(ctx: Context, values: Sequence[Any], what: str) -> Any:
    """Add numbers or durations; FORG0006 for anything else or a mixture."""
    first = values[0]
    meter = ctx.execution.meter
    meter.step(len(values))
    if is_numeric(first):
        if not all(is_numeric(value) for value in values):
            raise failure("FORG0006", f"fn:{what} of numbers and other values")
        width = widest(values)
        if width == 3:
            total = 0.0
            for value in values:
                total += to_double(value)
            return total
        if width == 2:
            single = to_float(0.0)
            for value in values:
                single = to_float(float(single) + to_double(value))
            return single
        exact = values[0]
        if width == 1:
            for value in values[1:]:
                exact = DECIMALS.add(Decimal(exact), Decimal(value))
            return exact
        exact = sum(values)
        if isinstance(exact, int):
            meter.integer(exact.bit_length())
            return int(exact)
        return exact
    for kind in (YearMonthDuration, DayTimeDuration):
        if isinstance(first, kind):
            if not all(isinstance(value, kind) for value in values):
                raise failure("FORG0006", f"fn:{what} of durations and other values")
            try:
                if kind is YearMonthDuration:
                    return YearMonthDuration(sum(value.months for value in values))
                return DayTimeDuration(sum((value.seconds for value in values), Decimal(0)))
            except OverflowError as error:
                raise failure("FODT0002", str(error)) from None
    raise failure("FORG0006", f"fn:{what} of {describe(first)}")


@function("fn:sum($arg as xs:anyAtomicType*) as xs:anyAtomicType")
def total(ctx: Context, values: Sequence[Any]) -> Any:
    return total_or(ctx, values, 0)


@function("fn:sum($arg as xs:anyAtomicType*, $zero as xs:anyAtomicType?) as xs:anyAtomicType?")
def total_or(ctx: Context, values: Sequence[Any], zero: Any) -> Any:
    if not values:
        return zero
    if type(values) is range:
        result = (values[0] + values[-1]) * len(values) // 2
        ctx.execution.meter.integer(result.bit_length())
        return result
    return add_up(ctx, numbers_of(values), "sum")


@function("fn:avg($arg as xs:anyAtomicType*) as xs:anyAtomicType?")
def average(ctx: Context, values: Sequence[Any]) -> Any:
    if not values:
        return None
    size = len(values)
    if type(values) is range:
        sum_of_all: Any = (values[0] + values[-1]) * size // 2
    else:
        sum_of_all = add_up(ctx, numbers_of(values), "avg")
    if isinstance(sum_of_all, Float):
        return to_float(float(sum_of_all) / size)
    if isinstance(sum_of_all, float):
        return sum_of_all / size
    if isinstance(sum_of_all, (int, Decimal)):
        return DECIMALS.divide(Decimal(sum_of_all), Decimal(size))
    if isinstance(sum_of_all, YearMonthDuration):
        return YearMonthDuration(math.floor(Decimal(sum_of_all.months) / size + Decimal("0.5")))
    return DayTimeDuration(sum_of_all.seconds / size)


def extreme(ctx: Context, values: Sequence[Any], uri: str | None, largest: bool) -> Any:
    """Return the largest or smallest value (14.4.3, 14.4.4)."""
    collation = collation_of(ctx, uri)
    if not values:
        return None
    if type(values) is range:
        return values[-1] if largest else values[0]
    ctx.execution.meter.step(len(values))
    items = numbers_of(values)
    if not all(isinstance(v, AnyURI) for v in items):
        items = [str(v) if isinstance(v, AnyURI) else v for v in items]
    timezone = ctx.execution.timezone
    if all(is_numeric(item) for item in items):
        width = widest(items)
        for item in items:
            if item != item:
                return to_float(math.nan) if width == 2 else math.nan
        best = items[0]
        for item in items[1:]:
            if less(best, item) if largest else less(item, best):
                best = item
        return to_double(best) if width == 3 else to_float(to_double(best)) if width == 2 else best
    what = "max" if largest else "min"
    best = items[0]
    kind = family(best)
    try:
        less(best, best, collation, timezone)
        for item in items[1:]:
            if family(item) != kind:
                raise Incomparable(f"fn:{what} of {describe(best)} and {describe(item)}")
            if less(best, item, collation, timezone) if largest else less(item, best, collation, timezone):
                best = item
    except Incomparable as error:
        raise failure("FORG0006", str(error)) from None
    return best


@function(
    "fn:max($arg as xs:anyAtomicType*) as xs:anyAtomicType?",
    "fn:max($arg as xs:anyAtomicType*, $collation as xs:string) as xs:anyAtomicType?",
)
def largest(ctx: Context, values: Sequence[Any], uri: str | None = None) -> Any:
    return extreme(ctx, values, uri, True)


@function(
    "fn:min($arg as xs:anyAtomicType*) as xs:anyAtomicType?",
    "fn:min($arg as xs:anyAtomicType*, $collation as xs:string) as xs:anyAtomicType?",
)
def smallest(ctx: Context, values: Sequence[Any], uri: str | None = None) -> Any:
    return extreme(ctx, values, uri, False)
