"""Atomic values as conditions see them: the types of an event without a schema, and how they compare.

What comes out of an element or attribute is `Untyped`; constants are str, int, Decimal, float and bool. The
rules are those of XPath 3.1: 3.7.1 (value comparisons), 3.7.2 (general comparisons), 2.4.3 (effective boolean
value), and the casting tables of XPath Functions and Operators 3.1, chapter 19.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

__all__ = [
    "ConditionError",
    "Untyped",
    "cast_boolean",
    "cast_decimal",
    "cast_double",
    "cast_integer",
    "compare_general",
    "compare_values",
    "string_of",
    "to_double",
]


class ConditionError(Exception):
    """A condition fails on this event: the query has an error there, so it does not match."""


class Untyped(str):
    """A value of type xs:untypedAtomic."""

    __slots__ = ()


Atomic = str | int | Decimal | float | bool

_DOUBLE: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SPECIAL: Final = {"INF": math.inf, "+INF": math.inf, "-INF": -math.inf, "NaN": math.nan}
_SPACE: Final = " \t\r\n"
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
    text = text.strip(_SPACE)
    if _DOUBLE.fullmatch(text):
        return float(text)
    return _SPECIAL.get(text)


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


def cast_decimal(value: Atomic) -> Decimal:
    """Cast to xs:decimal.

    Raises:
        ConditionError: If that is not possible (FORG0001, FOCA0002).
    """
    if isinstance(value, str):
        text = value.strip(_SPACE)
        if not _DECIMAL.fullmatch(text):
            raise ConditionError("FORG0001")
        return Decimal(text)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConditionError("FOCA0002")
        return Decimal(repr(value))
    return Decimal(int(value)) if isinstance(value, bool | int) else value


def cast_integer(value: Atomic) -> int:
    """Cast to xs:integer.

    Raises:
        ConditionError: If that is not possible (FORG0001, FOCA0002).
    """
    if isinstance(value, str):
        text = value.strip(_SPACE)
        if not _INTEGER.fullmatch(text) or len(text) > 1000:
            raise ConditionError("FORG0001")
        return int(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConditionError("FOCA0002")
    return int(value)


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
        left, right = _float(left), _float(right)  # type: ignore[arg-type]
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


def string_of(value: Atomic) -> str:
    """Write a value as xs:string.

    Raises:
        ConditionError: For doubles, whose canonical form is left to the engine.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        text = format(value, "f")
        return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
    raise ConditionError("unsupported")
