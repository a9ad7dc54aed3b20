"""Literals, variables, sequences, and the operators on values (comparisons are in ``comparisons``).

Every binary operator has its two operands as items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import UntypedAtomic

from clacks.common.errors import QuerySyntaxError
from clacks.xquery.arithmetic import NATIVE, OPERATIONS, negate, operand
from clacks.xquery.axes import in_document_order
from clacks.xquery.casts import cast_atomic
from clacks.xquery.conversion import atomize_one, describe, string_of_item
from clacks.xquery.errors import failure
from clacks.xquery.nodes import Node
from clacks.xquery.references import resolve_references
from clacks.xquery.sequence_types import EXACT
from clacks.xquery.tokens import Expression, named_operator, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.lexer import Unit
    from clacks.xquery.parser import XQueryParser

__all__ = ["EMPTY", "Binary", "Comma", "Literal", "Parenthesized", "Variable"]

EMPTY: list[Any] = []


class Literal(Expression):
    """A constant; ``value`` is it."""

    label = "literal"

    def nud(self) -> Any:
        """Take nothing."""
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the constant."""
        return [self.value]

    def atom(self, ctx: Context) -> Any:
        """Return the constant itself."""
        return self.value


@token("(number)")
class Number(Literal):
    """An integer, decimal or double; its symbol becomes (integer), (decimal) or (double)."""

    def __init__(self, parser: XQueryParser, unit: Unit) -> None:
        super().__init__(parser, unit)
        text = unit.text
        if "e" in text or "E" in text:
            self.symbol = "(double)"
            self.value = float(text)
        elif "." in text:
            self.symbol = "(decimal)"
            self.value = Decimal(text)
        else:
            self.symbol = "(integer)"
            if len(text) > 4000:
                raise self.wrong("FOAR0002", "an integer of more than 4,000 digits")
            self.value = int(text)

    @property
    def described(self) -> str:
        """Return the literal."""
        return repr(self.value)


@token("(string)")
class String(Literal):
    """A string; references in it are resolved."""

    def __init__(self, parser: XQueryParser, unit: Unit) -> None:
        super().__init__(parser, unit)
        quote = unit.text[0]
        text = unit.text[1:-1].replace(quote * 2, quote)
        self.value = text
        self.failed: QuerySyntaxError | None = None
        if "&" in text:
            # A token that was only looked at (in the raw text behind a constructor) must not fail.
            try:
                self.value = resolve_references(text, self)
            except QuerySyntaxError as error:
                self.failed = error

    def nud(self) -> Any:
        """Take nothing."""
        self.text()
        return self

    def text(self) -> str:
        """Return the string; the error if a reference in it is wrong."""
        if self.failed is not None:
            raise self.failed
        text: str = self.value
        return text

    @property
    def described(self) -> str:
        """Return the literal."""
        return repr(self.value)


@token("$")
class Variable(Expression):
    """``$name``.

    Attributes:
        name: Expanded name.
        slot: Slot in the frame, None for a global variable.
        declaration: The global declaration, set when the modules are linked.
    """

    label = "variable"
    name = ""
    slot: int | None = None
    declaration: Any = None

    def nud(self) -> Any:
        """Parse the name and find the binding."""
        parser = self.parser
        name = parser.qname()
        self.name = name.expand()
        self.value = name.value
        slot = parser.scope.find(self.name)
        if slot is not None:
            return LocalVariable.of(self, slot, slot in parser.scope.singles)
        parser.module.wanted_variables.append(self)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the value of the declaration."""
        found: Sequence[Any] = self.declaration.value_in(ctx)
        return found


class LocalVariable(Variable):
    """A variable that has a slot; most tokens that run are this one."""

    symbol = "$"
    slot: int
    single = False

    @classmethod
    def of(cls, variable: Variable, slot: int, single: bool) -> LocalVariable:
        """Make one in place of ``variable``; ``single`` if its value is always one item."""
        self = cls.at(variable)
        self.name = variable.name
        self.slot = slot
        self.single = single
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the value in the frame."""
        value: Sequence[Any] = ctx.frame[self.slot]
        return value

    def atom(self, ctx: Context) -> Any:
        """Return the one atomic value."""
        value = ctx.frame[self.slot]
        if len(value) == 1:
            item = value[0]
            if type(item) in EXACT:
                return item
        return atomize_one(value)


@token("(", lbp=80)
class Parenthesized(Expression):
    """``(Expr?)``; the item is the expression, none for the empty sequence. After an operand: a dynamic
    call.
    """

    def nud(self) -> Any:
        """Parse up to the closing parenthesis."""
        if self.parser.next_token.symbol != ")":
            self._items = [self.parser.expression()]
        self.parser.advance(")")
        return self

    def led(self, left: Any) -> Any:
        """Become a dynamic call."""
        from clacks.xquery.calls import DynamicCall

        return DynamicCall.at(self).begin(left)

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate what is inside."""
        return self._items[0].run(ctx) if self._items else EMPTY

    def pieces(self, ctx: Context) -> Iterator[Sequence[Any]]:
        """Iterate over the parts of what is inside."""
        return self._items[0].pieces(ctx) if self._items else iter(())

    def atom(self, ctx: Context) -> Any:
        """Return the one atomic value."""
        return self._items[0].atom(ctx) if self._items else None

    def truth(self, ctx: Context) -> bool:
        """Return the effective boolean value."""
        return bool(self._items and self._items[0].truth(ctx))


@token(",", lbp=5)
class Comma(Expression):
    """``a, b, c``: all operands are items."""

    def led(self, left: Any) -> Any:
        """Parse one more operand."""
        right = self.parser.expression(5)
        if isinstance(left, Comma):
            left._items.append(right)
            return left
        self._items = [left, right]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Join the operands' sequences."""
        out: list[Any] = []
        for item in self._items:
            value = item.run(ctx)
            if type(value) is range:
                ctx.execution.meter.step(len(value))
            out.extend(value)
        ctx.execution.meter.step(len(out))
        return out


class Binary(Expression):
    """An operator between two operands.

    Attributes:
        chained: Whether ``a op b op c`` is allowed.
    """

    label = "operator"
    chained = True

    def led(self, left: Any) -> Any:
        """Parse the right operand."""
        self._items = [left, self.parser.expression(self.lbp)]
        if not self.chained and self.parser.next_token.lbp == self.lbp:
            raise self.parser.next_token.unexpected_here()
        return self


@named_operator("or", lbp=20)
class Or(Binary):
    """``or``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        return [self._items[0].truth(ctx) or self._items[1].truth(ctx)]

    def truth(self, ctx: Context) -> bool:
        """Return the boolean."""
        return bool(self._items[0].truth(ctx) or self._items[1].truth(ctx))


@named_operator("and", lbp=25)
class And(Binary):
    """``and``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        return [self._items[0].truth(ctx) and self._items[1].truth(ctx)]

    def truth(self, ctx: Context) -> bool:
        """Return the boolean."""
        return bool(self._items[0].truth(ctx) and self._items[1].truth(ctx))


@token("||", lbp=32)
class Concatenation(Binary):
    """``||``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Join two strings."""
        texts = []
        for item in self._items:
            value = item.atom(ctx)
            texts.append("" if value is None else string_of_item(value))
        ctx.execution.meter.text(len(texts[0]) + len(texts[1]))
        return ["".join(texts)]


@named_operator("to", lbp=35)
class Range(Binary):
    """``to``; the result is lazy."""

    chained = False

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return a range of integers."""
        low = self._items[0].atom(ctx)
        return EMPTY if low is None else self.between(low, self._items[1].atom(ctx))

    @staticmethod
    def between(low: Any, high: Any) -> Sequence[Any]:
        """Return the integers between two atomic values, empty if one is None.

        The first one is an error if it is no integer, though the second is empty (3.3.1: an operand is
        treated as an argument of a function).
        """
        if low is None:
            return EMPTY
        first = bound(low)
        if high is None:
            return EMPTY
        last = bound(high)
        if last < first:
            return EMPTY
        if last - first >= 2**62:
            raise failure("FOAR0002", "a range of more than 2^62 integers")
        return [first] if first == last else range(first, last + 1)


def bound(value: Any) -> int:
    """Return an end of a range; untyped values are cast."""
    if isinstance(value, UntypedAtomic):
        value = cast_atomic(value, "integer")
    if not isinstance(value, int) or type(value) is bool:
        raise failure("XPTY0004", f"a range goes from integer to integer, found {describe(value)}")
    return int(value)


SMALL = 2**30
"""Integers up to here need no look at their size before they are multiplied."""

NUMBERS = frozenset({int, float})

INTEGRAL = frozenset(["+", "-", "*"])
"""Operators that make an integer of integers."""


class Arithmetic(Binary):
    """A binary arithmetic operator."""

    native: Callable[[Any, Any], Any] | None = None
    keeps_integers = False

    def led(self, left: Any) -> Any:
        """Parse the right operand."""
        self.native = NATIVE.get(self.symbol)
        self.keeps_integers = self.symbol in INTEGRAL
        return super().led(left)

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one value, or nothing if an operand is empty."""
        value = self.atom(ctx)
        return EMPTY if value is None else [value]

    def atom(self, ctx: Context) -> Any:
        """Return the value, None if an operand is empty."""
        first, second = self._items
        a = first.atom(ctx)
        if type(a) not in NUMBERS:
            # An operand that is no number is an error, whatever the other one is: the index says so, too.
            a = operand(a)
            if a is None:
                return None
        b = second.atom(ctx)
        if type(b) not in NUMBERS:
            b = operand(b)
            if b is None:
                return None
        execution = ctx.execution
        meter = execution.meter
        meter.left -= 1
        if meter.left < meter.look_at:
            meter.check()
        cls = type(a)
        if cls is type(b) and self.native is not None:
            if cls is float:
                return self.native(a, b)
            if cls is int and self.keeps_integers and -SMALL < a < SMALL and -SMALL < b < SMALL:
                return self.native(a, b)
        return OPERATIONS[self.symbol](a, b, meter, execution.timezone)


@token("+", "-", lbp=40)
class Additive(Arithmetic):
    """``+`` and ``-``, binary and unary; a unary one has one item."""

    def nud(self) -> Any:
        """Parse the operand of a sign."""
        if self.parser.min_bp > 70:
            raise self.unexpected_here()
        sign = Sign.at(self)
        sign.symbol = self.symbol
        sign._items = [self.parser.expression(70)]
        return sign


class Sign(Expression):
    """``+`` or ``-`` before an operand."""

    label = "operator"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one value, or nothing if the operand is empty."""
        value = self.atom(ctx)
        return EMPTY if value is None else [value]

    def atom(self, ctx: Context) -> Any:
        """Return the value, None if the operand is empty."""
        value = operand(self._items[0].atom(ctx))
        if value is None:
            return None
        negative = negate(value)
        return negative if self.symbol == "-" else value


@token("*", lbp=45)
class Star(Arithmetic):
    """``*``: multiplication after an operand, a wildcard at the start of one."""

    is_wildcard = True

    def nud(self) -> Any:
        """Become a step."""
        from clacks.xquery.paths import Step
        from clacks.xquery.sequence_types import KindTest, NameTest

        return Step.at(self).to("child", KindTest("element", NameTest(None, None)))


named_operator("div", "idiv", "mod", lbp=45)(Arithmetic)


class SetOperation(Binary):
    """``union``, ``|``, ``intersect``, ``except``."""

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return nodes in document order."""
        left = self._items[0].run(ctx)
        right = self._items[1].run(ctx)
        for value in (left, right):
            for item in value:
                if not isinstance(item, Node):
                    raise failure("XPTY0004", f"{self.symbol} takes nodes, found {describe(item)}")
        ctx.execution.meter.step(len(left) + len(right))
        if self.symbol in ("|", "union"):
            return in_document_order([*left, *right])
        known = set(right)
        wanted = self.symbol == "intersect"
        return in_document_order([node for node in left if (node in known) is wanted])


token("|", lbp=50)(type("Union", (SetOperation,), {"__module__": __name__}))
named_operator("union", lbp=50)(SetOperation)
named_operator("intersect", "except", lbp=55)(SetOperation)
