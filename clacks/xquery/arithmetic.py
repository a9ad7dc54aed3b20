"""Arithmetic on atomic values (XQuery 3.1, 3.5; F&O 3.1, 4.2, 8.4, 9.7)."""

from __future__ import annotations

import math
import operator
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
from clacks.xquery.compare import days_from_civil, instant
from clacks.xquery.conversion import describe
from clacks.xquery.errors import failure
from clacks.xquery.values import double_of, to_float

__all__ = ["NATIVE", "OPERATIONS", "negate", "operand"]

DECIMALS = Context(prec=40, Emax=10**6, Emin=-(10**6))
"""Enough for 18 digits on both sides of a product, the minimum that XSD asks for, and more."""

EXACT_PREC = 1500
LAST_YEAR = 999_999
"""Dates beyond it are an overflow (FODT0001); elementpath's classes hold no more."""
SMALL_LOW, SMALL_HIGH = -(2**62), 2**62


def operand(value: Any) -> Any:
    """Prepare an atomized operand: untyped values become doubles."""
    if type(value) is UntypedAtomic:  # it has no subclasses, and its isinstance goes through a metaclass
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
        if isinstance(a, (DateTime, Date)) and isinstance(b, YearMonthDuration):
            return add_months(a, b.months if plus else -b.months)
        if isinstance(a, (DateTime, Date)) and isinstance(b, DayTimeDuration):
            return add_seconds(a, b.seconds if plus else -b.seconds)
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
        raise failure("FODT0001" if isinstance(a, AbstractDateTime) else "FODT0002", str(error)) from None
    except TypeError:
        pass
    raise mismatch(name, a, b)


def astronomical_year(value: Any) -> int:
    """Return the year of a date as XSD 1.1 counts; elementpath keeps one less for years before 1."""
    year: int = value._year
    return year + 1 if year < 0 else year


def date_like(value: Any, year: int, month: int, day: int, seconds: int, micros: int) -> Any:
    """Make a date, or a date and time, of the same class and timezone; FODT0001 if its year is too large."""
    if abs(year) > LAST_YEAR:
        raise failure("FODT0001", f"the year {year} is too large")
    kept = year if year > 0 else year - 1
    if isinstance(value, Date):
        return type(value)(kept, month, day, tzinfo=value.tzinfo)
    hours, rest = divmod(seconds, 3600)
    return type(value)(kept, month, day, hours, rest // 60, rest % 60, micros, tzinfo=value.tzinfo)


def add_months(value: Any, months: int) -> Any:
    """Add months to a date; a day that the month lacks becomes its last."""
    moment = value._dt
    year, month = divmod(astronomical_year(value) * 12 + moment.month - 1 + months, 12)
    month += 1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 29 if month == 2 and leap else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return date_like(value, year, month, min(moment.day, length), seconds, moment.microsecond)


def add_seconds(value: Any, seconds: Decimal) -> Any:
    """Add seconds to a date, or to a date and time."""
    moment = value._dt
    days = days_from_civil(astronomical_year(value), moment.month, moment.day)
    clock = moment.hour * 3600 + moment.minute * 60 + moment.second
    total = (days * 86400 + clock) * 1_000_000 + moment.microsecond + int(seconds * 1_000_000)
    days, micros = divmod(total, 86_400_000_000)
    year, month, day = civil_from_days(days)
    return date_like(value, year, month, day, micros // 1_000_000, micros % 1_000_000)


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01, the inverse of ``days_from_civil``."""
    era, of_era = divmod(days + 719468, 146097)
    of_cycle = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * of_cycle + of_cycle // 4 - of_cycle // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return of_cycle + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


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


NATIVE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "div": float_divide,
    "mod": float_modulo,
}
"""Binary operators on two doubles; of them +, - and * are the same on integers."""

OPERATIONS: dict[str, Callable[[Any, Any, Meter, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "div": divide,
    "idiv": integer_divide,
    "mod": modulo,
}
"""Binary operators by symbol: (left, right, meter, implicit timezone)."""
