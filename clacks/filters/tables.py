"""Tables from what a filter compares with to the filter: the searches behind the postings of a path.

The rule of this file: a search costs by what it finds, an entry goes in and out without a walk over its
neighbours. Searches put what they find into a set that the caller gives. Sets of values come in all at once,
because a loop in C over a hundred values costs less than one in Python over five.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Set
from operator import attrgetter
from typing import Final, Generic, TypeVar

from clacks.filters.entry import Entry
from clacks.filters.glance import HEAD

__all__ = ["Bands", "Beginnings", "Ends", "Table", "Thresholds"]

Key = TypeVar("Key", str, float)
Mark = TypeVar("Mark", int, float)
Row = Entry | dict[Entry, None]


def _put(rows: dict[Key, Row], value: Key, entry: Entry) -> None:
    """Add to a row; a lone entry is kept without a dictionary around it."""
    old = rows.get(value)
    if old is None:
        rows[value] = entry
    elif isinstance(old, dict):
        old[entry] = None
    else:
        rows[value] = {old: None, entry: None}


def _pull(rows: dict[Key, Row], value: Key, entry: Entry) -> None:
    old = rows[value]
    if isinstance(old, dict):
        del old[entry]
        if len(old) == 1:
            (rows[value],) = old
    else:
        del rows[value]


def _take(row: Row, found: set[Entry]) -> None:
    if isinstance(row, dict):
        found.update(row)
    else:
        found.add(row)


def _count(row: Row | None) -> int:
    return 0 if row is None else len(row) if isinstance(row, dict) else 1


class Table(Generic[Key]):
    """Entries by a value that must be equal."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}

    def add(self, value: Key, entry: Entry) -> None:
        """Find ``entry`` by ``value``."""
        _put(self.rows, value, entry)

    def remove(self, value: Key, entry: Entry) -> None:
        """Undo `add`."""
        _pull(self.rows, value, entry)

    def count(self, value: Key) -> int:
        """Return how many entries ``value`` finds."""
        return _count(self.rows.get(value))

    def find(self, values: set[Key], found: set[Entry]) -> None:
        """Collect the entries of several values."""
        rows = self.rows
        for value in rows.keys() & values:
            _take(rows[value], found)


_serial: Final = attrgetter("serial")


class Thresholds(Generic[Mark]):
    """Entries by a mark, sorted, so that those on one side of a value are a slice."""

    __slots__ = ("entries", "marks")

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.entries: list[Entry] = []  # those of one mark in the order of their numbers

    def add(self, mark: Mark, entry: Entry) -> None:
        """Keep ``entry`` at ``mark``; it must be younger than those that are there."""
        place = bisect_right(self.marks, mark)
        self.marks.insert(place, mark)
        self.entries.insert(place, entry)

    def remove(self, mark: Mark, entry: Entry) -> None:
        """Undo `add`."""
        low, high = bisect_left(self.marks, mark), bisect_right(self.marks, mark)
        place = bisect_left(self.entries, entry.serial, low, high, key=_serial)
        del self.marks[place]
        del self.entries[place]

    def below(self, value: Mark, inclusive: bool) -> list[Entry]:
        """Return the entries with marks below a value."""
        return self.entries[: (bisect_right if inclusive else bisect_left)(self.marks, value)]

    def above(self, value: Mark, inclusive: bool) -> list[Entry]:
        """Return the entries with marks above a value."""
        return self.entries[(bisect_left if inclusive else bisect_right)(self.marks, value) :]

    def meets(self, kind: str, value: Mark) -> bool:
        """Tell whether ``value`` and some mark are as ``kind`` says: ``<``, ``<=``, ``>`` or ``>=``."""
        if kind == "<":
            return value < self.marks[-1]
        if kind == "<=":
            return value <= self.marks[-1]
        return self.marks[0] < value if kind == ">" else self.marks[0] <= value

    def between(self, low: Mark, high: Mark) -> list[Entry]:
        """Return the entries with marks above ``low``, up to and including ``high``."""
        return self.entries[bisect_right(self.marks, low) : bisect_right(self.marks, high)]


_MAGNITUDE: Final = (1 << 63) - 1


def _rank(number: float) -> int:
    """Return the place of a number among all doubles, from 0 on: their order is that of their ranks."""
    (bits,) = struct.unpack(">q", struct.pack(">d", number + 0.0))  # -0.0 becomes 0.0, its equal
    return (bits if bits >= 0 else -(bits & _MAGNITUDE)) + _MAGNITUDE  # type: ignore[no-any-return]


class _Fork:
    """The bands of one node of `Bands`: all hold its middle, so one end says whether a value is inside."""

    __slots__ = ("highs", "lows", "middle")

    def __init__(self, middle: int) -> None:
        self.middle = middle
        self.lows: Thresholds[int] = Thresholds()
        self.highs: Thresholds[int] = Thresholds()


class Bands:
    """Entries by a closed range of numbers: an interval tree whose shape does not depend on what is in it.

    Its nodes are the binary fractions of the ranks of doubles (all numbers that have the same first bits). A
    band lies at the largest node whose middle it holds; a value meets one node on each level, at most as many
    as a double has bits.
    """

    __slots__ = ("_backwards", "_counts", "_forks", "_levels", "_lows", "size")

    def __init__(self) -> None:
        self.size = 0
        self._forks: dict[tuple[int, int], _Fork] = {}
        self._counts: dict[int, int] = {}
        self._levels: list[int] = []
        self._lows: Thresholds[int] = Thresholds()
        self._backwards: dict[Entry, None] = {}  # high end below low end

    def add(self, low: float, high: float, entry: Entry) -> None:
        """Find ``entry`` by every number from ``low`` to ``high``; the youngest comes last."""
        self.size += 1
        first, last = _rank(low), _rank(high)
        if first > last:
            self._backwards[entry] = None
            return
        self._lows.add(first, entry)
        level = (first ^ last).bit_length()
        place = (level, first >> level)
        fork = self._forks.get(place)
        if fork is None:
            middle = (first >> level << level) + (1 << level >> 1)
            fork = self._forks[place] = _Fork(middle)
            if level not in self._counts:
                insort(self._levels, level)
            self._counts[level] = self._counts.get(level, 0) + 1
        fork.lows.add(first, entry)
        fork.highs.add(last, entry)

    def remove(self, low: float, high: float, entry: Entry) -> None:
        """Undo `add`."""
        self.size -= 1
        first, last = _rank(low), _rank(high)
        if first > last:
            del self._backwards[entry]
            return
        self._lows.remove(first, entry)
        level = (first ^ last).bit_length()
        place = (level, first >> level)
        fork = self._forks[place]
        fork.lows.remove(first, entry)
        fork.highs.remove(last, entry)
        if not fork.lows.marks:
            del self._forks[place]
            self._counts[level] -= 1
            if not self._counts[level]:
                del self._counts[level]
                self._levels.remove(level)

    def find(self, least: float, most: float, found: set[Entry]) -> None:
        """Collect what the values of one event may meet, the least and the greatest of which are given.

        With one value: the bands around it. With several: every band whose low end is not above the greatest
        and whose high end is not below the least; more cannot be said of two comparisons that need not speak
        of the same node.
        """
        rank = _rank(least)
        forks = self._forks
        for level in self._levels:
            fork = forks.get((level, rank >> level))
            if fork is None:
                continue
            if rank < fork.middle:
                found.update(fork.lows.below(rank, True))
            else:
                found.update(fork.highs.above(rank, True))
        if least != most:
            found.update(self._lows.between(rank, _rank(most)))
            found.update(self._backwards)

    def meets(self, least: float, most: float) -> bool:
        """Tell whether `find` may collect something for values that are none outside of these two."""
        marks = self._lows.marks
        return bool(self._backwards) or bool(marks and marks[0] <= _rank(most))


class Beginnings:
    """Entries by a text with which the value begins, by its first characters and then by its length."""

    __slots__ = ("_lengths", "_short", "table")

    def __init__(self) -> None:
        self.table: Table[str] = Table()
        self._lengths: dict[str, dict[int, int]] = {}
        """For the first characters of texts: their lengths, and how many are that long."""
        self._short: dict[int, int] = {}
        """The same for texts of fewer characters."""

    def add(self, text: str, entry: Entry) -> None:
        """Find ``entry`` by values with ``text`` at that end."""
        self.table.add(text, entry)
        size = len(text)
        lengths = self._short if size < HEAD else self._lengths.setdefault(self.piece(text, HEAD), {})
        lengths[size] = lengths.get(size, 0) + 1

    def remove(self, text: str, entry: Entry) -> None:
        """Undo `add`."""
        self.table.remove(text, entry)
        size, head = len(text), self.piece(text, HEAD)
        lengths = self._short if size < HEAD else self._lengths[head]
        lengths[size] -= 1
        if not lengths[size]:
            del lengths[size]
            if not lengths and size >= HEAD:
                del self._lengths[head]

    def find(self, values: set[str], found: set[Entry]) -> None:
        """Collect the entries of several values."""
        piece = self.piece
        # A value that is shorter than ``size`` stays whole: then it is found as what it begins with, too.
        for size in self._short:
            self.table.find({piece(value, size) for value in values}, found)
        heads = self._lengths.keys() & {piece(value, HEAD) for value in values}
        if heads:
            self.table.find(
                {
                    piece(value, size)
                    for value in values
                    if (head := piece(value, HEAD)) in heads
                    for size in self._lengths[head]
                },
                found,
            )

    def meets(self, values: set[str], heads: Set[str]) -> bool:
        """Tell whether `find` collects something.

        ``heads`` are the first characters of what any table is asked for and some value begins with.
        """
        if self._lengths.keys().isdisjoint(heads) and (
            not self._short or self.table.rows.keys().isdisjoint(heads)
        ):
            return False
        found: set[Entry] = set()
        self.find(values, found)
        return bool(found)

    @staticmethod
    def piece(value: str, size: int) -> str:
        """Return the part of a value that is compared with texts of that length."""
        return value[:size]


class Ends(Beginnings):
    """Entries by a text with which the value ends."""

    __slots__ = ()

    @staticmethod
    def piece(value: str, size: int) -> str:
        """Return the part of a value that is compared with texts of that length."""
        return value[-size:]
