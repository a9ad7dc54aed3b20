"""Joins: ``for $x in E where A = B`` when it is evaluated again and again with the same E.

Nested loops over two long sequences go through all pairs. Where E is the same as the time before (it depends
on nothing but variables that hold the same sequences as then) and one side of the comparison depends on
``$x`` alone, the values of that side are put into a table once; afterwards the other side looks its matches
up. The first evaluation is the plain one, so a query that loops once pays nothing.

The table is used only where it cannot change the answer. Strings and untyped values compare by code points
with one another; doubles, and untyped values as doubles, by their number. Any other mixture of types, any
other collation, and any error while the table is made or asked go the plain way, which raises the errors that
the pairs call for. Items come in the order of E.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import AnyURI, UntypedAtomic

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery.arithmetic import as_double, operand
from clacks.xquery.conversion import atomize
from clacks.xquery.library import PREFIXES

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.tokens import Expression

__all__ = ["Condition", "join_condition"]

TEXTS = frozenset({str, UntypedAtomic, AnyURI})
DOUBLES = frozenset({float, UntypedAtomic})
NUMBERS = frozenset({float, int, Decimal})
PLAIN = frozenset(
    [
        "$", ".", "..", "@", "root", "step", "/", "[", "(", "+", "-", "*", "div", "=", "!=", "<", "<=", ">",
        ">=", ",", "and", "or", "(integer)", "(decimal)", "(double)", "(string)", "call",
    ]
)  # fmt: skip
"""Tokens whose value is the same whenever variables and focus are: they make no nodes and bind nothing."""

PURE = frozenset(
    f"{{{PREFIXES['fn']}}}{local}"
    for local in ("data", "string", "number", "not", "exists", "empty", "count", "exactly-one", "zero-or-one",
                  "lower-case", "upper-case", "normalize-space", "concat", "substring", "local-name", "name")
)  # fmt: skip

FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def slots_of(expression: Expression) -> set[int] | None:
    """Return the local variables that a plain expression depends on; None if it is not plain."""
    slots = set()
    for part in expression.walk():
        if part.symbol not in PLAIN:
            return None
        if part.symbol == "call" and getattr(part, "name", None) not in PURE:
            return None
        slot = getattr(part, "slot", None)
        if part.symbol == "$" and slot is not None:
            slots.add(slot)
    return slots


class Table:
    """What one side of a comparison yields for each item of a sequence.

    Attributes:
        values: The atomized values of each item.
        classes: The classes that occur among them.
    """

    def __init__(self, values: list[Sequence[Any]]) -> None:
        self.values = values
        self.classes = {type(value) for each in values for value in each}
        self._texts: dict[str, list[int]] | None = None
        self._numbers: tuple[list[float], list[int]] | None = None

    def same_text(self, wanted: Sequence[Any], step: Callable[[int], object]) -> set[int]:
        """Return the places of items with one of some strings."""
        texts = self._texts
        if texts is None:
            texts = {}
            for place, each in enumerate(self.values):
                for value in each:
                    texts.setdefault(str(value), []).append(place)
            self._texts = texts
        found: set[int] = set()
        for text in {str(value) for value in wanted}:
            places = texts.get(text, ())
            step(1 + len(places))
            found.update(places)
        return found

    def by_number(self, symbol: str, wanted: Sequence[Any], step: Callable[[int], object]) -> set[int]:
        """Return the places of items of which a value, as a double, is = < <= > or >= one of some others."""
        if self._numbers is None:
            pairs = sorted(
                (number, place)
                for place, each in enumerate(self.values)
                for number in (as_double(operand(value)) for value in each)
                if number == number
            )
            self._numbers = [number for number, _ in pairs], [place for _, place in pairs]
        numbers, places = self._numbers
        bounds = {bound for bound in (as_double(operand(value)) for value in wanted) if bound == bound}
        if symbol != "=" and bounds:
            # Less than one of them is less than the greatest.
            bounds = {max(bounds) if symbol[0] == "<" else min(bounds)}
        found: set[int] = set()
        for bound in bounds:
            low = bisect_left(numbers, bound) if symbol in ("=", ">=") else bisect_right(numbers, bound)
            high = bisect_right(numbers, bound) if symbol in ("=", "<=") else bisect_left(numbers, bound)
            some = (
                slice(low, high) if symbol == "=" else slice(high) if symbol[0] == "<" else slice(low, None)
            )
            step(1 + len(range(*some.indices(len(places)))))
            found.update(places[some])
        return found

    def find(
        self, symbol: str, wanted: Sequence[Any], codepoints: bool, step: Callable[[int], object]
    ) -> set[int] | None:
        """Return the places of matching items; None if the types ask for the plain way."""
        others = {type(value) for value in wanted}
        if symbol == "=" and codepoints and self.classes <= TEXTS and others <= TEXTS:
            return self.same_text(wanted, step)
        if (self.classes <= DOUBLES and others <= NUMBERS) or (self.classes <= NUMBERS and others <= DOUBLES):
            return self.by_number(symbol, wanted, step)
        return None


class Known:
    """What a join remembers during one run of a query: of what the sequence was made, it, and its table."""

    __slots__ = ("cause", "failed", "items", "table")

    def __init__(self, cause: tuple[Any, ...], items: Sequence[Any]) -> None:
        self.cause = cause
        self.items = items
        self.table: Table | None = None
        self.failed = False


class Condition:
    """A comparison that can be looked up.

    Attributes:
        source: The expression of ``for``.
        slot: The slot of its variable.
        inner: The side that depends on the variable.
        outer: The other side.
        symbol: The comparison, with the inner side on the left.
        rest: What else a tuple must fulfil, in the order of evaluation.
    """

    def __init__(
        self,
        source: Expression,
        slot: int,
        slots: set[int],
        comparison: Any,
        flipped: bool,
        rest: Sequence[Expression],
    ) -> None:
        self.source = source
        self.slot = slot
        self.slots = sorted(slots - {slot})
        self.comparison = comparison
        self.inner, self.outer = comparison[::-1] if flipped else comparison[:]
        self.symbol = FLIPPED[comparison.symbol] if flipped else comparison.symbol
        self.rest = rest

    def items(self, ctx: Context) -> tuple[Sequence[Any], Iterator[Any] | None]:
        """Return the items of the source, and those that fulfil the comparison if they could be looked up."""
        cause = (ctx.item, ctx.position, ctx.size, *(ctx.frame[slot] for slot in self.slots))
        caches = ctx.execution.caches
        known: Known | None = caches.get(self)
        if known is None or not all(a is b for a, b in zip(known.cause, cause)):
            items = self.source.run(ctx)
            caches[self] = Known(cause, items)
            return items, None
        if known.failed:
            return known.items, None
        try:
            if known.table is None:
                known.table = self.made(ctx, known.items)
            wanted = atomize(self.outer.run(ctx))
            step = ctx.execution.meter.step
            step(1 + len(wanted))
            places = known.table.find(self.symbol, wanted, self.comparison.codepoints, step)
        except QueryBudgetExceeded:
            raise
        except QueryError:
            places = None
        if places is None:
            known.failed = True
            return known.items, None
        return known.items, (known.items[place] for place in sorted(places))

    def made(self, ctx: Context, items: Sequence[Any]) -> Table:
        """Evaluate the inner side for each item."""
        frame, slot = ctx.frame, self.slot
        run, step = self.inner.run, ctx.execution.meter.step
        values = []
        for item in items:
            frame[slot] = [item]
            value = atomize(run(ctx))
            step(1 + len(value))
            values.append(value)
        return Table(values)


def join_condition(source: Expression, slot: int, condition: Any) -> Condition | None:
    """Return how ``for $slot in source where condition`` can be looked up; None if it cannot."""
    rest: list[Any] = []
    while condition.symbol == "and":
        rest.append(condition[1])
        condition = condition[0]
    if condition.symbol not in FLIPPED:
        return None
    needs = slots_of(source)
    if needs is None or slot in needs:
        return None
    sides = [slots_of(condition[0]), slots_of(condition[1])]
    for number, slots in enumerate(sides):
        other = sides[1 - number]
        if slots is not None and slot in slots and other is not None and slot not in other:
            return Condition(source, slot, needs | slots, condition, number == 1, rest[::-1])
    return None
