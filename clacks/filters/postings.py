"""Which filters a value wakes: the postings of one path.

A `Slot` stands for one path (or one property of the message) and holds, for every kind of fact, a structure
whose search does not grow with the number of filters: hash tables for equality, sorted thresholds for ranges,
hash tables by length for beginnings and ends, by three characters for parts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from clacks.filters.access import Access, Fact
from clacks.filters.values import to_double

__all__ = ["Entry", "Slot"]

_GRAM: Final = 3


class Entry:
    """One distinct query in the index and the keys that asked for it.

    Attributes:
        keys: The keys; usually one.
        text: The text of the query.
        access: How it is found and whether that decides.
        single: Whether what decides needs a path with one node at most.
        condition: What is evaluated when the facts do not decide; None if they do.
        query: The compiled query, if the engine is needed every time; else None.
    """

    __slots__ = ("access", "condition", "failed", "identity", "keys", "query", "single", "text")

    def __init__(
        self,
        identity: Hashable,
        text: str,
        access: Access,
        condition: object | None,
        query: object | None,
    ) -> None:
        self.identity = identity
        self.keys: tuple[Hashable, ...] = ()
        self.text = text
        self.access = access
        self.condition = condition
        self.query = query
        self.single = any(fact.single for fact in access.facts or ())
        self.failed = False

    @property
    def decided(self) -> bool:
        """Whether the facts decide, on regular events."""
        return self.access.decides


class _Table:
    """Entries by a hashable value; a lone entry is kept without a list around it."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[object, Entry | list[Entry]] = {}

    def add(self, value: object, entry: Entry) -> None:
        old = self.rows.get(value)
        if old is None:
            self.rows[value] = entry
        elif isinstance(old, list):
            old.append(entry)
        else:
            self.rows[value] = [old, entry]

    def remove(self, value: object, entry: Entry) -> None:
        old = self.rows[value]
        if isinstance(old, list):
            old.remove(entry)
            if len(old) == 1:
                self.rows[value] = old[0]
        else:
            del self.rows[value]

    def find(self, value: object, wake: Callable[[Entry], None]) -> None:
        found = self.rows.get(value)
        if found is None:
            return
        if isinstance(found, list):
            for entry in found:
                wake(entry)
        else:
            wake(found)


class _Thresholds:
    """Entries by a threshold, sorted, so that those on one side of a value are a slice."""

    __slots__ = ("_order", "entries", "marks")

    def __init__(self) -> None:
        self.marks: list[float] = []
        self.entries: list[Entry] = []

    def add(self, mark: float, entry: Entry) -> None:
        place = bisect_right(self.marks, mark)
        self.marks.insert(place, mark)
        self.entries.insert(place, entry)

    def remove(self, mark: float, entry: Entry) -> None:
        place = bisect_left(self.marks, mark)
        while self.entries[place] is not entry:
            place += 1
        del self.marks[place]
        del self.entries[place]

    def below(self, value: float, inclusive: bool) -> list[Entry]:
        return self.entries[: (bisect_right if inclusive else bisect_left)(self.marks, value)]

    def above(self, value: float, inclusive: bool) -> list[Entry]:
        return self.entries[(bisect_left if inclusive else bisect_right)(self.marks, value) :]


class _Lengths:
    """Entries by a text that is compared with a piece of the value that is as long."""

    __slots__ = ("counts", "lengths", "table")

    def __init__(self) -> None:
        self.table = _Table()
        self.counts: dict[int, int] = {}
        self.lengths: list[int] = []

    def add(self, text: str, entry: Entry) -> None:
        self.table.add(text, entry)
        size = len(text)
        if size not in self.counts:
            insort(self.lengths, size)
        self.counts[size] = self.counts.get(size, 0) + 1

    def remove(self, text: str, entry: Entry) -> None:
        self.table.remove(text, entry)
        size = len(text)
        self.counts[size] -= 1
        if not self.counts[size]:
            del self.counts[size]
            self.lengths.remove(size)


class _Parts:
    """Entries by a text that occurs in the value: found by its first three characters, then compared."""

    __slots__ = ("grams",)

    def __init__(self) -> None:
        self.grams: dict[str, dict[str, list[Entry]]] = {}

    def add(self, text: str, entry: Entry) -> None:
        self.grams.setdefault(text[:_GRAM], {}).setdefault(text, []).append(entry)

    def remove(self, text: str, entry: Entry) -> None:
        texts = self.grams[text[:_GRAM]]
        texts[text].remove(entry)
        if not texts[text]:
            del texts[text]
            if not texts:
                del self.grams[text[:_GRAM]]

    def find(self, value: str, wake: Callable[[Entry], None]) -> None:
        grams = self.grams
        seen = {value[at : at + size] for size in range(1, _GRAM + 1) for at in range(len(value) - size + 1)}
        if len(grams) < len(seen):
            hits: Iterator[str] = (gram for gram in grams if gram in seen)
        else:
            hits = (gram for gram in seen if gram in grams)
        for gram in hits:
            for text, entries in grams[gram].items():
                if text in value:
                    for entry in entries:
                        wake(entry)


_RANGES: Final = ("<", "<=", ">", ">=")


class Slot:
    """All facts about one path.

    `wake` calls back with every entry for which a fact about these values holds; the values are the string
    values of the nodes found.
    """

    __slots__ = ("contains", "ends", "equal", "number", "present", "ranges", "starts")

    def __init__(self) -> None:
        self.present: dict[Entry, None] = {}
        self.equal: _Table | None = None
        self.number: _Table | None = None
        self.ranges: dict[str, _Thresholds] = {}
        self.starts: _Lengths | None = None
        self.ends: _Lengths | None = None
        self.contains: _Parts | None = None

    @property
    def empty(self) -> bool:
        """Whether no fact is left."""
        tables = (self.equal, self.number)
        lengths = (self.starts, self.ends)
        return not (
            self.present
            or any(table is not None and table.rows for table in tables)
            or any(thresholds.marks for thresholds in self.ranges.values())
            or any(length is not None and length.counts for length in lengths)
            or (self.contains is not None and self.contains.grams)
        )

    @property
    def reads_values(self) -> bool:
        """Whether anything beyond presence is asked here."""
        return not (
            self.equal is None
            and self.number is None
            and not self.ranges
            and self.starts is None
            and self.ends is None
            and self.contains is None
        )

    def add(self, fact: Fact, entry: Entry) -> None:
        """Wake ``entry`` whenever ``fact`` holds."""
        kind, value = fact.kind, fact.value
        if kind == "present":
            self.present[entry] = None
        elif isinstance(value, float):
            if kind == "=":
                if self.number is None:
                    self.number = _Table()
                self.number.add(value, entry)
            else:
                if kind not in self.ranges:
                    self.ranges[kind] = _Thresholds()
                self.ranges[kind].add(value, entry)
        elif kind == "=":
            if self.equal is None:
                self.equal = _Table()
            self.equal.add(value, entry)
        elif isinstance(value, str):
            if kind == "contains":
                if self.contains is None:
                    self.contains = _Parts()
                self.contains.add(value, entry)
            elif kind == "starts-with":
                if self.starts is None:
                    self.starts = _Lengths()
                self.starts.add(value, entry)
            else:
                if self.ends is None:
                    self.ends = _Lengths()
                self.ends.add(value, entry)

    def remove(self, fact: Fact, entry: Entry) -> None:
        """Undo `add`."""
        kind, value = fact.kind, fact.value
        if kind == "present":
            del self.present[entry]
        elif isinstance(value, float):
            if kind == "=" and self.number is not None:
                self.number.remove(value, entry)
            else:
                self.ranges[kind].remove(value, entry)
        elif isinstance(value, str):
            holder = {"=": self.equal, "contains": self.contains, "starts-with": self.starts}.get(
                kind, self.ends
            )
            if holder is not None:
                holder.remove(value, entry)

    def wake_present(self, wake: Callable[[Entry], None]) -> None:
        """Wake the entries that only want a node here."""
        for entry in self.present:
            wake(entry)

    def wake_text(self, value: str, wake: Callable[[Entry], None]) -> None:
        """Wake the entries that compare this value as text."""
        if self.equal is not None:
            self.equal.find(value, wake)
        if self.starts is not None:
            for size in self.starts.lengths:
                if size > len(value):
                    break
                self.starts.table.find(value[:size], wake)
        if self.ends is not None:
            for size in self.ends.lengths:
                if size > len(value):
                    break
                self.ends.table.find(value[-size:], wake)
        if self.contains is not None:
            self.contains.find(value, wake)

    @property
    def reads_numbers(self) -> bool:
        """Whether values are compared as numbers here."""
        return self.number is not None or bool(self.ranges)

    def wake_number(self, value: str, wake: Callable[[Entry], None]) -> bool:
        """Wake the entries that compare this value as a number; tell whether it is one."""
        number = to_double(value)
        if number is None:
            return False
        if number != number:  # NaN compares false with everything
            return True
        if self.number is not None:
            self.number.find(number, wake)
        for kind in _RANGES:
            thresholds = self.ranges.get(kind)
            if thresholds is not None:
                # "value < mark" wakes the marks above the value, and so on.
                side = thresholds.above if kind in ("<", "<=") else thresholds.below
                for entry in side(number, inclusive=kind.endswith("=")):
                    wake(entry)
        return True
