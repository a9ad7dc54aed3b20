"""Functions on durations, dates and times (F&O 3.1, 8.3, 9)."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

from elementpath.datatypes import Date, DateTime, DayTimeDuration, Time, Timezone

from clacks.xquery.compare import civil_from_days, days_from_civil, instant
from clacks.xquery.context import Context
from clacks.xquery.errors import failure
from clacks.xquery.format_date import Moment, check_calendar, format_moment, widths
from clacks.xquery.library import function

__all__ = ["moment_of"]

DAY = 86_400_000_000
"""Microseconds of a day."""

FURTHEST = 2**31
"""Years from 1 AD that a date may lie; beyond it FODT0001."""


def make(kind: type[Any], local: int, zone: Any) -> Any:
    """Make a value of ``kind`` from local microseconds since 1970 and a timezone."""
    days, micros = divmod(local, DAY)
    seconds, micro = divmod(micros, 1_000_000)
    hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
    if kind is Time:
        return Time(hour, minute, second, micro, zone)
    year, month, day = civil_from_days(days)
    if abs(year) > FURTHEST:
        raise failure("FODT0001", "a date too far away")
    if year <= 0:
        year -= 1  # elementpath has no year 0
    if kind is Date:
        return Date(year, month, day, zone)
    return DateTime(year, month, day, hour, minute, second, micro, zone)


def offset_of(value: Any) -> datetime.timedelta | None:
    """Return the timezone of a value as a time difference."""
    zone = value.tzinfo
    return None if zone is None else zone.utcoffset(None)


def year_of(value: Any) -> int:
    """Return the year; 0 is 1 BC."""
    year = int(value.year)
    return year + 1 if year < 0 else year


def seconds_of(value: Any) -> Decimal:
    """Return seconds with their fraction."""
    return Decimal(value.second) + Decimal(value.microsecond).scaleb(-6)


def zone_duration(value: Any) -> DayTimeDuration | None:
    """Return the timezone of a value."""
    offset = offset_of(value)
    return None if offset is None else DayTimeDuration(int(offset.total_seconds()))


COMPONENTS = {
    "year": (year_of, "xs:integer"),
    "month": (lambda value: int(value.month), "xs:integer"),
    "day": (lambda value: int(value.day), "xs:integer"),
    "hours": (lambda value: int(value.hour), "xs:integer"),
    "minutes": (lambda value: int(value.minute), "xs:integer"),
    "seconds": (seconds_of, "xs:decimal"),
    "timezone": (zone_duration, "xs:dayTimeDuration"),
}


def register_components() -> None:
    """Register year-from-dateTime and its kin."""
    for kind, names in {
        "dateTime": ("year", "month", "day", "hours", "minutes", "seconds", "timezone"),
        "date": ("year", "month", "day", "timezone"),
        "time": ("hours", "minutes", "seconds", "timezone"),
    }.items():
        for name in names:
            get, result = COMPONENTS[name]

            def call(ctx: Context, value: Any, get: Any = get) -> Any:
                return None if value is None else get(value)

            function(f"fn:{name}-from-{kind}($arg as xs:{kind}?) as {result}?")(call)


def duration_part(name: str, result: str, get: Any) -> None:
    """Register days-from-duration and its kin."""

    def call(ctx: Context, value: Any) -> Any:
        return None if value is None else get(value)

    function(f"fn:{name}-from-duration($arg as xs:duration?) as {result}?")(call)


def toward_zero(value: Any, unit: int, within: int | None = None) -> int:
    """Divide and cut, keeping the sign; with ``within``, return the rest in the larger unit."""
    whole = int(abs(value) // unit)
    if within is not None:
        whole %= within
    return -whole if value < 0 else whole


register_components()
duration_part("years", "xs:integer", lambda d: toward_zero(d.months, 12))
duration_part("months", "xs:integer", lambda d: toward_zero(d.months, 1, 12))
duration_part("days", "xs:integer", lambda d: toward_zero(d.seconds, 86400))
duration_part("hours", "xs:integer", lambda d: toward_zero(d.seconds, 3600, 24))
duration_part("minutes", "xs:integer", lambda d: toward_zero(d.seconds, 60, 60))
duration_part(
    "seconds",
    "xs:decimal",
    lambda d: (abs(Decimal(d.seconds)) % 60).copy_sign(Decimal(d.seconds)) if d.seconds else Decimal(0),
)


@function("fn:dateTime($arg1 as xs:date?, $arg2 as xs:time?) as xs:dateTime?")
def combine(ctx: Context, date: Any, time: Any) -> Any:
    if date is None or time is None:
        return None
    zones = {zone for zone in (offset_of(date), offset_of(time)) if zone is not None}
    if len(zones) > 1:
        raise failure("FORG0008", "date and time have different timezones")
    zone = date.tzinfo if date.tzinfo is not None else time.tzinfo
    return DateTime(
        date.year, date.month, date.day, time.hour, time.minute, time.second, time.microsecond, zone
    )


def adjusted(value: Any, kind: type[Any], zone: DayTimeDuration | None) -> Any:
    """Put a value into another timezone, or none (9.6)."""
    target = None
    if zone is not None:
        seconds = Decimal(zone.seconds)
        if seconds % 60 or abs(seconds) > 14 * 3600:
            raise failure("FODT0003", f"{zone} is no timezone")
        target = Timezone(datetime.timedelta(seconds=int(seconds)))
    have = offset_of(value)
    local = instant(value, None)
    if have is not None:
        shift = have // datetime.timedelta(microseconds=1)
        if target is None:
            local += shift
        else:
            local += target.offset // datetime.timedelta(microseconds=1)
        if kind is Date:
            local -= local % DAY
    return make(kind, local, target)


def register_adjust() -> None:
    """Register the functions that adjust a timezone."""
    for kind, name in ((DateTime, "dateTime"), (Date, "date"), (Time, "time")):

        def implicit(ctx: Context, value: Any, kind: Any = kind) -> Any:
            if value is None:
                return None
            offset = ctx.execution.timezone.offset
            return adjusted(value, kind, DayTimeDuration(int(offset.total_seconds())))

        def given(ctx: Context, value: Any, zone: Any, kind: Any = kind) -> Any:
            return None if value is None else adjusted(value, kind, zone)

        function(f"fn:adjust-{name}-to-timezone($arg as xs:{name}?) as xs:{name}?")(implicit)
        function(
            f"fn:adjust-{name}-to-timezone($arg as xs:{name}?, $timezone as xs:dayTimeDuration?)"
            f" as xs:{name}?"
        )(given)


register_adjust()


def now(ctx: Context) -> tuple[int, Timezone]:
    """Return the current time as local microseconds, and the implicit timezone."""
    moment = ctx.execution.now
    local = days_from_civil(moment.year, moment.month, moment.day) * 86400
    local += moment.hour * 3600 + moment.minute * 60 + moment.second
    return local * 1_000_000 + moment.microsecond, ctx.execution.timezone


@function("fn:current-dateTime() as xs:dateTimeStamp")
def current_datetime(ctx: Context) -> Any:
    from clacks.xquery.casts import cast_atomic

    local, zone = now(ctx)
    return cast_atomic(make(DateTime, local, zone), "dateTimeStamp")


@function("fn:current-date() as xs:date")
def current_date(ctx: Context) -> Any:
    local, zone = now(ctx)
    return make(Date, local, zone)


@function("fn:current-time() as xs:time")
def current_time(ctx: Context) -> Any:
    local, zone = now(ctx)
    return make(Time, local, zone)


@function("fn:implicit-timezone() as xs:dayTimeDuration")
def implicit_timezone(ctx: Context) -> DayTimeDuration:
    return DayTimeDuration(int(ctx.execution.timezone.offset.total_seconds()))


def moment_of(value: Any) -> Moment:
    """Take a date or time apart."""
    offset = offset_of(value)
    minutes = None if offset is None else int(offset.total_seconds()) // 60
    if isinstance(value, Time):
        return Moment(None, None, None, value.hour, value.minute, value.second, value.microsecond, minutes)
    year, month, day = year_of(value), value.month, value.day
    if isinstance(value, Date):
        return Moment(year, month, day, offset=minutes)
    return Moment(year, month, day, value.hour, value.minute, value.second, value.microsecond, minutes)


def register_format() -> None:
    """Register format-dateTime and its kin."""

    def call(
        ctx: Context,
        value: Any,
        picture: str,
        language: str | None = None,
        calendar: str | None = None,
        place: str | None = None,
    ) -> str | None:
        if value is None:
            return None
        # A width of six digits is a megabyte, and a picture may have many.
        ctx.execution.meter.text(len(picture) + widths(picture))
        mark = check_calendar(calendar, ctx.static.namespaces)
        return format_moment(moment_of(value), picture, language, mark, place)

    for name in ("dateTime", "date", "time"):
        function(
            f"fn:format-{name}($value as xs:{name}?, $picture as xs:string) as xs:string?",
            f"fn:format-{name}($value as xs:{name}?, $picture as xs:string, $language as xs:string?,"
            " $calendar as xs:string?, $place as xs:string?) as xs:string?",
        )(call)


register_format()

MONTH_NUMBERS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360,
    "pst": -480, "pdt": -420,
}  # fmt: skip

_S = r"[ \t\n\r]+"
_DAYNAME = r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tue|wed|thu|fri|sat|sun)"
_MONTH = "(?P<month>" + "|".join(MONTH_NUMBERS) + ")"
_DSEP = r"(?:[ \t\n\r]*-[ \t\n\r]*|[ \t\n\r]+)"
_ZONE = (
    r"(?:(?P<zone>" + "|".join(ZONES) + r")|(?P<offset>[+-][0-9]{1,2}(?::?[0-9]{2})?)"
    r"(?:[ \t\n\r]*\([ \t\n\r]*(?P<comment>" + "|".join(ZONES) + r")[ \t\n\r]*\))?)"
)
_TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    rf"(?:[ \t\n\r]*{_ZONE})?"
)
_YEAR = r"(?P<year>[0-9]{4}|[0-9]{2})"
IETF = [
    re.compile(rf"(?:{_DAYNAME},?{_S})?(?P<day>[0-9]{{1,2}}){_DSEP}{_MONTH}{_DSEP}{_YEAR}{_S}{_TIME}"),
    re.compile(rf"(?:{_DAYNAME},?{_S})?{_MONTH}{_DSEP}(?P<day>[0-9]{{1,2}}){_S}{_TIME}{_S}{_YEAR}"),
]
"""The two forms of 9.9.1: day first, or asctime."""


@function("fn:parse-ietf-date($value as xs:string?) as xs:dateTime?")
def parse_ietf_date(ctx: Context, text: str | None) -> Any:
    if text is None:
        return None
    ctx.execution.meter.step(1 + len(text) // 16)
    folded = text.strip(" \t\r\n").lower()
    match = next((m for m in (form.fullmatch(folded) for form in IETF) if m), None)
    if match is None:
        raise failure("FORG0010", f"no date of the Internet: {text[:60]!r}")
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 1900
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    micros = int(((match["fraction"] or "") + "000000")[:6])
    zone = ZONES.get(match["zone"] or "gmt", 0)
    if match["offset"]:
        digits = match["offset"][1:].replace(":", "")
        hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
        if minutes > 59 or hours > 14 or (hours == 14 and minutes):
            raise failure("FORG0010", f"no timezone: {match['offset']}")
        zone = (hours * 60 + minutes) * (-1 if match["offset"][0] == "-" else 1)
    try:
        if hour == 24 and (minute or second or micros):
            raise ValueError("24 hours and more")
        day = datetime.datetime(
            year, MONTH_NUMBERS[match["month"]], int(match["day"]), hour % 24, minute, second
        )
    except ValueError as error:
        raise failure("FORG0010", f"no date of the Internet: {text[:60]!r}: {error}") from None
    local = days_from_civil(day.year, day.month, day.day) + (hour == 24)
    seconds = local * 86400 + day.hour * 3600 + day.minute * 60 + day.second
    return make(DateTime, seconds * 1_000_000 + micros, Timezone(datetime.timedelta(minutes=zone)))
