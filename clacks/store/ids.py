"""Log ids: where an event stands in the log, as ``ms-n``.

``ms`` is the time of recording in milliseconds since 1970, ``n`` tells apart what came within one of them.
With SQLite ``n`` is ``counter x 1024 + recorder number``; Redis counts by itself. Ids only ever grow: if the
clock goes back, or more comes within a millisecond than fits, the millisecond is the last one used, or one
more.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from clacks.common.errors import StoreError

__all__ = ["RECORDERS", "IdClock", "LogId"]

RECORDERS: Final = 1024
"""Recorder numbers of one domain: 0 to 1023."""

_COUNTERS: Final = 2048
# 42 bits of milliseconds (until 2109), 11 of counter, 10 of recorder: 63, a positive integer of SQLite.
_MS_SHIFT: Final = 21
_LARGEST: Final = (1 << 64) - 1  # of Redis, for each of the two parts
_PACKED: Final = (1 << 63) - 1
_TEXT: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


class LogId(NamedTuple):
    """A place in the log. Ids compare as they were given: the earlier is the smaller.

    Example:
        >>> LogId.parse("1790000000000-2048") > LogId(1790000000000, 1024)
        True
        >>> str(LogId(5, 1024))
        '5-1024'
    """

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> LogId:
        """Read ``ms-n``.

        Raises:
            ValueError: If it is no log id.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"not a log id: {text[:50]!r}")
        made = cls(int(found[1]), int(found[2]))
        if max(made) > _LARGEST:
            raise ValueError(f"not a log id: {text!r}")
        return made

    def packed(self) -> int:
        """Return the id as one integer of 63 bits that sorts as the id does; the largest if it fits none."""
        if self.n >= 1 << _MS_SHIFT:
            return min(((self.ms + 1) << _MS_SHIFT) - 1, _PACKED)
        return min((self.ms << _MS_SHIFT) | self.n, _PACKED)

    @classmethod
    def unpacked(cls, number: int) -> LogId:
        """Return the id that `packed` made this integer of."""
        return cls(number >> _MS_SHIFT, number & ((1 << _MS_SHIFT) - 1))


class IdClock:
    """Gives ids that never repeat and only grow.

    Args:
        recorder: Number of this recorder, 0 to 1023.
        last: The last id given before, whatever the clock says: whoever keeps the log keeps it with it.
    """

    def __init__(self, recorder: int = 0, last: LogId | None = None) -> None:
        if not 0 <= recorder < RECORDERS:
            raise StoreError(f"a recorder number is 0 to {RECORDERS - 1}, not {recorder}")
        self._recorder = recorder
        self._ms = -1 if last is None else last.ms
        self._counter = -1 if last is None else last.n // RECORDERS

    def next(self, ms: int) -> LogId:
        """Return an id that is larger than all before; ``ms`` is the time now."""
        if ms > self._ms:
            self._ms, self._counter = ms, 0
        elif self._counter + 1 < _COUNTERS:
            self._counter += 1
        else:
            self._ms, self._counter = self._ms + 1, 0
        return LogId(self._ms, self._counter * RECORDERS + self._recorder)
