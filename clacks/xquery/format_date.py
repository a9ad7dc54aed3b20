"""Dates and times as text (F&O 3.1, 9.8): fn:format-dateTime, -date and -time.

English only: for another language the output is English and says so, ``[Language: en]``. The Gregorian
calendar
only: ISO and AD are the same; for others the output says ``[Calendar: AD]``.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass
from typing import Any

from clacks.xquery.budget import small_cache
from clacks.xquery.compare import civil_from_days, days_from_civil
from clacks.xquery.errors import failure
from clacks.xquery.format_integer import format_integer, ordinal_suffix, read_digit_picture, script_zero

__all__ = ["Moment", "check_calendar", "format_moment", "widths"]

MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
]  # fmt: skip
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
SHORT_DAYS = {
    "Monday": ("Mon",), "Tuesday": ("Tues", "Tue"), "Wednesday": ("Wed",),
    "Thursday": ("Thurs", "Thur", "Thu"), "Friday": ("Fri",), "Saturday": ("Sat",), "Sunday": ("Sun",),
}  # fmt: skip
DATE_PARTS = frozenset("YMDdFWwCE")
TIME_PARTS = frozenset("HhPmsf")
DEFAULTS = {
    "Y": "1", "M": "1", "D": "1", "d": "1", "F": "n", "W": "1", "w": "1", "H": "1", "h": "1", "P": "n",
    "m": "01", "s": "01", "f": "1", "Z": "01:01", "z": "01:01", "C": "n", "E": "n",
}  # fmt: skip
CALENDARS = frozenset({"AD", "ISO"})
KNOWN_CALENDARS = frozenset(
    re.findall(
        "[A-Z]+", "AD AH AME AM AP AS BE CB CE CL CS EE FE ISO JE KE KY ME MS NS OS RS SE SH SS TE VE VS"
    )
)
MILITARY = "YXWVUTSRQPONZABCDEFGHIKLM"
"""Letters of whole-hour timezones from -12 to +12."""

ZONE_NAMES = {
    0: "GMT", 60: "CET", 120: "EET", 330: "IST", 540: "JST", -300: "EST", -360: "CST", -420: "MST",
    -480: "PST", -540: "AKST", -600: "HST",
}  # fmt: skip
"""Names of timezones where the place does not tell."""

LONGEST_YEAR = 12
"""Digits that no year has: a picture's greater width cuts nothing."""

COUNTRY_ZONES = {
    "us": (
        "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage",
        "Pacific/Honolulu",
    ),
    "gb": ("Europe/London",), "uk": ("Europe/London",), "ie": ("Europe/Dublin",), "in": ("Asia/Kolkata",),
    "de": ("Europe/Berlin",), "fr": ("Europe/Paris",), "it": ("Europe/Rome",), "jp": ("Asia/Tokyo",),
    "ca": ("America/Toronto", "America/Winnipeg", "America/Edmonton", "America/Vancouver", "America/Halifax"),
    "au": ("Australia/Sydney", "Australia/Adelaide", "Australia/Perth"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """The parts of a date or time; a part that the value lacks is None. Offset in minutes."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    microsecond: int = 0
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Marker:
    """One component of a picture."""

    component: str
    presentation: str
    modifier: str
    least: int
    most: int | None
    text: str
    widths: bool


def wrong(picture: str, reason: str) -> Exception:
    """Make the error for a picture."""
    return failure("FOFD1340", f"picture {picture[:60]!r}: {reason}")


def widths(picture: str) -> int:
    """Return how many characters the components of a picture fill at least; FOFD1340 if it is wrong."""
    return sum(part.least for part in read_picture(picture) if isinstance(part, Marker))


@small_cache
def read_picture(picture: str) -> tuple[str | Marker, ...]:
    """Read a picture; FOFD1340 if it is wrong."""
    parts: list[str | Marker] = []
    at, size = 0, len(picture)
    literal: list[str] = []
    while at < size:
        char = picture[at]
        if char in "[]" and picture[at + 1 : at + 2] == char:
            literal.append(char)
            at += 2
        elif char == "]":
            raise wrong(picture, "']' must be doubled")
        elif char != "[":
            literal.append(char)
            at += 1
        else:
            end = picture.find("]", at)
            if end < 0:
                raise wrong(picture, "'[' without ']'")
            if literal:
                parts.append("".join(literal))
                literal = []
            parts.append(read_marker("".join(picture[at + 1 : end].split()), picture))
            at = end + 1
    if literal:
        parts.append("".join(literal))
    return tuple(parts)


def read_marker(text: str, picture: str) -> Marker:
    """Read what is between brackets."""
    comma = text.rfind(",")
    width_text = ""
    if comma >= 0:
        text, width_text = text[:comma], text[comma + 1 :]
    if not text or text[0] not in DEFAULTS:
        raise wrong(picture, f"no component {text[:1]!r}")
    component, rest = text[0], text[1:]
    least, most = 0, None
    if comma >= 0:
        match = re.fullmatch(r"(\*|[0-9]{1,6})(?:-(\*|[0-9]{1,6}))?", width_text)
        if match is None:
            raise wrong(picture, f"no width {width_text!r}")
        least = 0 if match[1] == "*" else int(match[1])
        most = None if match[2] in (None, "*") else int(match[2])
        if (match[1] != "*" and least < 1) or (most is not None and (most < 1 or most < least)):
            raise wrong(picture, f"no width {width_text!r}")
    modifier = ""
    # One letter alone is a presentation; behind something else it is a modifier.
    if len(rest) > 1 and rest[-1] in "atco":
        rest, modifier = rest[:-1], rest[-1]
    presentation = rest or DEFAULTS[component]
    check_presentation(component, presentation, picture)
    return Marker(component, presentation, modifier, least, most, picture, comma >= 0)


def check_presentation(component: str, presentation: str, picture: str) -> None:
    """Check the first modifier of a component."""
    if presentation in ("N", "n", "Nn", "a", "A", "i", "I", "w", "W", "Ww") or component in "zZ":
        return
    digits = [c for c in presentation if script_zero(c) is not None]
    if not digits and "#" in presentation:
        raise wrong(picture, f"{presentation!r} has no digit")
    if digits:
        if len({script_zero(c) for c in digits}) > 1:
            raise wrong(picture, f"{presentation!r} mixes scripts")
        bare = "".join("#" if c == "#" else "0" for c in presentation if c == "#" or c in digits)
        if component == "f":
            bare = bare[::-1]
        if "#" in bare.lstrip("#"):
            raise wrong(picture, f"{presentation!r} has '#' among its digits")


def check_calendar(calendar: str | None, namespaces: Any) -> str | None:
    """Return what to write in front if the calendar is not ours; FOFD1340 if it is no calendar at all."""
    if calendar is None:
        return None
    name = calendar.strip()
    if name.startswith("Q{"):
        uri, _, local = name[2:].partition("}")
    else:
        prefix, colon, local = name.rpartition(":")
        uri = ""
        if colon:
            if prefix not in namespaces:
                raise failure("FOFD1340", f"the prefix of calendar {calendar!r} is not declared")
            uri = namespaces[prefix]
    from clacks.xquery.functions_names import is_ncname

    if not is_ncname(local):
        raise failure("FOFD1340", f"{calendar!r} is no name of a calendar")
    if uri:
        return "[Calendar: AD]"
    if local not in KNOWN_CALENDARS:
        raise failure("FOFD1340", f"there is no calendar {calendar!r}")
    return None if local in CALENDARS else "[Calendar: AD]"


def format_moment(
    moment: Moment, picture: str, language: str | None, calendar: str | None, place: str | None
) -> str:
    """Write a date or time.

    Args:
        moment: The parts of the value.
        picture: The picture string.
        language: Requested language, or None.
        calendar: What ``check_calendar`` returned.
        place: A country, whose names of timezones are used, or a timezone of the Olson database, into which
            the value is moved; None or unknown for neither.

    Raises:
        QueryEvaluationError: FOFD1340 for a wrong picture, FOFD1350 for a part that the value lacks.
    """
    moment, zones = placed(moment, place)
    out = []
    for part in read_picture(picture):
        out.append(part if isinstance(part, str) else write_part(part, moment, zones))
    text = "".join(out)
    if calendar is not None:
        text = calendar + text
    if language is not None and language.replace("_", "-").split("-")[0].lower() not in ("en", ""):
        text = "[Language: en]" + text
    return text


def zone(name: str) -> zoneinfo.ZoneInfo | None:
    """Return a timezone of the Olson database, None if it is not there."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def placed(moment: Moment, place: str | None) -> tuple[Moment, tuple[str, ...]]:
    """Move a value to the timezone that ``place`` names; return it and the timezones whose names count."""
    if place is None or moment.offset is None:
        return moment, ()
    if "/" not in place:
        return moment, COUNTRY_ZONES.get(place.strip().lower()[:2], ())
    target = zone(place.strip())
    start = as_datetime(moment)
    if target is None or start is None:
        return moment, ()
    local = start.astimezone(target)
    offset = (local.utcoffset() or datetime.timedelta(0)) // datetime.timedelta(minutes=1)
    if moment.hour is None:
        return moment, (place.strip(),)
    clock = local.hour, local.minute, local.second, moment.microsecond, offset
    if moment.year is None:
        return Moment(None, None, None, *clock), (place.strip(),)
    return Moment(local.year, local.month, local.day, *clock), (place.strip(),)


def as_datetime(moment: Moment) -> datetime.datetime | None:
    """Return a moment as Python has it; None for years that Python lacks. A time alone is one of winter."""
    assert moment.offset is not None
    year = 2000 if moment.year is None else moment.year
    day = year, moment.month or 1, moment.day or 1
    clock = moment.hour or 0, moment.minute or 0, moment.second or 0
    try:
        return datetime.datetime(
            *day, *clock, tzinfo=datetime.timezone(datetime.timedelta(minutes=moment.offset))
        )
    except ValueError:
        return None


def zone_name(moment: Moment, zones: tuple[str, ...]) -> str | None:
    """Return the name of a value's timezone, None if it has none that is known."""
    start = as_datetime(moment) if zones else None
    if start is not None:
        for name in zones:
            target = zone(name)
            if target is not None and target.utcoffset(start.replace(tzinfo=None)) == start.utcoffset():
                found = target.tzname(start.replace(tzinfo=None))
                if found and found.isalpha():
                    return found
    return None if moment.offset is None else ZONE_NAMES.get(moment.offset)


def write_part(marker: Marker, moment: Moment, zones: tuple[str, ...]) -> str:
    """Write one component."""
    part = marker.component
    if (part in DATE_PARTS and moment.year is None) or (part in TIME_PARTS and moment.hour is None):
        raise failure("FOFD1350", f"the value has no component {part}")
    if part == "Z" or part == "z":
        return write_zone(marker, moment, zones)
    if part == "f":
        return write_fraction(marker, moment.microsecond)
    if part in "PCE":
        return write_name(marker, name_part(part, moment))
    number = number_part(part, moment)
    if marker.presentation in ("N", "n", "Nn"):
        if part == "M":
            return write_name(marker, MONTHS[number - 1])
        if part == "F":
            return write_name(marker, DAYS[number - 1])
        marker = Marker(part, "1", marker.modifier, marker.least, marker.most, "", marker.widths)
    return write_number(marker, number)


def name_part(part: str, moment: Moment) -> str:
    """Return a component that is always a name."""
    if part == "P":
        assert moment.hour is not None
        return "am" if moment.hour < 12 else "pm"
    assert moment.year is not None
    if part == "E":
        return "AD" if moment.year > 0 else "BC"
    return "AD"


def number_part(part: str, moment: Moment) -> int:
    """Return a component that is a number."""
    if part in "Hhms":
        hour = moment.hour or 0
        value = {"H": hour, "h": hour % 12 or 12, "m": moment.minute, "s": moment.second}[part]
        return value or 0
    year, month, day = moment.year or 0, moment.month or 1, moment.day or 1
    days = days_from_civil(year, month, day)
    weekday = (days + 3) % 7 + 1
    if part == "Y":
        return abs(year)
    if part == "M":
        return month
    if part == "D":
        return day
    if part == "d":
        return days - days_from_civil(year, 1, 1) + 1
    if part == "F":
        return weekday
    if part == "W":
        return week_of(days, weekday, year)
    # Week in the month: weeks begin on Monday, and the first is the one with the month's first Thursday. Days
    # before it count with the month before; days at the end go on counting.
    first = days_from_civil(year, month, 1)
    monday = first - (first + 3) % 7
    if monday + 3 < first:
        monday += 7
    if days < monday:
        thursday = civil_from_days(days - weekday + 4)
        return (thursday[2] - 1) // 7 + 1
    return (days - monday) // 7 + 1


def week_of(days: int, weekday: int, year: int) -> int:
    """Return the week of the year by ISO 8601."""
    thursday = days - weekday + 4
    for candidate in (year + 1, year, year - 1):
        start = days_from_civil(candidate, 1, 1)
        if thursday >= start:
            return (thursday - start) // 7 + 1
    return 1


def write_name(marker: Marker, name: str) -> str:
    """Write a name in the wanted case, shortened to the greatest width."""
    if marker.presentation == "N":
        text = name.upper()
    elif marker.presentation == "Nn":
        text = name.capitalize()
    elif marker.presentation == "n" and marker.component in "MFP":
        text = name.lower()
    elif marker.presentation == "n":
        text = name.lower() if marker.widths or marker.component == "P" else name
    else:
        text = name
    if marker.most is not None and len(text) > marker.most:
        most = marker.most
        # A conventional abbreviation where there is one that fits.
        shorter = [a for a in SHORT_DAYS.get(name, ()) if len(a) <= most]
        text = text[: len(shorter[0])] if shorter else text[:most]
    return text.ljust(marker.least)


def write_number(marker: Marker, number: int) -> str:
    """Write a number in the wanted form and width."""
    presentation, ordinal = marker.presentation, marker.modifier == "o"
    least, most = marker.least, marker.most
    digit_count = sum(script_zero(c) is not None for c in presentation)
    if not digit_count:
        if marker.component == "Y" and most is not None and most < LONGEST_YEAR:
            number %= 10**most
        return format_integer(number, presentation + (";o" if ordinal else "")).ljust(least)
    if not marker.widths and digit_count + presentation.count("#") > 1:
        # The picture itself sets the width.
        least = digit_count
        most = digit_count + presentation.count("#")
    if marker.component == "Y":
        wide = digit_count + presentation.count("#")
        if most is None and wide > 1:
            most = wide
        if most is not None and most < LONGEST_YEAR:
            number %= 10**most
    picture = read_digit_picture(presentation)
    text = picture.apply(str(number).rjust(max(least, 1), "0"))
    return text + (ordinal_suffix(number) if ordinal else "")


def write_fraction(marker: Marker, micros: int) -> str:
    """Write the fraction of a second: digits from the left, cut or rounded to the greatest width."""
    presentation = marker.presentation
    digits = f"{micros:06d}"
    if presentation in ("N", "n", "Nn", "a", "A", "i", "I", "w", "W", "Ww"):
        return format_integer(
            int(digits.rstrip("0") or "0"), "1" if presentation[0] in "Nn" else presentation
        )
    wanted = sum(script_zero(c) is not None for c in presentation)
    optional = presentation.count("#")
    least, most = max(marker.least, 1), marker.most
    if wanted + optional > 1 and not (marker.widths and wanted + optional == 1):
        if not marker.widths:
            least, most = wanted, wanted + optional
        else:
            least = max(least, wanted)
            most = None if most is None else max(most, wanted)
    elif not marker.widths:
        least, most = 1, None
    if most is not None and most < 6:
        digits = digits[:most]
    digits = digits.rstrip("0").ljust(least, "0")
    zero = next((script_zero(c) for c in presentation if script_zero(c) is not None), 0x30)
    pieces = []
    separators = [c for c in presentation if c != "#" and script_zero(c) is None]
    if separators:
        at = 0
        for char in presentation:
            if char == "#" or script_zero(char) is not None:
                if at < len(digits):
                    pieces.append(digits[at])
                at += 1
            elif at < len(digits):
                pieces.append(char)
        pieces.append(digits[at:])
        digits = "".join(pieces)
    assert zero is not None
    return digits if zero == 0x30 else digits.translate({0x30 + n: zero + n for n in range(10)})


def write_zone(marker: Marker, moment: Moment, zones: tuple[str, ...]) -> str:
    """Write a timezone (9.8.4.6)."""
    presentation, offset = marker.presentation, moment.offset
    if presentation == "Z" and marker.component == "Z":
        if offset is None:
            return "J"
        if offset % 60 == 0 and -12 <= offset // 60 <= 12:
            return MILITARY[offset // 60 + 12]
        presentation = "01:01"
    if offset is None:
        return ""
    if presentation in ("N", "n", "Nn"):
        name = zone_name(moment, zones)
        if name is not None:
            return (
                name.lower() if presentation == "n" else name.capitalize() if presentation == "Nn" else name
            )
        presentation = "01:01"
    if presentation.endswith("t") or marker.modifier == "t":
        presentation = presentation.removesuffix("t")
        if offset == 0 and marker.component == "Z":
            return "Z"
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    digits = [c for c in presentation if script_zero(c) is not None]
    zero = script_zero(digits[0]) if digits else 0x30
    separator = next((c for c in presentation if script_zero(c) is None and c != "#"), "")
    if not digits:
        text = f"{hours:02d}:{minutes:02d}"
    elif separator:
        before = presentation.index(separator)
        text = f"{hours:0{max(before, 1)}d}{separator}{minutes:02d}"
    elif len(digits) <= 2:
        width = len(digits)
        if marker.widths and marker.least > 2:
            text = f"{hours:0{width}d}:{minutes:02d}"
        else:
            text = f"{hours:0{width}d}" + (f":{minutes:02d}" if minutes else "")
    else:
        text = f"{hours:0{len(digits) - 2}d}{minutes:02d}"
    assert zero is not None
    if zero != 0x30:
        text = text.translate({0x30 + n: zero + n for n in range(10)})
    return ("GMT" if marker.component == "z" else "") + sign + text
