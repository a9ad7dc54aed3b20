"""Which filters a value wakes: the postings of one path.

A `Slot` stands for one path (or one property of the message) and holds, for every kind of fact, a table
whose search does not grow with the number of filters: hash tables for equality, sorted thresholds for ranges,
a tree of intervals for bands, hash tables by length for beginnings and ends, by pieces for parts.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from clacks.filters.access import Fact
from clacks.filters.entry import Entry
from clacks.filters.tables import Bands, Beginnings, Ends, Parts, Table, Thresholds
from clacks.filters.values import to_double
from clacks.filters.view import Node, node_texts

__all__ = ["Slot"]

_OFTEN: Final = 64
"""What a fact that is only a path costs at least, counted in entries of an equality: it holds so often."""


class Slot:
    """All facts about one path.

    Args:
        texts: Counts the texts of equalities, of this slot and others.
    """

    __slots__ = (
        "_bands",
        "_contains",
        "_ends",
        "_equal",
        "_number",
        "_present",
        "_ranges",
        "_starts",
        "_texts",
        "only_equal",
        "reads_numbers",
        "reads_values",
    )

    def __init__(self, texts: dict[str, int] | None = None) -> None:
        self._texts = texts if texts is not None else {}
        self.reads_values = False
        """Whether anything beyond presence is asked here."""
        self.reads_numbers = False
        """Whether values are compared as numbers here."""
        self.only_equal = False
        """Whether nothing is asked but which texts are equal to a value."""
        self._present: dict[Entry, None] = {}
        self._equal: Table[str] | None = None
        self._number: Table[float] | None = None
        self._ranges: dict[str, Thresholds[float]] = {}
        self._bands: Bands | None = None
        self._starts: Beginnings | None = None
        self._ends: Ends | None = None
        self._contains: Parts | None = None

    @property
    def empty(self) -> bool:
        """Whether no fact is left."""
        return not (self._present or self.reads_values)

    def add(self, fact: Fact, entry: Entry) -> None:
        """Wake ``entry`` whenever ``fact`` holds."""
        kind, value = fact.kind, fact.value
        if isinstance(value, str):
            self._text_table(kind).add(value, entry)
            if kind == "=":
                self._texts[value] = self._texts.get(value, 0) + 1
        elif isinstance(value, tuple):
            self._bands = self._bands or Bands()
            self._bands.add(*value, entry)
        elif value is None:
            self._present[entry] = None
        elif kind == "=":
            self._number = self._number or Table()
            self._number.add(value, entry)
        else:
            self._ranges.setdefault(kind, Thresholds()).add(value, entry)
        self._reads()

    def _text_table(self, kind: str) -> Table[str] | Beginnings | Parts:
        if kind == "=":
            self._equal = self._equal or Table()
            return self._equal
        if kind == "starts-with":
            self._starts = self._starts or Beginnings()
            return self._starts
        if kind == "ends-with":
            self._ends = self._ends or Ends()
            return self._ends
        self._contains = self._contains or Parts()
        return self._contains

    def remove(self, fact: Fact, entry: Entry) -> None:
        """Undo `add`."""
        kind, value = fact.kind, fact.value
        if isinstance(value, str):
            self._text_table(kind).remove(value, entry)
            if kind == "=":
                self._texts[value] -= 1
                if not self._texts[value]:
                    del self._texts[value]
        elif isinstance(value, tuple):
            assert self._bands is not None
            self._bands.remove(*value, entry)
            if not self._bands.size:
                self._bands = None
        elif value is None:
            del self._present[entry]
        elif kind == "=":
            assert self._number is not None
            self._number.remove(value, entry)
            if not self._number.rows:
                self._number = None
        else:
            self._ranges[kind].remove(value, entry)
            if not self._ranges[kind].marks:
                del self._ranges[kind]
        if isinstance(value, str):
            self._drop_empty_text_tables()
        self._reads()

    def _drop_empty_text_tables(self) -> None:
        if self._equal is not None and not self._equal.rows:
            self._equal = None
        if self._starts is not None and not self._starts.table.rows:
            self._starts = None
        if self._ends is not None and not self._ends.table.rows:
            self._ends = None
        if self._contains is not None and not self._contains.table.rows:
            self._contains = None

    def _reads(self) -> None:
        self.reads_numbers = bool(self._number or self._ranges or self._bands)
        self.reads_values = bool(
            self.reads_numbers or self._equal or self._starts or self._ends or self._contains
        )
        self.only_equal = bool(
            self._equal
            and not (self._present or self.reads_numbers or self._starts or self._ends or self._contains)
        )

    def meets(self, values: Set[str]) -> bool:
        """Tell whether one of these values is equal to a text that is asked for here."""
        return self._equal is not None and not self._equal.rows.keys().isdisjoint(values)

    def load(self, fact: Fact) -> float:
        """Estimate how many entries are looked at because of this fact, if one more is stored under it.

        The unit is an entry found by an equality. It need not be right, only put the rare before the
        frequent: that of two conditions which are both necessary the better one finds the filter.
        """
        kind, value = fact.kind, fact.value
        if isinstance(value, tuple):
            return 4 + (self._bands.size / 8 if self._bands else 0)
        if value is None:
            return _OFTEN + 4 * len(self._present)
        if isinstance(value, float):
            if kind == "=":
                return 1 + (self._number.count(value) if self._number else 0)
            return 8 + (len(self._ranges[kind].marks) / 2 if kind in self._ranges else 0)
        if kind == "=":
            return 1 + (self._equal.count(value) if self._equal else 0)
        table = {"starts-with": self._starts, "ends-with": self._ends}.get(kind, self._contains)
        return (4 if kind == "contains" else 2) + (table.table.count(value) if table else 0)

    def wake(self, nodes: Sequence[Node], alone: set[Entry], among: set[Entry], doubtful: set[Entry]) -> None:
        """Collect the entries of which a fact holds at these nodes, which are all that the path finds.

        ``alone`` takes them if it is one node. If there are several, ``among`` does, or ``doubtful`` where
        numbers are wanted and one of the values is none: then it matters how far an engine looks.
        """
        several = len(nodes) > 1
        found = among if several else alone
        if self._present:
            found.update(self._present)
        if self.reads_values:
            values = node_texts(nodes)
            self.wake_texts(values, found)
            if self.reads_numbers:
                self._wake_numbers(values, found, doubtful)

    def wake_texts(self, values: set[str], found: set[Entry]) -> None:
        """Collect the entries that compare one of these values as text."""
        if self._equal is not None:
            self._equal.find(values, found)
        if self._starts is not None:
            self._starts.find(values, found)
        if self._ends is not None:
            self._ends.find(values, found)
        if self._contains is not None:
            self._contains.find(values, found)

    def _wake_numbers(self, values: set[str], found: set[Entry], doubtful: set[Entry]) -> None:
        read = [to_double(value) for value in values]
        numbers = [number for number in read if number is not None and number == number]  # NaN equals nothing
        if not numbers:
            return
        if None in read:
            found = doubtful
        if self._number is not None:
            self._number.find(set(numbers), found)
        least, most = min(numbers), max(numbers)
        for kind, thresholds in self._ranges.items():
            # "value < mark" wakes the marks above the least value, and so on.
            if kind[0] == "<":
                found.update(thresholds.above(least, inclusive=kind == "<="))
            else:
                found.update(thresholds.below(most, inclusive=kind == ">="))
        if self._bands is not None:
            self._bands.find(least, most, found)
