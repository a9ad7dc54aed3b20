"""Tables from what a filter compares with to the filter: the searches behind the postings of a path.

The rule of this file: a search costs by what it finds, an entry goes in and out without a walk over its
neighbours. Searches put what they find into a set that the caller gives. Sets of values come in all at once,
because a loop in C over a hundred values costs less than one in Python over five.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import Final, Generic, TypeVar

from clacks.filters.entry import Entry

__all__ = ["Bands", "Beginnings", "Ends", "Parts", "Table", "Thresholds"]

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


class Beginnings:
    """Entries by a text with which the value begins, by the lengths that there are."""

    __slots__ = ("_counts", "_lengths", "table")

    def __init__(self) -> None:
        self.table: Table[str] = Table()
        self._counts: dict[int, int] = {}
        self._lengths: list[int] = []

    def add(self, text: str, entry: Entry) -> None:
        """Find ``entry`` by values with ``text`` at that end."""
        self.table.add(text, entry)
        size = len(text)
        if size not in self._counts:
            insort(self._lengths, size)
        self._counts[size] = self._counts.get(size, 0) + 1

    def remove(self, text: str, entry: Entry) -> None:
        """Undo `add`."""
        self.table.remove(text, entry)
        size = len(text)
        self._counts[size] -= 1
        if not self._counts[size]:
            del self._counts[size]
            self._lengths.remove(size)

    def find(self, values: set[str], found: set[Entry]) -> None:
        """Collect the entries of several values."""
        longest = max(map(len, values))
        for size in self._lengths:
            if size > longest:
                break
            # A value that is shorter than ``size`` stays whole: then it is found as what it begins with, too.
            self.table.find({self.piece(value, size) for value in values}, found)

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


class _Stride:
    """Texts of some lengths, found by pieces of ``width`` characters, cut side by side from the value.

    A text of at least ``2 * width - 1`` characters holds one whole piece, wherever it lies; so it is kept
    under its pieces at the first ``width`` places. Where a piece is met, the text stands at a known place.
    """

    __slots__ = ("cut", "pieces", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.cut = re.compile(f"(?s).{{{width}}}").findall
        self.pieces: dict[str, dict[tuple[int, int], int]] = {}
        """For each piece: how many texts have it at that place and are that long."""

    def add(self, text: str) -> None:
        for place in range(self.width):
            rows = self.pieces.setdefault(text[place : place + self.width], {})
            rows[place, len(text)] = rows.get((place, len(text)), 0) + 1

    def remove(self, text: str) -> None:
        for place in range(self.width):
            piece = text[place : place + self.width]
            rows = self.pieces[piece]
            rows[place, len(text)] -= 1
            if not rows[place, len(text)]:
                del rows[place, len(text)]
                if not rows:
                    del self.pieces[piece]

    def texts(self, value: str) -> set[str]:
        """Return pieces of the value that may be one of the texts: as long, with the right piece in them."""
        cut, width = self.cut(value), self.width
        hits = self.pieces.keys() & set(cut)
        found = set()
        for number, piece in enumerate(cut) if hits else ():
            if piece in hits:
                at = number * width
                for place, size in self.pieces[piece]:
                    if place <= at:
                        found.add(value[at - place : at - place + size])
        return found


_WIDTHS: Final = (8, 4, 2, 1)
SEPARATOR: Final = "\0"
"""Stands between values that are searched as one: no XML text and so no query holds it."""


class Parts:
    """Entries by a text that occurs in the value."""

    __slots__ = ("_strides", "table")

    def __init__(self) -> None:
        self.table: Table[str] = Table()
        self._strides: dict[int, _Stride] = {}

    def add(self, text: str, entry: Entry) -> None:
        """Find ``entry`` by values that contain ``text``."""
        known = text in self.table.rows
        self.table.add(text, entry)
        if not known:
            width = self._width(text)
            if width not in self._strides:
                self._strides[width] = _Stride(width)
            self._strides[width].add(text)

    def remove(self, text: str, entry: Entry) -> None:
        """Undo `add`."""
        self.table.remove(text, entry)
        if text not in self.table.rows:
            width = self._width(text)
            self._strides[width].remove(text)
            if not self._strides[width].pieces:
                del self._strides[width]

    @staticmethod
    def _width(text: str) -> int:
        return next(width for width in _WIDTHS if len(text) >= 2 * width - 1)

    def find(self, values: set[str], found: set[Entry]) -> None:
        """Collect the entries of several values."""
        value = SEPARATOR.join(values)
        for stride in self._strides.values():
            texts = stride.texts(value)
            if texts:
                self.table.find(texts, found)
