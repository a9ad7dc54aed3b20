"""Comparisons: general, of values, of nodes (XQuery 3.1, 3.7). Each has its two operands as items."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import AbstractQName, AnyURI, UntypedAtomic

from clacks.xquery.arithmetic import operand
from clacks.xquery.casts import cast_atomic
from clacks.xquery.collation import find_collation
from clacks.xquery.compare import Incomparable, equal, less
from clacks.xquery.conversion import atomize
from clacks.xquery.errors import failure
from clacks.xquery.nodes import Node
from clacks.xquery.operators import EMPTY, Binary
from clacks.xquery.sequence_types import derives_from, type_name
from clacks.xquery.static import CODEPOINT
from clacks.xquery.tokens import named_operator, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context


__all__ = [
    "GeneralComparison",
    "NodeComparison",
    "ValueComparison",
    "compared",
    "general_comparison",
    "one_node",
    "untyped_as",
    "value_comparison",
]


PLAIN_NUMBERS = frozenset({int, float})


EXACT_DOUBLE = 2**53


INTEGERS = frozenset({int})


STRINGS = frozenset({str, UntypedAtomic})


NATIVE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


VALUE_NAMES = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def compared(name: str, a: Any, b: Any, collation: Any, timezone: Any) -> bool:
    """Apply a value comparison to two atomic values that are not untyped."""
    cls = type(a)
    if cls is type(b) and (cls is int or cls is float):
        return bool(NATIVE[name](a, b))
    try:
        if name == "eq":
            return equal(a, b, collation, timezone)
        if name == "ne":
            return not equal(a, b, collation, timezone)
        if name == "lt":
            return less(a, b, collation, timezone)
        if name == "gt":
            return less(b, a, collation, timezone)
        if name == "le":
            return less(a, b, collation, timezone) or equal(a, b, collation, timezone)
        return less(b, a, collation, timezone) or equal(a, b, collation, timezone)
    except Incomparable as error:
        raise failure("XPTY0004", str(error)) from None


def value_comparison(name: str, a: Any, b: Any, collation: Any, timezone: Any) -> bool:
    """Compare two atomic values; untyped ones are strings (3.7.1)."""
    if type(a) is UntypedAtomic:
        a = a.value
    if type(b) is UntypedAtomic:
        b = b.value
    return compared(name, a, b, collation, timezone)


def untyped_as(value: UntypedAtomic, other: Any) -> Any:
    """Cast an untyped operand of a general comparison to the type the other one calls for (3.7.2)."""
    if isinstance(other, (str, UntypedAtomic, AnyURI)):
        return value.value
    if isinstance(other, (int, float, Decimal)) and type(other) is not bool:
        return operand(value)
    if isinstance(other, AbstractQName):
        raise failure("XPTY0004", "an untyped value does not compare with a name")
    local = type_name(other)
    for wanted in ("dayTimeDuration", "yearMonthDuration"):
        if derives_from(local, wanted):
            return cast_atomic(value, wanted)
    return cast_atomic(value, local)


def general_comparison(
    name: str, left: Sequence[Any], right: Sequence[Any], collation: Any, timezone: Any, meter: Any
) -> bool:
    """Tell whether some pair of atomic values compares true."""
    if type(left) is range and name == "eq":
        left, right = right, left
        if type(left) is range:
            return bool(left and right) and max(left[0], right[0]) <= min(left[-1], right[-1])
    for a in left:
        if type(right) is range and name == "eq" and type(a) is int:
            meter.step()
            if a in right:
                return True
            continue
        for b in right:
            meter.step()
            x, y = a, b
            if type(x) is UntypedAtomic:
                x = untyped_as(x, y)
            if type(y) is UntypedAtomic:
                y = untyped_as(y, a)
            if compared(name, x, y, collation, timezone):
                return True
    return False


@token("=", "!=", "<", "<=", ">", ">=", lbp=30)
class GeneralComparison(Binary):
    """``=`` and its kind."""

    chained = False

    def nud(self) -> Any:
        """Parse a direct constructor, if this is ``<``."""
        if self.symbol != "<":
            raise self.unexpected_here()
        from clacks.xquery.direct import DirectConstructor

        return DirectConstructor.at(self).begin()

    def led(self, left: Any) -> Any:
        """Parse the right operand."""
        self.static = self.parser.static
        self.is_equality = self.symbol in ("=", "!=")
        self.codepoints = self.static.default_collation == CODEPOINT
        return super().led(left)

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        return [self.truth(ctx)]

    def truth(self, ctx: Context) -> bool:
        """Return the boolean."""
        left = atomize(self._items[0].run(ctx))
        return bool(left) and self.holds(left, atomize(self._items[1].run(ctx)), ctx.execution)

    def holds(self, left: Sequence[Any], right: Sequence[Any], execution: Any) -> bool:
        """Compare two sequences of atomic values."""
        if len(left) == 1 and len(right) == 1:
            a, b = left[0], right[0]
            cls = type(b)
            if cls in PLAIN_NUMBERS:
                if type(a) is UntypedAtomic:
                    a = operand(a)
                    b = float(b) if -EXACT_DOUBLE < b < EXACT_DOUBLE else b
                if type(a) is type(b):
                    return bool(NATIVE[VALUE_NAMES[self.symbol]](a, b))
            if self.is_equality and cls in STRINGS and type(a) in STRINGS and self.codepoints:
                return bool((str(a) == str(b)) is (self.symbol == "="))
        if self.symbol == "=" and type(left) is list and type(right) is list:
            # Two sequences of integers, or of strings (untyped values compare as such): do they share one?
            classes = {*map(type, left), *map(type, right)}
            if classes <= INTEGERS or (classes <= STRINGS and self.codepoints):
                execution.meter.step(len(left) + len(right))
                if classes <= INTEGERS:
                    return not set(left).isdisjoint(right)
                return not set(map(str, left)).isdisjoint(map(str, right))
        return general_comparison(
            VALUE_NAMES[self.symbol], left, right, self.collation, execution.timezone, execution.meter
        )

    @property
    def collation(self) -> Any:
        """Return the collation of this comparison."""
        return find_collation(self.static.default_collation, self.static.base_uri)


@named_operator("eq", "ne", "lt", "le", "gt", "ge", lbp=30)
class ValueComparison(Binary):
    """``eq`` and its kind."""

    chained = False

    def led(self, left: Any) -> Any:
        """Parse the right operand."""
        self.static = self.parser.static
        self.codepoints = self.static.default_collation == CODEPOINT
        return super().led(left)

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean, or nothing if an operand is empty."""
        found = self.atom(ctx)
        return EMPTY if found is None else [found]

    def truth(self, ctx: Context) -> bool:
        """Return the boolean, false if an operand is empty."""
        return self.atom(ctx) is True

    def atom(self, ctx: Context) -> bool | None:
        """Return the boolean, None if an operand is empty."""
        a = self._items[0].atom(ctx)
        if a is None:
            return None
        b = self._items[1].atom(ctx)
        if b is None:
            return None
        cls = type(a)
        if cls is type(b) and (cls in PLAIN_NUMBERS or (cls is str and self.codepoints)):
            return bool(NATIVE[self.symbol](a, b))
        return value_comparison(self.symbol, a, b, self.collation, ctx.execution.timezone)

    @property
    def collation(self) -> Any:
        """Return the collation of this comparison."""
        return find_collation(self.static.default_collation, self.static.base_uri)


def one_node(value: Sequence[Any]) -> Any:
    """Return the one node of a sequence, None if it is empty."""
    if not value:
        return None
    if len(value) > 1 or not isinstance(value[0], Node):
        raise failure("XPTY0004", "node comparisons want one node")
    return value[0]


class NodeComparison(Binary):
    """``is``, ``<<``, ``>>``."""

    chained = False

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean, or nothing if an operand is empty."""
        a = one_node(self._items[0].run(ctx))
        b = one_node(self._items[1].run(ctx))
        if a is None or b is None:
            return EMPTY
        if self.symbol == "is":
            return [a is b]
        if a is b:
            return [False]
        return [a.position < b.position if self.symbol == "<<" else a.position > b.position]


named_operator("is", lbp=30)(NodeComparison)
token("<<", ">>", lbp=30)(type("NodeOrder", (NodeComparison,), {"__module__": __name__}))
