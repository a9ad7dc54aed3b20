"""What people write for a moment or a place in the log: ``-1h``, an ISO time, milliseconds, a log id."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from clacks.store.ids import LogId

__all__ = ["Moment", "moment"]

Moment = LogId | int
"""A place in the log, or milliseconds since 1970."""

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_AGO: Final = re.compile(r"-([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d|w|)", re.ASCII)
_MOST: Final = 10**14  # the year 5138: what is larger was meant otherwise


def moment(value: str | int | float, now: int) -> Moment:
    """Return the moment or place that somebody means.

    Args:
        value: ``-1h`` (units ms, s, m, h, d, w; without one seconds) or a negative number of seconds: so long
            before now. An ISO 8601 time; without a zone it is UTC. A log id ``ms-n``. A positive number:
            milliseconds since 1970.
        now: Milliseconds since 1970.

    Raises:
        ValueError: If it means nothing.

    Example:
        >>> moment("-1.5m", 1_000_000)
        910000
        >>> moment("2026-01-01T00:00:00Z", 0)
        1767225600000
        >>> moment("1767225600000-1024", 0)
        LogId(ms=1767225600000, n=1024)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not -_MOST < value < _MOST:
            raise ValueError(f"no moment: {value!r}")
        return round(value) if value >= 0 else max(0, now + round(value * 1000))
    if not isinstance(value, str):
        raise ValueError(f"no moment: {value!r}")
    text = value.strip()
    if found := _AGO.fullmatch(text):
        return max(0, now - round(float(found[1]) * _UNITS[found[2]] * 1000))
    if re.fullmatch(r"[0-9]+-[0-9]+", text, re.ASCII):
        try:
            return LogId.parse(text)
        except ValueError:
            pass  # 2026-01 might be a month; it is no log id of this century either
    if text.isascii() and text.isdigit() and len(text) != 8:
        return moment(int(text), now)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"no moment: {text[:50]!r}; expected: a time such as 2026-01-31T12:00:00Z, "
            "a time ago such as -1h, or a log id"
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0, round(at.timestamp() * 1000))
