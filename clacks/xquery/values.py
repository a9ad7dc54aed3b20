"""Atomic values: their lexical forms, and the numbers behind strings.

xs:float is elementpath's ``Float``, a Python float; here its value is always one that 32 bits can hold.
Make it with ``to_float``: elementpath's own constructor keeps 64 bits and loses numbers below 1e-37.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from typing import Any

from elementpath.datatypes import AbstractQName, AnyURI, Float, UntypedAtomic

__all__ = [
    "decimal_text",
    "double_of",
    "double_text",
    "float_text",
    "is_numeric",
    "single",
    "string_of",
    "to_float",
    "uri_of",
]

DOUBLE = re.compile(
    r"[ \t\r\n]*(?:([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|([+-]?INF)|(NaN))[ \t\r\n]*"
)


def single(value: float) -> float:
    """Round to the nearest number of 32 bits; infinity beyond the range."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def to_float(value: float) -> Float:
    """Return ``value`` as xs:float."""
    return float.__new__(Float, single(value))


def is_numeric(value: object) -> bool:
    """Tell whether a value is xs:integer, xs:decimal, xs:float or xs:double."""
    return isinstance(value, (int, float, Decimal)) and type(value) is not bool


def double_of(text: str) -> float:
    """Read the lexical form of xs:double (XSD 1.1); ValueError if it is none."""
    match = DOUBLE.fullmatch(text)
    if match is None:
        raise ValueError(f"not an xs:double: {text[:40]!r}")
    number, infinity, _ = match.groups()
    if number is not None:
        return float(number)
    if infinity is not None:
        return -math.inf if infinity[0] == "-" else math.inf
    return math.nan


def decimal_text(value: Decimal) -> str:
    """Return the canonical form of xs:decimal: no exponent, no needless zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def scientific(digits: str, exponent: int) -> str:
    """Put ``d.ddd`` digits (without point) and a power of ten together as ``d.dE1``."""
    return f"{digits[0]}.{digits[1:] or '0'}E{exponent}"


SMALLEST_PLAIN = 1e-6
SMALLEST_PLAIN_SINGLE = single(1e-6)


def number_text(value: float, shortest: str, smallest: float) -> str:
    """Write a float (F&O 3.1, 19.1.2.2) from its shortest round-trip digits in Python's ``e`` notation."""
    mantissa, _, exponent_text = shortest.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    exponent = int(exponent_text)
    if not smallest <= abs(value) < 1e6:
        return sign + scientific(digits, exponent)
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    if len(digits) <= exponent + 1:
        return sign + digits + "0" * (exponent + 1 - len(digits))
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def special(value: float) -> str | None:
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "INF" if value > 0 else "-INF"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    return None


def double_text(value: float) -> str:
    """Return the string of an xs:double."""
    text = special(value)
    if text is None:
        # repr gives the shortest digits that read back as the same double; formatting with as many digits
        # again would round halves to even and miss some. Decimal only moves the point.
        text = number_text(value, f"{Decimal(repr(value)):e}", SMALLEST_PLAIN)
    return text


def float_text(value: float) -> str:
    """Return the string of an xs:float: the shortest digits that read back as the same 32 bits."""
    text = special(value)
    if text is None:
        value = single(value)
        text = special(value)
        if text is None:
            # Numbers below the normal range have fewer digits than the usual six.
            for digits in range(5 if abs(value) >= 1.2e-38 else 0, 9):
                shortest = f"{float(value):.{digits}e}"
                if single(float(shortest)) == value:
                    break
            text = number_text(value, shortest, SMALLEST_PLAIN_SINGLE)
    return text


def string_of(value: Any) -> str:
    """Return an atomic value as xs:string (F&O 3.1, 19.1.2)."""
    cls = type(value)
    if cls is str:
        return value  # type: ignore[no-any-return]
    if cls is bool:
        return "true" if value else "false"
    if cls is int:
        return str(value)
    if cls is float:
        return double_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Float):
        return float_text(value)
    if isinstance(value, (UntypedAtomic, AnyURI)):
        return value.value
    if isinstance(value, AbstractQName):
        return value.qname
    if isinstance(value, float):
        return double_text(value)
    return str(value)


def uri_of(text: str) -> AnyURI:
    """Return xs:anyURI of what somebody uses as a URI, whatever it holds; elementpath refuses some."""
    uri = AnyURI.__new__(AnyURI)
    uri.value = text
    return uri
