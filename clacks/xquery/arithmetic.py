"""Arithmetic on atomic values (XQuery 3.1, 3.5; F&O 3.1, 4.2, 8.4, 9.7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_DOWN, Context, Decimal, DecimalException
from typing import Any

from elementpath.datatypes import (
    AbstractDateTime,
    Date,
    DateTime,
    DayTimeDuration,
    Duration,
    Float,
    Time,
    UntypedAtomic,
    YearMonthDuration,
)

from clacks.xquery.budget import Meter
from clacks.xquery.compare import instant
from clacks.xquery.conversion import describe
from clacks.xquery.errors import failure
from clacks.xquery.values import double_of, to_float

__all__ = ["OPERATIONS", "negate", "operand"]

DECIMALS = Context(prec=40, Emax=10**6, Emin=-(10**6))
"""Enough for 18 digits on both sides of a product, the minimum that XSD asks for, and more."""

EXACT_PREC = 1500
SMALL_LOW, SMALL_HIGH = -(2**62), 2**62


def operand(value: Any) -> Any:
    """Prepare an atomized operand: untyped values become doubles."""
    if isinstance(value, UntypedAtomic):
        try:
            return double_of(value.value)
        except ValueError as error:
            raise failure("FORG0001", str(error)) from None
    return value


def is_number(value: Any) -> bool:
    """Tell whether a value is numeric."""
    return isinstance(value, (int, float, Decimal)) and type(value) is not bool


def mismatch(name: str, a: Any, b: Any) -> Exception:
    """Make the error for operands an operator does not take."""
    return failure("XPTY0004", f"{name} is not defined for {describe(a)} and {describe(b)}")


def as_double(value: Any) -> float:
    """Return a number as a double, infinite if it is too large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def numeric(
    name: str,
    a: Any,
    b: Any,
    meter: Meter,
    exact: Callable[[Any, Any, Meter], Any],
    floating: Callable[[float, float], float],
) -> Any:
    """Promote two numbers and apply the operation for their type."""
    if isinstance(a, float) or isinstance(b, float):
        single = (type(a) is not float) and (type(b) is not float)
        result = floating(as_double(a), as_double(b))
        return to_float(result) if single else result
    return exact(a, b, meter)


def bits(value: Any) -> int:
    """Return about how many bits a number has."""
    return int(value).bit_length() if type(value) is not Decimal else 0


def exact_add(a: Any, b: Any, meter: Meter) -> Any:
    """Add integers or decimals."""
    if isinstance(a, int) and isinstance(b, int):
        total = int(a) + int(b)
        if not SMALL_LOW < total < SMALL_HIGH:
            meter.integer(total.bit_length())
        return total
    return decimal_result(DECIMALS.add, a, b)


def exact_subtract(a: Any, b: Any, meter: Meter) -> Any:
    """Subtract integers or decimals."""
    if isinstance(a, int) and isinstance(b, int):
        total = int(a) - int(b)
        if not SMALL_LOW < total < SMALL_HIGH:
            meter.integer(total.bit_length())
        return total
    return decimal_result(DECIMALS.subtract, a, b)


def exact_multiply(a: Any, b: Any, meter: Meter) -> Any:
    """Multiply integers or decimals."""
    if isinstance(a, int) and isinstance(b, int):
        meter.integer(a.bit_length() + b.bit_length())
        return int(a) * int(b)
    return decimal_result(DECIMALS.multiply, a, b)


def decimal_result(operation: Callable[[Any, Any], Decimal], a: Any, b: Any) -> Decimal:
    """Apply a decimal operation; overflow is FOAR0002."""
    try:
        return operation(Decimal(a), Decimal(b))
    except DecimalException:
        raise failure("FOAR0002", "decimal overflow") from None


def add(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Add."""
    if type(a) is int and type(b) is int:
        return exact_add(a, b, meter)
    if is_number(a) and is_number(b):
        return numeric("+", a, b, meter, exact_add, lambda x, y: x + y)
    return temporal("+", a, b, timezone)


def subtract(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Subtract."""
    if type(a) is int and type(b) is int:
        return exact_subtract(a, b, meter)
    if is_number(a) and is_number(b):
        return numeric("-", a, b, meter, exact_subtract, lambda x, y: x - y)
    return temporal("-", a, b, timezone)


def temporal(name: str, a: Any, b: Any, timezone: Any) -> Any:
    """Add or subtract dates, times and durations."""
    plus = name == "+"
    try:
        if isinstance(a, YearMonthDuration) and isinstance(b, YearMonthDuration):
            return YearMonthDuration(a.months + b.months if plus else a.months - b.months)
        if isinstance(a, DayTimeDuration) and isinstance(b, DayTimeDuration):
            return DayTimeDuration(a.seconds + b.seconds if plus else a.seconds - b.seconds)
        if isinstance(a, (DateTime, Date)) and isinstance(b, (YearMonthDuration, DayTimeDuration)):
            return a + b if plus else a - b
        if isinstance(a, Time) and isinstance(b, DayTimeDuration):
            return a + b if plus else a - b
        if plus and isinstance(b, (DateTime, Date, Time)) and isinstance(a, Duration):
            return temporal("+", b, a, timezone)
        if not plus:
            for kind in (DateTime, Date, Time):
                if isinstance(a, kind) and isinstance(b, kind):
                    micros = instant(a, timezone) - instant(b, timezone)
                    return DayTimeDuration(Decimal(micros) / 1_000_000)
    except OverflowError as error:
        raise failure("FODT0001" if isinstance(a, AbstractDateTime) else "FODT0002", str(error)) from None
    except (ArithmeticError, ValueError) as error:
        raise failure("FODT0002", str(error)) from None
    except TypeError:
        pass
    raise mismatch(name, a, b)


def multiply(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Multiply."""
    if is_number(a) and is_number(b):
        return numeric("*", a, b, meter, exact_multiply, lambda x, y: x * y)
    if is_number(a) and isinstance(b, (YearMonthDuration, DayTimeDuration)):
        a, b = b, a
    if isinstance(a, (YearMonthDuration, DayTimeDuration)) and is_number(b):
        return scaled(a, b, lambda x, y: x * y)
    raise mismatch("*", a, b)


def scaled(duration: Any, factor: Any, operation: Callable[[Any, Any], Any]) -> Any:
    """Multiply or divide a duration by a number."""
    if isinstance(factor, float) and math.isnan(factor):
        raise failure("FOCA0005", "a duration times or by NaN")
    if isinstance(factor, float) and math.isinf(factor):
        raise failure("FODT0002", "a duration times infinity")
    number = Decimal(repr(float(factor))) if isinstance(factor, float) else Decimal(factor)
    try:
        if isinstance(duration, YearMonthDuration):
            months = operation(Decimal(duration.months), number)
            return YearMonthDuration(math.floor(months + Decimal("0.5")))
        return DayTimeDuration(operation(duration.seconds, number))
    except (OverflowError, ArithmeticError) as error:
        raise failure("FODT0002", str(error)) from None


def divide(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Divide."""
    if is_number(a) and is_number(b):
        return numeric("div", a, b, meter, exact_divide, float_divide)
    if isinstance(a, (YearMonthDuration, DayTimeDuration)):
        if is_number(b):
            if isinstance(b, float) and math.isinf(b):
                return type(a)(0)
            if b == 0:
                raise failure("FODT0002", "a duration by zero")
            return scaled(a, b, lambda x, y: x / y)
        for kind, amount in ((YearMonthDuration, "months"), (DayTimeDuration, "seconds")):
            if isinstance(a, kind) and isinstance(b, kind):
                return exact_divide(Decimal(getattr(a, amount)), Decimal(getattr(b, amount)), meter)
    raise mismatch("div", a, b)


def exact_divide(a: Any, b: Any, meter: Meter) -> Any:
    """Divide integers or decimals; the result is a decimal."""
    if b == 0:
        raise failure("FOAR0001", "division by zero")
    return decimal_result(DECIMALS.divide, a, b)


def float_divide(a: float, b: float) -> float:
    """Divide doubles."""
    if b == 0:
        if a == 0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def integer_divide(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Divide and drop the fraction."""
    if not (is_number(a) and is_number(b)):
        raise mismatch("idiv", a, b)
    if b == 0:
        raise failure("FOAR0001", "division by zero")
    if isinstance(a, float) or isinstance(b, float):
        x, y = as_double(a), as_double(b)
        if math.isnan(x) or math.isnan(y) or math.isinf(x):
            raise failure("FOAR0002", "no integer result")
        if math.isinf(y):
            return 0
        quotient = x / y
        if math.isinf(quotient):
            raise failure("FOAR0002", "no integer result")
        return math.trunc(quotient)
    if isinstance(a, int) and isinstance(b, int):
        quotient = abs(int(a)) // abs(int(b))
        return quotient if (a < 0) == (b < 0) else -quotient
    wide = Context(prec=EXACT_PREC, rounding=ROUND_DOWN)
    try:
        return int(wide.divide_int(Decimal(a), Decimal(b)))
    except DecimalException:
        raise failure("FOAR0002", "no integer result") from None


def modulo(a: Any, b: Any, meter: Meter, timezone: Any) -> Any:
    """Return the remainder; its sign is that of the dividend."""
    if not (is_number(a) and is_number(b)):
        raise mismatch("mod", a, b)
    return numeric("mod", a, b, meter, exact_modulo, float_modulo)


def exact_modulo(a: Any, b: Any, meter: Meter) -> Any:
    """Return the remainder of integers or decimals."""
    if b == 0:
        raise failure("FOAR0001", "division by zero")
    if isinstance(a, int) and isinstance(b, int):
        remainder = abs(int(a)) % abs(int(b))
        return -remainder if a < 0 else remainder
    return decimal_result(Context(prec=EXACT_PREC).remainder, a, b)


def float_modulo(a: float, b: float) -> float:
    """Return the remainder of doubles."""
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0:
        return math.nan
    if math.isinf(b):
        return a
    return math.fmod(a, b)


def negate(value: Any) -> Any:
    """Return the number with the other sign."""
    if not is_number(value):
        raise failure("XPTY0004", f"unary - is not defined for {describe(value)}")
    if isinstance(value, Float):
        return to_float(-float(value))
    if isinstance(value, int):
        return -int(value)
    return -value if value != 0 or isinstance(value, float) else value


OPERATIONS: dict[str, Callable[[Any, Any, Meter, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "div": divide,
    "idiv": integer_divide,
    "mod": modulo,
}
"""Binary operators by symbol: (left, right, meter, implicit timezone)."""
