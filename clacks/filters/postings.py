"""Which filters a value wakes: the postings of one path.

A `Slot` stands for one path (or one property of the message) and holds, for every kind of fact, a table
whose search does not grow with the number of filters: hash tables for equality, sorted thresholds for ranges,
a tree of intervals for bands, hash tables by length for beginnings and ends. Parts of texts are searched for
all slots together (`Asked`); a slot only knows which of them are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clacks.filters.entry import Entry
from clacks.filters.facts import Fact
from clacks.filters.glance import EDGE, Glance
from clacks.filters.leaves import Leaves
from clacks.filters.parts import SEPARATOR, PartSearch
from clacks.filters.tables import Bands, Beginnings, Ends, Table, Thresholds
from clacks.filters.values import to_doubles
from clacks.filters.view import Attribute, Node, View, node_texts

__all__ = ["Asked", "Slot"]

_OFTEN: Final = 64
"""What a fact that is only a path costs at least, counted in entries of an equality: it holds so often."""


_FEW_PARTS: Final = 8
"""So many parts of texts are looked for one by one: ten of them take as long as one automaton."""
_MOST_OF_THEM: Final = 2
"""A path that asks for one of so many parts of texts reads its own values rather than the whole event."""


class Asked:
    """What the slots of one index ask for together, whatever their paths.

    Args:
        edges: Whether large events are looked at together for beginnings and ends, too.

    Attributes:
        equal: The texts of equalities, and how many ask for each.
        parts: The parts of texts, and the first and last characters of beginnings and ends with a separator
            before or behind them.
        contained: How many of these are parts that may be anywhere.
    """

    __slots__ = ("_edges", "_leaves", "contained", "equal", "parts")

    def __init__(self, *, edges: bool) -> None:
        self._edges = edges
        self._leaves: Leaves | None = None
        self.equal: dict[str, int] = {}
        self.parts = PartSearch()
        self.contained = 0

    def add(self, kind: str, text: str) -> None:
        """Ask for one more text."""
        if kind == "=":
            self.equal[text] = self.equal.get(text, 0) + 1
        elif kind == "contains":
            before = len(self.parts)
            self.parts.add(text)
            self.contained += len(self.parts) - before
        elif self._edges:
            self.parts.add(_edge(kind, text))

    def remove(self, kind: str, text: str) -> None:
        """Undo one `add`."""
        if kind == "=":
            self.equal[text] -= 1
            if not self.equal[text]:
                del self.equal[text]
        elif kind == "contains":
            before = len(self.parts)
            self.parts.remove(text)
            self.contained += len(self.parts) - before
        elif self._edges:
            self.parts.remove(_edge(kind, text))

    def parts_in(self, view: View) -> set[str]:
        """Return the parts that occur in the text of an event; none of its elements holds another."""
        if view.parts is None:
            view.parts = self.parts.find(view.text)
        return view.parts

    def glance(self, view: View, tags: tuple[str, ...]) -> Glance:
        """Return what the elements of these names have in common with what is asked for."""
        glance = view.glances.get(tags)
        if glance is None:
            if self._leaves is None:
                self._leaves = Leaves()
            glance = view.glances[tags] = Glance(self._leaves.texts(view.root, tags), self)
        return glance


def _edge(kind: str, text: str) -> str:
    """Return what is searched for instead of a beginning or an end."""
    return SEPARATOR + text[:EDGE] if kind == "starts-with" else text[-EDGE:] + SEPARATOR


class Slot:
    """All facts about one path.

    Args:
        asked: What this slot and others ask for.
    """

    __slots__ = (
        "_asked",
        "_bands",
        "_contains",
        "_ends",
        "_equal",
        "_number",
        "_present",
        "_ranges",
        "_starts",
        "only_parts",
        "reads_numbers",
        "reads_values",
        "valued",
    )

    def __init__(self, asked: Asked | None = None) -> None:
        self._asked = asked if asked is not None else Asked(edges=False)
        self.reads_values = False
        """Whether anything beyond presence is asked here."""
        self.reads_numbers = False
        """Whether values are compared as numbers here."""
        self.valued = False
        """Whether nothing is asked but what the values are."""
        self.only_parts = False
        """Whether nothing is asked but which texts occur in the values."""
        self._present: dict[Entry, None] = {}
        self._equal: Table[str] | None = None
        self._number: Table[float] | None = None
        self._ranges: dict[str, Thresholds[float]] = {}
        self._bands: Bands | None = None
        self._starts: Beginnings | None = None
        self._ends: Ends | None = None
        self._contains: Table[str] | None = None

    @property
    def empty(self) -> bool:
        """Whether no fact is left."""
        return not (self._present or self.reads_values)

    def add(self, fact: Fact, entry: Entry) -> None:
        """Wake ``entry`` whenever ``fact`` holds."""
        kind, value = fact.kind, fact.value
        if isinstance(value, str):
            self._text_table(kind).add(value, entry)
            self._asked.add(kind, value)
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

    def _text_table(self, kind: str) -> Table[str] | Beginnings:
        if kind == "=":
            self._equal = self._equal or Table()
            return self._equal
        if kind == "starts-with":
            self._starts = self._starts or Beginnings()
            return self._starts
        if kind == "ends-with":
            self._ends = self._ends or Ends()
            return self._ends
        self._contains = self._contains or Table()
        return self._contains

    def remove(self, fact: Fact, entry: Entry) -> None:
        """Undo `add`."""
        kind, value = fact.kind, fact.value
        if isinstance(value, str):
            self._text_table(kind).remove(value, entry)
            self._asked.remove(kind, value)
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
        if self._contains is not None and not self._contains.rows:
            self._contains = None

    def _reads(self) -> None:
        self.reads_numbers = bool(self._number or self._ranges or self._bands)
        self.reads_values = bool(
            self.reads_numbers or self._equal or self._starts or self._ends or self._contains
        )
        self.valued = self.reads_values and not self._present
        self.only_parts = bool(
            self.valued
            and self._contains
            and not (self._equal or self.reads_numbers or self._starts or self._ends)
        )

    def meets(self, glance: Glance) -> bool:
        """Tell whether a fact may hold at elements whose values are among those of a glance."""
        return (
            (self._equal is not None and not self._equal.rows.keys().isdisjoint(glance.equal))
            or (self._contains is not None and not self._contains.rows.keys().isdisjoint(glance.parts))
            or (self._starts is not None and self._starts.meets(glance.texts, glance.heads))
            or (self._ends is not None and self._ends.meets(glance.texts, glance.tails))
            or (self.reads_numbers and self._meets_numbers(glance.numbers))
        )

    def _meets_numbers(self, numbers: Sequence[float]) -> bool:
        if not numbers:
            return False
        if self._number is not None and not self._number.rows.keys().isdisjoint(numbers):
            return True
        least, most = numbers[0], numbers[-1]
        for kind, thresholds in self._ranges.items():
            value = least if kind[0] == "<" else most
            if thresholds.meets(kind, value):
                return True
        return self._bands is not None and self._bands.meets(least, most)

    @property
    def _reads_alone(self) -> bool:
        """Whether most parts of texts that anybody asks for are asked for here."""
        return self._contains is not None and (
            len(self._contains.rows) * _MOST_OF_THEM >= self._asked.contained
        )

    def lacks_parts(self, view: View) -> bool:
        """Tell whether the event is known to have none of the parts of texts that are asked for here."""
        if self._contains is None or (view.parts is None and self._reads_alone):
            return False  # the values of a few elements are read sooner than the whole event
        return self._contains.rows.keys().isdisjoint(self._asked.parts_in(view))

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
        if kind == "contains":
            return 4 + (self._contains.count(value) if self._contains else 0)
        table = self._starts if kind == "starts-with" else self._ends
        return 2 + (table.table.count(value) if table else 0)

    def wake(
        self,
        nodes: Sequence[Node],
        view: View,
        found: set[Entry],
        doubtful: set[Entry],
    ) -> None:
        """Collect the entries of which a fact holds at these nodes, which are all that the path finds.

        ``doubtful`` takes them where numbers are wanted and one of several values is none: then it matters
        how far an engine looks.
        """
        if self._present:
            found.update(self._present)
        values: set[str] | None = None
        if self._equal or self.reads_numbers or self._starts or self._ends:
            values = node_texts(nodes)
            self._wake_whole(values, found)
            if self.reads_numbers:
                self._wake_numbers(values, found, doubtful)
        if self._contains is not None:
            self._contains.find(self._parts(nodes, values, view), found)

    def wake_text(self, value: str, found: set[Entry]) -> None:
        """Collect the entries that compare this value as text."""
        self._wake_whole({value}, found)
        if self._contains is not None:
            self._contains.find(self._asked.parts.find(value), found)

    def _wake_whole(self, values: set[str], found: set[Entry]) -> None:
        if self._equal is not None:
            self._equal.find(values, found)
        if self._starts is not None:
            self._starts.find(values, found)
        if self._ends is not None:
            self._ends.find(values, found)

    def _parts(self, nodes: Sequence[Node], values: set[str] | None, view: View) -> set[str]:
        """Return the parts that occur in the values of these nodes (``values``, if they are known)."""
        assert self._contains is not None
        first = nodes[0]
        if isinstance(first, Attribute) or (
            view.parts is None and self._reads_alone and first is not view.root and first is not view
        ):
            return self._asked.parts.find(SEPARATOR.join(values or node_texts(nodes)))
        texts = self._contains.rows.keys() & self._asked.parts_in(view)
        if not texts or first is view.root or first is view:
            return texts
        value = SEPARATOR.join(values or node_texts(nodes))
        if len(texts) > _FEW_PARTS:
            return self._asked.parts.find(value)
        return {text for text in texts if text in value}

    def _wake_numbers(self, values: set[str], found: set[Entry], doubtful: set[Entry]) -> None:
        numbers, known = to_doubles(values)
        if not numbers:
            return
        if not known:
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
