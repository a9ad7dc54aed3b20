"""The log as one JSON object in each line, for what collects logs.

Lines of Clacks are a fixed text and values that follow it as ``key=%s``. The values become fields; what is
left is the message, the same for all lines of its kind, so that lines can be counted by it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["JsonLines", "fields_of"]

_PLACE: Final = re.compile(r"%%|(?:(?P<key>\b[A-Za-z_]\w*)=)?%(?:\([^)]*\))?[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")
_OWN: Final = frozenset(("time", "level", "logger", "message", "exception"))


def fields_of(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Return the fixed text of a line and its fields.

    >>> fields_of(logging.LogRecord("x", 20, "", 0, "event rejected kind=%s n=%d", ("A", 3), None))
    ('event rejected', {'kind': 'A', 'n': 3})
    """
    template, values = str(record.msg), record.args
    if not isinstance(values, tuple) or not values:
        return record.getMessage(), {}
    rest, kept, fields, position = [], [], {}, 0
    left = iter(values)
    for found in _PLACE.finditer(template):
        rest.append(template[position : found.start()])
        position = found.end()
        if found.group() == "%%":
            rest.append("%%")
            continue
        try:
            value = next(left)
        except StopIteration:
            raise TypeError("more places than values") from None
        key = found["key"]
        if key is None:
            rest.append(found.group())
            kept.append(value)
        else:
            fields[f"{key}_" if key in _OWN else key] = value
    if next(left, None) is not None:
        raise TypeError("more values than places")
    rest.append(template[position:])
    text = "".join(rest)
    if kept:
        text = text % tuple(kept)
    else:
        text = text.replace("%%", "%")
    return " ".join(text.split()), fields


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: time (UTC), level, logger, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        try:
            message, fields = fields_of(record)
        except (TypeError, ValueError):  # a template and values that do not fit: say what there is
            message, fields = str(record.msg), {"values": repr(record.args)}
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            **{key: _value(value) for key, value in fields.items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _value(value: Any) -> Any:
    """Return what JSON has for a value; what it has nothing for is text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor no number
        return value
    if isinstance(value, Mapping):
        return {str(key): _value(one) for key, one in value.items()}
    return str(value)
