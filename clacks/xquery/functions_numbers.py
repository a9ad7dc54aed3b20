"""Functions on numbers (F&O 3.1, 4.4 to 4.8), among them math:*."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Decimal,
)
from decimal import (
    Context as Precision,
)
from typing import Any

from elementpath.datatypes import Float, UntypedAtomic

from clacks.xquery.context import Context
from clacks.xquery.conversion import atomize_one, to_double
from clacks.xquery.errors import failure
from clacks.xquery.format_integer import format_integer
from clacks.xquery.format_number import format_number
from clacks.xquery.functions import FunctionItem
from clacks.xquery.functions_names import lexical_qname
from clacks.xquery.library import function
from clacks.xquery.maps import XMap
from clacks.xquery.values import double_of, is_numeric, string_of, to_float

__all__ = ["as_number", "round_half_even", "round_half_up"]

Number = int | Decimal | float


def like(original: Any, value: float) -> Any:
    """Return ``value`` as xs:float or xs:double, as ``original`` is."""
    return to_float(value) if isinstance(original, Float) else float(value)


@function("fn:abs($arg as xs:numeric?) as xs:numeric?")
def absolute(ctx: Context, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, float):
        return like(value, abs(float(value)))
    return abs(int(value)) if isinstance(value, int) else value.copy_abs()


@function("fn:ceiling($arg as xs:numeric?) as xs:numeric?")
def ceiling(ctx: Context, value: Any) -> Any:
    return to_whole(value, math.ceil, ROUND_CEILING)


@function("fn:floor($arg as xs:numeric?) as xs:numeric?")
def floor(ctx: Context, value: Any) -> Any:
    return to_whole(value, math.floor, ROUND_FLOOR)


def to_whole(value: Any, real: Callable[[float], int], rounding: str) -> Any:
    """Round to a whole number of the same type; the sign of zero stays."""
    if value is None or isinstance(value, int):
        return value if value is None else int(value)
    if isinstance(value, float):
        number = float(value)
        if math.isinf(number) or number != number or number == 0:
            return value
        return like(value, math.copysign(float(real(number)), number))
    return value.to_integral_value(rounding=rounding)


def rounded(value: Any, precision: int, positive: str, negative: str) -> Any:
    """Round to ``precision`` places after the decimal point, negative ones before it.

    Args:
        value: Any number.
        precision: Places.
        positive: Rounding mode of decimal for positive numbers.
        negative: The same for negative ones.
    """
    if isinstance(value, int):
        if precision >= 0:
            return int(value)
        digits = len(str(abs(int(value))))
        if -precision > digits:
            return 0
        return int(quantized(Decimal(int(value)), precision, positive if value >= 0 else negative))
    if isinstance(value, float):
        number = float(value)
        if math.isinf(number) or number != number or number == 0:
            return value
        if precision > 400:
            return value
        if precision < -400:
            return like(value, math.copysign(0.0, number))
        exact = Decimal(number)
        result = float(quantized(exact, precision, positive if number > 0 else negative))
        return like(value, math.copysign(result, number))
    places = -value.as_tuple().exponent
    if precision >= places:
        return value
    if precision < -value.adjusted() - 2:
        return Decimal(0)
    return quantized(value, precision, positive if value >= 0 else negative)


def quantized(value: Decimal, precision: int, rounding: str) -> Decimal:
    """Round an exact number, with as many digits as it needs."""
    room = Precision(prec=max(40, value.adjusted() + abs(precision) + 30, len(value.as_tuple().digits) + 8))
    return value.quantize(Decimal(1).scaleb(-precision), rounding=rounding, context=room)


def round_half_up(value: Any, precision: int = 0) -> Any:
    """Round; halves go towards positive infinity."""
    return rounded(value, precision, ROUND_HALF_UP, ROUND_HALF_DOWN)


def round_half_even(value: Any, precision: int = 0) -> Any:
    """Round; halves go to the even neighbour."""
    return rounded(value, precision, ROUND_HALF_EVEN, ROUND_HALF_EVEN)


@function(
    "fn:round($arg as xs:numeric?) as xs:numeric?",
    "fn:round($arg as xs:numeric?, $precision as xs:integer) as xs:numeric?",
)
def round_number(ctx: Context, value: Any, precision: int = 0) -> Any:
    return None if value is None else round_half_up(value, int(precision))


@function(
    "fn:round-half-to-even($arg as xs:numeric?) as xs:numeric?",
    "fn:round-half-to-even($arg as xs:numeric?, $precision as xs:integer) as xs:numeric?",
)
def round_half_to_even(ctx: Context, value: Any, precision: int = 0) -> Any:
    return None if value is None else round_half_even(value, int(precision))


def as_number(value: Any) -> float:
    """Return an atomic value as xs:double, NaN where it is none (fn:number)."""
    if value is None:
        return math.nan
    if isinstance(value, bool):
        return float(value)
    if is_numeric(value):
        return to_double(value)
    if isinstance(value, (str, UntypedAtomic)):
        try:
            return double_of(str(value))
        except ValueError:
            return math.nan
    return math.nan


@function("fn:number() as xs:double")
def number_of_context(ctx: Context) -> float:
    if ctx.item is None:
        raise failure("XPDY0002", "there is no context item")
    return as_number(atomize_one([ctx.item], "context item"))


@function("fn:number($arg as xs:anyAtomicType?) as xs:double")
def number(ctx: Context, value: Any) -> float:
    return as_number(value)


@function(
    "fn:format-integer($value as xs:integer?, $picture as xs:string) as xs:string",
    "fn:format-integer($value as xs:integer?, $picture as xs:string, $lang as xs:string?) as xs:string",
)
def write_integer(ctx: Context, value: int | None, picture: str, lang: str | None = None) -> str:
    if value is None:
        return ""
    ctx.execution.meter.text(2 * len(picture) + abs(int(value)).bit_length())
    return format_integer(int(value), picture)


def decimal_format_name(name: str, namespaces: Mapping[str, str]) -> str:
    """Return the expanded name of a decimal format; FODF1280 if it is no name."""
    if name.startswith("Q{"):
        uri, _, local = name[2:].partition("}")
        return f"{{{uri}}}{local}" if uri else local
    try:
        prefix, local = lexical_qname(name)
    except ValueError:
        raise failure("FODF1280", f"{name!r} is no name of a decimal format") from None
    if not prefix:
        return local
    if prefix not in namespaces:
        raise failure("FODF1280", f"the prefix of {name!r} is not declared")
    return f"{{{namespaces[prefix]}}}{local}"


@function(
    "fn:format-number($value as xs:numeric?, $picture as xs:string) as xs:string",
    "fn:format-number($value as xs:numeric?, $picture as xs:string, $name as xs:string?) as xs:string",
)
def write_number(ctx: Context, value: Any, picture: str, name: str | None = None) -> str:
    formats = ctx.static.decimal_formats
    expanded = None
    if name is not None:
        expanded = decimal_format_name(name.strip(), ctx.static.namespaces)
    if expanded not in formats:
        raise failure("FODF1280", f"no decimal format is called {name!r}")
    ctx.execution.meter.text(2 * len(picture) + (320 if isinstance(value, float) else 0))
    if isinstance(value, int):
        ctx.execution.meter.text(int(value).bit_length())
    return format_number(value, picture, formats[expanded])


# math


def real(name: str, compute: Callable[[float], float]) -> None:
    """Register a function of one double; where the real function has no value, the result is NaN."""

    def call(ctx: Context, value: float | None) -> float | None:
        if value is None:
            return None
        try:
            return compute(value)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    function(f"math:{name}($arg as xs:double?) as xs:double?")(call)


def logarithm(compute: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: -math.inf if value == 0 else compute(value)


for _name, _compute in {
    "exp": math.exp,
    "exp10": lambda value: 10.0**value,
    "log": logarithm(math.log),
    "log10": logarithm(math.log10),
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
}.items():
    real(_name, _compute)


@function("math:pi() as xs:double")
def pi(ctx: Context) -> float:
    return math.pi


@function("math:pow($x as xs:double?, $y as xs:numeric) as xs:double?")
def power(ctx: Context, x: float | None, y: Any) -> float | None:
    if x is None:
        return None
    exponent = to_double(y)
    try:
        return math.pow(x, exponent)
    except OverflowError:
        odd = abs(exponent) < 2**53 and exponent % 2 == 1
        return -math.inf if x < 0 and odd else math.inf
    except ValueError:
        if x == 0 and exponent < 0:
            # IEEE 754: a pole. Odd powers keep the sign of zero.
            return math.copysign(math.inf, x) if abs(exponent) < 2**53 and exponent % 2 == 1 else math.inf
        return math.nan


@function("math:atan2($y as xs:double, $x as xs:double) as xs:double")
def atan2(ctx: Context, y: float, x: float) -> float:
    return math.atan2(y, x)


# random numbers


class Chain(FunctionItem):
    """A function of a random number generator: ``next`` or ``permute``, made from the state alone."""

    def __init__(self, state: bytes, permute: bool) -> None:
        super().__init__()
        self.state = state
        self.permute = permute

    @property
    def arity(self) -> int:
        """Return 0 for next, 1 for permute."""
        return int(self.permute)

    @property
    def signature(self) -> Any:
        """Return the types of the function."""
        from clacks.xquery.sequence_types import ANY, ANY_ITEM, AtomicType, MapTest, SequenceType

        if self.permute:
            return (ANY,), ANY
        return (), SequenceType(MapTest(AtomicType("string"), SequenceType(ANY_ITEM)))

    def call(self, ctx: Context, args: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Return the next generator, or the argument in random order."""
        if not self.permute:
            return [generator(following(self.state))]
        ctx.execution.meter.step(4 * len(args[0]))
        items = list(args[0])
        state = self.state
        for index in range(len(items) - 1, 0, -1):
            state = following(state)
            other = int.from_bytes(state[:8], "big") % (index + 1)
            items[index], items[other] = items[other], items[index]
        return items


def following(state: bytes) -> bytes:
    """Return the state after ``state``."""
    return hashlib.blake2b(state, digest_size=16).digest()


def generator(state: bytes) -> XMap:
    """Return the map that stands for a generator in a state."""
    return XMap(
        [
            ("number", [(int.from_bytes(state[:8], "big") >> 11) / 2**53]),
            ("next", [Chain(state, False)]),
            ("permute", [Chain(state, True)]),
        ]
    )


@function(
    "fn:random-number-generator() as map(xs:string, item())",
    "fn:random-number-generator($seed as xs:anyAtomicType?) as map(xs:string, item())",
)
def random_number_generator(ctx: Context, seed: Any = None) -> XMap:
    # Deterministic within one run: the same seed, and no seed, give the same numbers each time.
    text = (
        f"now {ctx.execution.now.isoformat()}" if seed is None else f"{type(seed).__name__} {string_of(seed)}"
    )
    return generator(following(text.encode()))
