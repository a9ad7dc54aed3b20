"""Atomic values as conditions see them: the types of an event without a schema, and how they compare.

What comes out of an element or attribute is `Untyped`; constants are str, int, Decimal, float and bool, and
these are compared here. All other types (dates, durations, xs:float, maps of JSON) are values of the engine,
and a `Calculator` of the engine is asked.

The rules are those of XPath 3.1: 3.7.1 (value comparisons), 3.7.2 (general comparisons), 2.4.3
(effective boolean value), and the casting tables of XPath Functions and Operators 3.1, chapter 19.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, Final

from clacks.xquery.atoms import to_untyped, untyped_text

__all__ = [
    "Atomic",
    "ConditionError",
    "Undecided",
    "Untyped",
    "cast_boolean",
    "cast_double",
    "compare_general",
    "compare_values",
    "from_engine",
    "is_native",
    "to_double",
    "to_doubles",
    "to_engine",
]


class ConditionError(Exception):
    """A condition fails on this event: the query has an error there, so it does not match."""


class Undecided(Exception):
    """Only the engine can say: the result depends on how far it evaluates, or would cost too much here."""


class Untyped(str):
    """A value of type xs:untypedAtomic."""

    __slots__ = ()


Atomic = Any
"""`Untyped`, str, int, Decimal, float or bool, or another value of the engine."""

_NATIVE: Final = frozenset((Untyped, str, int, Decimal, float, bool))


def is_native(value: object) -> bool:
    """Tell whether a value is of a type that this module compares."""
    return type(value) in _NATIVE


def to_engine(values: Sequence[Any]) -> list[Any]:
    """Return atomic values as the engine has them."""
    return [to_untyped(str(value)) if type(value) is Untyped else value for value in values]


def from_engine(values: Sequence[Any]) -> list[Any]:
    """Return values of the engine as conditions have them."""
    found = []
    for value in values:
        if type(value) in _NATIVE:
            found.append(value)
        else:
            text = untyped_text(value)
            found.append(value if text is None else Untyped(text))
    return found


_SPECIAL: Final = {"INF": math.inf, "+INF": math.inf, "-INF": -math.inf, "NaN": math.nan}
_SPACE: Final = " \t\r\n"
_NUMERIC: Final = "0123456789+-.eE" + _SPACE
_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def to_double(text: str) -> float | None:
    """Read the lexical form of xs:double (surrounding white space allowed), or return None."""
    # Of these characters Python reads as a number what XML Schema does.
    if text.strip(_NUMERIC):
        return _SPECIAL.get(text.strip(_SPACE))
    try:
        return float(text)
    except ValueError:
        return None


_FIRST: Final = frozenset("0123456789+-.I" + _SPACE)
_OF_NUMBERS: Final = b"0123456789+-.eEINF\0" + _SPACE.encode()
# Between two texts of a list, what may be a number; of these characters Python reads what XML Schema does.
_NUMBERS: Final = re.compile("\0([-+.0-9I \t\r\n][-+.0-9eEINF \t\r\n]*)(?=\0)")


def to_doubles(texts: Collection[str]) -> tuple[list[float], bool]:
    """Read several texts as `to_double` does; return the numbers, and whether all texts are some.

    NaN does not count as one: no comparison finds it.
    """
    if len(texts) > 1:
        found = [text for text in texts if text and text[0] in _FIRST]
        together = "\0".join(found)
        if together.encode("utf-8", "surrogatepass").translate(None, _OF_NUMBERS):
            found = _NUMBERS.findall(f"\0{together}\0")
        try:
            numbers = list(map(float, found))
        except ValueError:
            numbers = [number for text in found if (number := to_double(text)) is not None]
        return numbers, len(numbers) == len(texts)
    numbers = [number for text in texts if (number := to_double(text)) is not None and number == number]
    return numbers, len(numbers) == len(texts)


def cast_double(value: Atomic) -> float:
    """Cast to xs:double.

    Raises:
        ConditionError: If the value is text that is no number (FORG0001).
    """
    if isinstance(value, str):
        number = to_double(value)
        if number is None:
            raise ConditionError("FORG0001")
        return number
    return _float(value)


def _float(value: int | Decimal | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def cast_boolean(value: Atomic) -> bool:
    """Cast to xs:boolean.

    Raises:
        ConditionError: If the value is text other than true, false, 1, 0 (FORG0001).
    """
    if isinstance(value, str):
        text = value.strip(_SPACE)
        if text in ("true", "1"):
            return True
        if text in ("false", "0"):
            return False
        raise ConditionError("FORG0001")
    return bool(value) and value == value


def compare_values(sign: str, left: Atomic, right: Atomic) -> bool:
    """Compare two values whose types are known; `Untyped` counts as text.

    Raises:
        ConditionError: If the types do not compare (XPTY0004).
    """
    left_text, right_text = isinstance(left, str), isinstance(right, str)
    if left_text or right_text:
        if not (left_text and right_text):
            raise ConditionError("XPTY0004")
        if isinstance(left, Untyped):
            left = str(left)
        return _TESTS[sign](left, right)
    left_bool, right_bool = isinstance(left, bool), isinstance(right, bool)
    if left_bool != right_bool:
        raise ConditionError("XPTY0004")
    if isinstance(left, float) or isinstance(right, float):
        left, right = _float(left), _float(right)
    return _TESTS[sign](left, right)


def compare_general(sign: str, left: Atomic, right: Atomic) -> bool:
    """Compare two items of a general comparison: `Untyped` takes the type of the other side.

    Raises:
        ConditionError: If it does not convert (FORG0001) or the types do not compare (XPTY0004).
    """
    if isinstance(left, Untyped):
        if not isinstance(right, str):
            left = cast_boolean(left) if isinstance(right, bool) else cast_double(left)
    elif isinstance(right, Untyped) and not isinstance(left, str):
        right = cast_boolean(right) if isinstance(left, bool) else cast_double(right)
    return compare_values(sign, left, right)
