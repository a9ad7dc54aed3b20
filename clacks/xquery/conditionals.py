"""``if``, ``switch``, ``typeswitch``, ``some`` and ``every``, ``try``, and the small prefix expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import QName, UntypedAtomic

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.xquery import hot
from clacks.xquery.collation import find_collation
from clacks.xquery.compare import Incomparable, equal
from clacks.xquery.conversion import atomize_one, mismatch
from clacks.xquery.errors import ERR_NAMESPACE
from clacks.xquery.nodes import split_name
from clacks.xquery.sequence_types import SequenceType
from clacks.xquery.tokens import Expression, keyword, token
from clacks.xquery.types_parser import parse_sequence_type

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["If", "Quantified", "Switch", "Try", "Typeswitch"]


class Keyword(Expression):
    """An expression that begins with a word; it is an operand only in parentheses."""

    def check_place(self) -> None:
        """Refuse a place inside an operator's operand."""
        if self.parser.min_bp > 5:
            raise self.unexpected_here()


@keyword("if", "(")
@token("if")
class If(Keyword):
    """``if (condition) then a else b``: three items."""

    def nud(self) -> Any:
        """Parse."""
        self.check_place()
        parser = self.parser
        parser.advance("(")
        condition = parser.expression()
        parser.advance(")")
        parser.take_name("then")
        first = parser.single()
        parser.take_name("else")
        self._items = [condition, first, parser.single()]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate one branch."""
        items = self._items
        result: Sequence[Any] = items[1].run(ctx) if items[0].truth(ctx) else items[2].run(ctx)
        return result


@keyword("switch", "(")
@token("switch")
class Switch(Keyword):
    """``switch``; items: operand, then for each case its operands and its result, last the default.

    Attributes:
        cases: Pairs of operands and result.
    """

    def nud(self) -> Any:
        """Parse."""
        self.check_place()
        parser = self.parser
        self.static = parser.static
        parser.advance("(")
        self._items = [parser.expression()]
        parser.advance(")")
        self.cases: list[tuple[list[Any], Any]] = []
        if not parser.is_name("case"):
            raise parser.unexpected(parser.next_token, "'case'")
        while parser.is_name("case"):
            operands = []
            while parser.is_name("case"):
                parser.advance()
                operands.append(parser.single())
            parser.take_name("return")
            result = parser.single()
            self.cases.append((operands, result))
            self._items.extend([*operands, result])
        parser.take_name("default")
        parser.take_name("return")
        self._items.append(parser.single())
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the result of the first case that equals the operand."""
        collation = find_collation(self.static.default_collation, self.static.base_uri)
        value = switch_value(self._items[0].run(ctx))
        for operands, result in self.cases:
            for operand in operands:
                if same(value, switch_value(operand.run(ctx)), collation, ctx.execution.timezone):
                    found: Sequence[Any] = result.run(ctx)
                    return found
        last: Sequence[Any] = self._items[-1].run(ctx)
        return last


def switch_value(value: Sequence[Any]) -> Any:
    """Atomize an operand of switch; untyped values become strings."""
    found = atomize_one(value)
    return found.value if isinstance(found, UntypedAtomic) else found


def same(a: Any, b: Any, collation: Any, timezone: Any) -> bool:
    """Tell whether two operands of switch are equal as by deep-equal."""
    if a is None or b is None:
        return a is b
    try:
        return equal(a, b, collation, timezone) or (a != a and b != b)
    except Incomparable:
        return False


@keyword("typeswitch", "(")
@token("typeswitch")
class Typeswitch(Keyword):
    """``typeswitch``; items: operand, results of the cases, result of the default.

    Attributes:
        cases: Triples of slot (or None), sequence types, result.
        default: Slot (or None) and result.
    """

    def nud(self) -> Any:
        """Parse."""
        self.check_place()
        parser = self.parser
        parser.advance("(")
        self._items = [parser.expression()]
        parser.advance(")")
        self.cases: list[tuple[int | None, list[SequenceType], Any]] = []
        if not parser.is_name("case"):
            raise parser.unexpected(parser.next_token, "'case'")
        while parser.is_name("case"):
            parser.advance()
            name = None
            if parser.next_token.symbol == "$":
                name = parser.variable_name()
                parser.take_name("as")
            types = [parse_sequence_type(parser)]
            while parser.next_token.symbol == "|":
                parser.advance()
                types.append(parse_sequence_type(parser))
            slot, result = self.branch(name)
            self.cases.append((slot, types, result))
        parser.take_name("default")
        name = parser.variable_name() if parser.next_token.symbol == "$" else None
        self.default = self.branch(name)
        return self

    def branch(self, name: str | None) -> tuple[int | None, Any]:
        """Parse ``return ExprSingle`` with a variable in scope."""
        parser = self.parser
        mark = parser.scope.mark()
        slot = None if name is None else parser.scope.declare(name)
        parser.take_name("return")
        result = parser.single()
        parser.scope.release(mark)
        self._items.append(result)
        return slot, result

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the first branch whose type fits."""
        value = self._items[0].run(ctx)
        slot, result = next(
            ((slot, result) for slot, types, result in self.cases if any(t.matches(value) for t in types)),
            self.default,
        )
        if slot is not None:
            ctx.frame[slot] = value
        found: Sequence[Any] = result.run(ctx)
        return found


@keyword("some", "$")
@keyword("every", "$")
@token("some", "every")
class Quantified(Keyword):
    """``some`` and ``every``; items: the ranges, then the condition.

    Attributes:
        bindings: Pairs of slot and declared type (or None), one for each range.
    """

    def nud(self) -> Any:
        """Parse."""
        self.check_place()
        parser = self.parser
        self.is_some = self.value == "some"
        self.symbol = self.value
        mark = parser.scope.mark()
        self.bindings: list[tuple[int, SequenceType | None]] = []
        while True:
            name = parser.variable_name()
            wanted = None
            if parser.is_name("as"):
                parser.advance()
                wanted = parse_sequence_type(parser)
            parser.take_name("in")
            self._items.append(parser.single())
            self.bindings.append((parser.scope.declare(name, single=True), wanted))
            if parser.next_token.symbol != ",":
                break
            parser.advance()
        parser.take_name("satisfies")
        self._items.append(parser.single())
        parser.scope.release(mark)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return one boolean."""
        return [self.truth(ctx)]

    def truth(self, ctx: Context) -> bool:
        """Return the boolean."""
        return self.holds(ctx, 0)

    def holds(self, ctx: Context, index: int) -> bool:
        """Try the values of one range after the other."""
        slot, wanted = self.bindings[index]
        frame = ctx.frame
        meter = ctx.execution.meter
        last = index + 1 == len(self.bindings)
        truth = self._items[-1].truth
        items = self._items[index].run(ctx)
        code: hot.Rounds | None = None
        for rounds, item in enumerate(items):
            if rounds == hot.OFTEN and last and wanted is None:
                code = hot.hot_loop(self, [self._items[-1]], meter)
                if code is not None:
                    break
            meter.left -= 1
            if meter.left < meter.look_at:
                meter.check()
            if wanted is not None and not wanted.matches([item]):
                raise mismatch([item], wanted, "bound value")
            frame[slot] = [item]
            if (truth(ctx) if last else self.holds(ctx, index + 1)) is self.is_some:
                return self.is_some
        if code is not None:
            pieces = hot.slices(items, hot.OFTEN)
            if any(code(ctx, piece, before) for before, piece in pieces):
                return bool(self.is_some)
        return not self.is_some


ERROR_VARIABLES = ("code", "description", "value", "module", "line-number", "column-number", "additional")


@keyword("try", "{")
@token("try")
class Try(Keyword):
    """``try``; items: the body, then the handlers.

    Attributes:
        handlers: Pairs of tests (``NameTest``) and handler.
        slots: Slots of the err: variables.
    """

    def nud(self) -> Any:
        """Parse."""
        self.check_place()
        parser = self.parser
        body = parser.enclosed()
        self.body = body
        self._items = [] if body is None else [body]
        self.handlers: list[tuple[list[Any], Any, list[int]]] = []
        from clacks.xquery.paths import Step

        if not parser.is_name("catch"):
            raise parser.unexpected(parser.next_token, "'catch'")
        while parser.is_name("catch"):
            word = parser.advance()
            tests: list[Any] = []
            while True:
                step = Step.at(word)
                found = parser.next_token
                if found.symbol == "*":
                    parser.advance()
                    tests.append(None)
                elif found.symbol == "(name)":
                    parser.advance()
                    tests.append(step.name_test(found, "attribute").name)
                else:
                    raise parser.unexpected(found, "an error name")
                if parser.next_token.symbol != "|":
                    break
                parser.advance()
            mark = parser.scope.mark()
            slots = [parser.scope.declare(f"{{{ERR_NAMESPACE}}}{name}") for name in ERROR_VARIABLES]
            handler = parser.enclosed()
            parser.scope.release(mark)
            self.handlers.append((tests, handler, slots))
            if handler is not None:
                self._items.append(handler)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the body; if it fails, the first handler that takes the error. Budgets are never
        caught.
        """
        depth = ctx.execution.meter.depth
        try:
            return [] if self.body is None else self.body.run(ctx)
        except QueryBudgetExceeded:
            raise
        except QueryError as error:
            if getattr(error, "uncatchable", False):
                raise
            ctx.execution.meter.depth = depth
            name = error_name(error)
            for tests, handler, slots in self.handlers:
                if any(test is None or test.accepts(name) for test in tests):
                    for slot, value in zip(slots, error_values(error, name, self)):
                        ctx.frame[slot] = value
                    found: Sequence[Any] = [] if handler is None else handler.run(ctx)
                    return found
            raise


def error_name(error: QueryError) -> str:
    """Return the expanded name of an error's code."""
    code = error.code
    return (
        code[1:]
        if code.startswith("Q{}") is False and code.startswith("Q{")
        else (code[3:] if code.startswith("Q{}") else f"{{{ERR_NAMESPACE}}}{code}")
    )


def error_values(error: QueryError, name: str, token: Expression) -> list[Sequence[Any]]:
    """Return the values of the err: variables."""
    from clacks.xquery.places import place

    place(error, token)
    uri, local = split_name(name)
    prefix = getattr(error, "prefix", None) or ("err" if uri == ERR_NAMESPACE else "")
    code = QName(uri, f"{prefix}:{local}" if prefix and uri else local)
    return [
        [code],
        [] if error.reason is None else [error.reason],
        list(error.value),
        [],
        [] if error.line is None else [error.line],
        [] if error.column is None else [error.column],
        [],
    ]


@keyword("ordered", "{")
@keyword("unordered", "{")
@token("ordered")
class Ordered(Expression):
    """``ordered {}`` and ``unordered {}``: we always keep the order, which both allow."""

    def nud(self) -> Any:
        """Parse."""
        body = self.parser.enclosed()
        self._items = [] if body is None else [body]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the body."""
        return self._items[0].run(ctx) if self._items else []


@keyword("validate", "{")
@keyword("validate", "(name)")
class Validate(Expression):
    """``validate``: refused, as there is no schema."""

    def nud(self) -> Any:
        """Refuse, if this is a validate expression at all."""
        parser = self.parser
        if parser.next_token.symbol == "(name)" and not parser.is_name("lax", "strict", "type"):
            return None
        raise self.wrong("XQST0075", "validation is not supported")
