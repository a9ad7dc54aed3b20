"""Comparison of atomic values and of whole sequences: eq, lt, deep-equal, sorting.

Numbers of different types are promoted (F&O 3.1, 4.3): an integer and an xs:double compare as doubles.
Dates and times compare as instants, those without a timezone in the implicit one. Strings, URIs and untyped
values compare under a collation. All else is a type error, XPTY0004, for which ``Incomparable`` stands
here: some callers (index-of, distinct-values, deep-equal) take it for "not equal".
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from elementpath.datatypes import (
    AbstractBinary,
    AbstractDateTime,
    AbstractQName,
    AnyURI,
    Date,
    DateTime,
    DayTimeDuration,
    Duration,
    Float,
    GregorianDay,
    GregorianMonth,
    GregorianMonthDay,
    GregorianYear,
    GregorianYearMonth,
    Time,
    UntypedAtomic,
    YearMonthDuration,
)

from clacks.xquery.collation import CODEPOINT, Collation
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray, XMap
from clacks.xquery.nodes import Node
from clacks.xquery.values import single

__all__ = [
    "Incomparable",
    "deep_equal",
    "equal",
    "instant",
    "is_native",
    "less",
    "order",
    "sort_sequences",
    "sorting_steps",
    "value_key",
]

STRING, NUMBER, BOOLEAN, NAME, DURATION = "string", "number", "boolean", "QName", "duration"
ORDERED_DATES = (DateTime, Date, Time)
ALL_DATES = (
    DateTime, Date, Time, GregorianYearMonth, GregorianYear, GregorianMonthDay, GregorianDay, GregorianMonth,
)  # fmt: skip
CODEPOINTS = Collation(CODEPOINT)
DAYS_TO_1970 = 719468


class Incomparable(TypeError):
    """Two values whose types have no common comparison."""


def incomparable(a: Any, b: Any) -> Incomparable:
    from clacks.xquery.conversion import describe

    return Incomparable(f"cannot compare {describe(a)} with {describe(b)}")


def family(value: Any) -> Any:
    """Return what kind of comparison a value takes part in."""
    cls = type(value)
    if cls is str:
        return STRING
    if cls is bool:
        return BOOLEAN
    if isinstance(value, (int, float, Decimal)):
        return NUMBER
    if isinstance(value, (str, UntypedAtomic, AnyURI)):
        return STRING
    if isinstance(value, Duration):
        return DURATION
    if isinstance(value, AbstractQName):
        return NAME
    if isinstance(value, AbstractDateTime):
        for kind in ALL_DATES:
            if isinstance(value, kind):
                return kind
    if isinstance(value, AbstractBinary):
        return value.name
    return cls


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the number of days from 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - DAYS_TO_1970


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Return year (0 is 1 BC), month and day of the day that is ``days`` after 1970-01-01."""
    days += DAYS_TO_1970
    era, of_era = divmod(days, 146097)
    of_era_year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * of_era_year + of_era_year // 4 - of_era_year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return of_era_year + era * 400 + (month <= 2), month, day


def instant(value: AbstractDateTime, timezone: Any) -> int:
    """Return a date or time as microseconds on the UTC axis (F&O 3.1, 9.4).

    Fields that the type lacks are those of the reference 1972-12-31. A value without a timezone is taken in
    ``timezone``.
    """
    moment = value._dt
    if isinstance(value, Time):
        year, month, day = 1972, 12, 31
    else:
        year = value._year
        # elementpath counts years before Christ without a year 0, XSD 1.1 with one.
        year = year + 1 if year < 0 else year
        month, day = moment.month, moment.day
        if isinstance(value, (GregorianMonthDay, GregorianDay, GregorianMonth)):
            year = 1972
            if isinstance(value, GregorianDay):
                month = 12
    seconds = (
        days_from_civil(year, month, day) * 86400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    )
    zone = moment.tzinfo if moment.tzinfo is not None else timezone
    offset = zone.utcoffset(None) if zone is not None else None
    micros = seconds * 1_000_000 + moment.microsecond
    return micros if offset is None else micros - offset // datetime.timedelta(microseconds=1)


def promoted(a: Any, b: Any) -> tuple[Any, Any]:
    """Bring two numbers to one type."""
    ta, tb = type(a), type(b)
    if ta is tb and ta is not Float:
        return a, b
    if isinstance(a, float) or isinstance(b, float):
        if type(a) is float or type(b) is float or not (is_single(a) and is_single(b)):
            return as_double(a), as_double(b)
        return single(as_double(a)), single(as_double(b))
    return a, b


def is_single(value: Any) -> bool:
    """Tell whether a number promotes to xs:float at most."""
    return isinstance(value, (Float, int, Decimal))


def as_double(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def equal(a: Any, b: Any, collation: Collation = CODEPOINTS, timezone: Any = None) -> bool:
    """Tell whether two atomic values are ``eq``.

    Raises:
        Incomparable: If the types have no equality in common.
    """
    kind = family(a)
    if kind != family(b):
        raise incomparable(a, b)
    if kind is STRING:
        x, y = str(a), str(b)
        return x == y if collation.uri == CODEPOINT else bool(collation.key(x) == collation.key(y))
    if kind is NUMBER:
        x, y = promoted(a, b)
        return bool(x == y)
    if kind is DURATION:
        return bool(a.months == b.months and a.seconds == b.seconds)
    if isinstance(a, AbstractDateTime):
        return instant(a, timezone) == instant(b, timezone)
    if kind is NAME:
        return bool(a.uri == b.uri and a.local_name == b.local_name)
    if isinstance(a, AbstractBinary):
        return bool(a.decode() == b.decode())
    return bool(a == b)


def less(a: Any, b: Any, collation: Collation = CODEPOINTS, timezone: Any = None) -> bool:
    """Tell whether ``a lt b``.

    Raises:
        Incomparable: If the types have no order in common.
    """
    kind = family(a)
    if kind != family(b):
        raise incomparable(a, b)
    if kind is STRING:
        return bool(collation.key(str(a)) < collation.key(str(b)))
    if kind is NUMBER:
        x, y = promoted(a, b)
        return bool(x < y)
    if kind is BOOLEAN:
        return bool(not a and b)
    if kind is DURATION:
        if isinstance(a, YearMonthDuration) and isinstance(b, YearMonthDuration):
            return bool(a.months < b.months)
        if isinstance(a, DayTimeDuration) and isinstance(b, DayTimeDuration):
            return bool(a.seconds < b.seconds)
        raise incomparable(a, b)
    if kind in ORDERED_DATES:
        return instant(a, timezone) < instant(b, timezone)
    if isinstance(a, AbstractBinary):
        return bool(a.decode() < b.decode())
    raise incomparable(a, b)


def order(a: Any, b: Any, collation: Collation = CODEPOINTS, timezone: Any = None) -> int:
    """Compare two sort keys, None for the empty sequence (which is least) and NaN below all other numbers.

    Raises:
        Incomparable: If the types have no order in common.
    """
    if a is None or b is None:
        return int(a is not None) - int(b is not None)
    a_nan, b_nan = a != a, b != b
    if (a_nan or b_nan) and family(a) == family(b):
        return int(b_nan) - int(a_nan)
    if less(a, b, collation, timezone):
        return -1
    return 1 if less(b, a, collation, timezone) else 0


def value_key(value: Any, collation: Collation = CODEPOINTS, timezone: Any = None) -> Any:
    """Return a hashable key that is equal for values that are ``eq``, and for NaN and NaN.

    Numbers that are not equal may share a key: equality between types is not transitive, so whoever groups by
    the key compares numbers again.
    """
    kind = family(value)
    if kind is STRING:
        text = str(value)
        return (STRING, text if collation.uri == CODEPOINT else collation.key(text))
    if kind is NUMBER:
        number = single(as_double(value))
        return (NUMBER, "NaN" if number != number else number)
    if kind is DURATION:
        return (DURATION, value.months, value.seconds)
    if kind is NAME:
        return (NAME, value.uri, value.local_name)
    if isinstance(value, AbstractDateTime):
        return (kind, instant(value, timezone))
    if isinstance(value, AbstractBinary):
        return (kind, value.decode())
    return (kind, value)


EXACT_NUMBERS = frozenset({int, Decimal})


def is_native(keys: Sequence[Any], collation: Collation) -> bool:
    """Tell whether Python orders sort keys as XQuery does: strings by code points, numbers of one kind."""
    classes = set(map(type, keys))
    if len(classes) == 1 and str in classes:
        return collation.uri == CODEPOINT
    if classes == {float}:
        return all(key == key for key in keys)
    return classes <= EXACT_NUMBERS


def sorting_steps(count: int) -> int:
    """Return how many comparisons sorting so many items takes at most."""
    return count * count.bit_length()


def sort_sequences(
    items: Iterable[Any],
    key: Callable[[Any], Sequence[Any]],
    collation: Collation,
    timezone: Any,
    step: Callable[..., None],
) -> list[Any]:
    """Sort items by sequences of atomic values (F&O 3.1, fn:sort), stably.

    Args:
        items: What to sort.
        key: Gives the atomized sort key of an item.
        collation: For strings.
        timezone: The implicit timezone.
        step: Called for each comparison of two keys, or with their number.

    Raises:
        QueryEvaluationError: XPTY0004 if two keys cannot be compared.
    """
    keyed = [(list(key(item)), item) for item in items]
    if all(len(each) == 1 for each, _ in keyed) and is_native([each[0] for each, _ in keyed], collation):
        step(sorting_steps(len(keyed)))
        keyed.sort(key=lambda pair: pair[0][0])
        return [item for _, item in keyed]

    def compare(x: tuple[list[Any], Any], y: tuple[list[Any], Any]) -> int:
        step()
        for a, b in zip(x[0], y[0]):
            result = order(a, b, collation, timezone)
            if result:
                return result
        return len(x[0]) - len(y[0])

    try:
        keyed.sort(key=cmp_to_key(compare))
    except Incomparable as error:
        raise failure("XPTY0004", str(error)) from None
    return [item for _, item in keyed]


def deep_equal(
    a: Sequence[Any], b: Sequence[Any], collation: Collation, timezone: Any, step: Callable[[], None]
) -> bool:
    """Tell whether two sequences are deep-equal (F&O 3.1, 14.2.1); FOTY0015 for functions."""
    if len(a) != len(b):
        # Functions are an error even where the answer is clear already.
        return False
    return all(items_equal(x, y, collation, timezone, step) for x, y in zip(a, b))


def items_equal(a: Any, b: Any, collation: Collation, timezone: Any, step: Callable[[], None]) -> bool:
    """Tell whether two items are deep-equal."""
    step()
    for item in (a, b):
        if isinstance(item, FunctionItem) and not isinstance(item, (XMap, XArray)):
            raise failure("FOTY0015", "functions cannot be compared")
    if isinstance(a, XMap):
        return isinstance(b, XMap) and maps_equal(a, b, collation, timezone, step)
    if isinstance(a, XArray):
        return (
            isinstance(b, XArray)
            and len(a) == len(b)
            and all(deep_equal(x, y, collation, timezone, step) for x, y in zip(a.members, b.members))
        )
    if isinstance(a, Node):
        return isinstance(b, Node) and nodes_equal(a, b, collation, timezone, step)
    if isinstance(b, (Node, FunctionItem)):
        return False
    if a != a and b != b:
        return True
    try:
        return equal(a, b, collation, timezone)
    except Incomparable:
        return False


def maps_equal(a: XMap, b: XMap, collation: Collation, timezone: Any, step: Callable[[], None]) -> bool:
    """Tell whether two maps have the same keys with deep-equal values."""
    if len(a) != len(b):
        return False
    for key, value in a.items():
        other = b.get(key)
        if other is None or not deep_equal(value, other, collation, timezone, step):
            return False
    return True


def nodes_equal(a: Any, b: Any, collation: Collation, timezone: Any, step: Callable[[], None]) -> bool:
    """Tell whether two nodes are deep-equal; comments and processing instructions inside do not count.

    Walks with a stack: documents may be deep.
    """
    pending = [(a, b)]
    while pending:
        x, y = pending.pop()
        step()
        if x.kind != y.kind or x.name != y.name:
            return False
        if x.kind in ("element", "document"):
            if x.kind == "element" and not attributes_equal(x, y, collation):
                return False
            below_x = [c for c in x.children if c.kind in ("element", "text")]
            below_y = [c for c in y.children if c.kind in ("element", "text")]
            if len(below_x) != len(below_y):
                return False
            pending.extend(zip(below_x, below_y))
        elif collation.key(x.string_value) != collation.key(y.string_value):
            return False
    return True


def attributes_equal(a: Any, b: Any, collation: Collation) -> bool:
    """Tell whether two elements have the same attributes."""
    if len(a.attributes) != len(b.attributes):
        return False
    values = {attribute.name: attribute.value for attribute in b.attributes}
    return all(
        attribute.name in values and collation.key(attribute.value) == collation.key(values[attribute.name])
        for attribute in a.attributes
    )
