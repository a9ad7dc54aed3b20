"""Values of simple types: their lexical form in XML, and what they are in Python and in JSON.

The tables follow the rules of the TrueNAS dialect (section 11): driven by the type of the schema, never by
guessing from the text. Reading trusts that the text is valid; writing leaves the last word to the schema.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from clacks.common.schema_model import SimpleType

__all__ = ["json_value", "lexical", "python_value", "text_of_json"]

_EXACT = 2**53 - 1
"""Integers beyond this are text in JSON: readers with IEEE doubles would round them."""

_DATE_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPECIAL = {"INF": math.inf, "+INF": math.inf, "-INF": -math.inf, "NaN": math.nan}


# From XML


def python_value(text: str, of_type: SimpleType) -> Any:
    """Return a valid text as a Python value; text where Python has no type that holds the value."""
    if not of_type.keeps_space and of_type.builtin != "normalizedString":
        text = " ".join(text.split())
    match of_type.shape:
        case "boolean":
            return text in ("true", "1")
        case "integer":
            return _integer(text)
        case "decimal":
            return Decimal(text)
        case "float":
            return _float(text)
        case "dateTime":
            return _datetime(text) or text
        case "date":
            return _date(text) or text
        case "time":
            return _time(text) or text
        case "binary":
            return base64.b64decode(text) if of_type.builtin == "base64Binary" else bytes.fromhex(text)
        case "list":
            assert of_type.item is not None
            return [python_value(item, of_type.item) for item in text.split()]
    return text


def json_value(text: str, of_type: SimpleType) -> Any:
    """Return a valid text as a JSON value."""
    if not of_type.keeps_space and of_type.builtin != "normalizedString":
        text = " ".join(text.split())
    match of_type.shape:
        case "boolean":
            return text in ("true", "1")
        case "integer":
            number = _integer(text)
            return number if isinstance(number, int) and abs(number) <= _EXACT else text
        case "float":
            value = _float(text)
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
        case "dateTime":
            moment = _datetime(text)
            if moment is not None and moment.tzinfo is not None and moment.microsecond % 1000 == 0:
                return {"$date": (moment - _EPOCH) // timedelta(milliseconds=1)}
        case "date":
            day = _date(text)
            if day is not None:
                return {"$type": "date", "$value": day.isoformat()}
        case "time":
            if _time(text) is not None:
                return {"$time": text}
        case "list":
            assert of_type.item is not None
            return [json_value(item, of_type.item) for item in text.split()]
    return text


def _integer(text: str) -> int | str:
    # Python refuses to convert more digits than this for the time it takes (sys.set_int_max_str_digits).
    return int(text) if len(text) <= 4000 else text


def _float(text: str) -> float:
    special = _SPECIAL.get(text)
    return float(text) if special is None else special


def _datetime(text: str) -> datetime | None:
    """Return a moment that Python can hold exactly, or None."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > 6:
        return None
    midnight = hour == "24"  # the end of a day is the beginning of the next
    try:
        moment = datetime(
            int(year), int(month), int(day), 0 if midnight else int(hour), int(minute), int(second),
            int(fraction.ljust(6, "0")), _zone(zone),
        )  # fmt: skip
        moment = moment + timedelta(days=1) if midnight else moment
        if moment.tzinfo is not None:
            moment.astimezone(UTC)  # near the ends of the calendar the zone may lead out of it
    except (ValueError, OverflowError):
        return None
    return moment


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def _time(text: str) -> time | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(int(hour), int(minute), int(second), int((fraction or "").ljust(6, "0")))
    except ValueError:  # 24:00:00
        return None


# To XML


def lexical(value: Any, of_type: SimpleType | None = None) -> str:
    """Return a Python value in the lexical form of XML Schema.

    Without a type the class of the value decides. Text is taken as it is: the schema judges it later.

    Raises:
        ValueError: If there is no such form; the text says why.
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        item = of_type.item if of_type is not None else None
        return " ".join(_list_item(lexical(each, item)) for each in value)
    if isinstance(value, (bytes, bytearray)):
        if of_type is not None and of_type.builtin == "hexBinary":
            return value.hex().upper()
        if of_type is not None and of_type.shape == "binary":
            return base64.b64encode(value).decode("ascii")
        raise ValueError("bytes are not text: decode them first")
    for known, form in _FORMS:
        if isinstance(value, known):
            if of_type is not None and of_type.shape == "integer" and isinstance(value, (float, Decimal)):
                if value != value // 1:  # also for NaN; infinity raises below
                    raise ValueError(f"not an integer: {value}")
                return str(int(value))
            return form(value)
    raise ValueError(f"{type(value).__name__} has no form in XML")


def _list_item(text: str) -> str:
    if not text or any(c in " \t\r\n" for c in text):
        raise ValueError(f"{text!r} cannot be an item of a list: items are separated by white space")
    return text


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no decimal")
    if abs(value.adjusted()) > 4000:
        raise ValueError("a decimal of more than 4000 digits")
    return format(value, "f")


def _datetime_text(value: datetime) -> str:
    offset = value.utcoffset()
    if offset is not None and offset.total_seconds() % 60:
        value = value.astimezone(UTC)  # zones of old have seconds; XML Schema has only minutes
    return _short(value.isoformat())


def _short(text: str) -> str:
    """Write zone and fraction of Python's ISO form as XML Schema's canonical form has them."""
    text = text[:-6] + "Z" if text.endswith("+00:00") else text
    return re.sub(r"(\.\d+?)0+(?=\D|$)", r"\1", text)


def _time_text(value: time) -> str:
    return _short(value.isoformat())


def _duration_text(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    seconds = Decimal(value.seconds) + Decimal(value.microseconds) / 1_000_000
    return f"{sign}P{value.days}DT{format(seconds, 'f')}S"


_FORMS: tuple[tuple[type[Any], Callable[[Any], str]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (Enum, lambda value: lexical(value.value)),
    (int, str),
    (float, _float_text),
    (Decimal, _decimal_text),
    (datetime, _datetime_text),  # before date, which it is a subclass of
    (date, date.isoformat),
    (time, _time_text),
    (timedelta, _duration_text),
    (UUID, str),
)


def text_of_json(value: Any, of_type: SimpleType) -> str:
    """Return a JSON value in the lexical form of its type; text is accepted for every type.

    Raises:
        ValueError: If the value is not of that type; the text says what was found and expected.
    """
    shape = of_type.shape
    if isinstance(value, str):
        return value
    if shape == "list" and isinstance(value, list):
        assert of_type.item is not None
        item = of_type.item
        return " ".join(_list_item(text_of_json(each, item)) for each in value)
    if isinstance(value, bool):
        if shape == "boolean":
            return "true" if value else "false"
    elif isinstance(value, (int, float)):
        if shape in ("float", "decimal", "integer"):
            return _number_of_json(value, shape)
    elif isinstance(value, dict):
        text = _marked(value, shape)
        if text is not None:
            return text
    raise ValueError(f"not {_EXPECTED[shape]}: {_json_kind(value)}")


def _number_of_json(value: float, shape: str) -> str:
    if shape == "float":
        return lexical(float(value)) if isinstance(value, float) else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not {_EXPECTED[shape]}: {lexical(value)}")
    if shape == "integer":
        if value != int(value):
            raise ValueError(f"not an integer: {value}")
        return str(int(value))
    try:
        return _decimal_text(Decimal(repr(value)))
    except InvalidOperation:  # pragma: no cover - repr of a finite number is a decimal
        raise ValueError(f"not a decimal: {value}") from None


def _marked(value: dict[str, Any], shape: str) -> str | None:
    """Return the text of an object with EJSON's marks, or None if it is none for this shape."""
    match shape, value:
        case "dateTime", {"$date": int() as ms, **rest} if not rest and not isinstance(ms, bool):
            try:
                return lexical(_EPOCH + timedelta(milliseconds=ms))
            except OverflowError:
                raise ValueError(f"not a dateTime: {ms} ms are out of the years 1 to 9999") from None
        case "date", {"$type": "date", "$value": str() as day, **rest} if not rest:
            return day
        case "time", {"$time": str() as clock, **rest} if not rest:
            return clock
    return None


_EXPECTED = {
    "boolean": "a boolean",
    "integer": "an integer",
    "decimal": "a decimal",
    "float": "a number",
    "dateTime": "a dateTime",
    "date": "a date",
    "time": "a time",
    "binary": "a text",
    "list": "an array",
    "text": "a text",
}


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return str(value) if isinstance(value, (int, float)) else type(value).__name__
