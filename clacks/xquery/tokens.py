"""The base of all tokens of a query, and how names become expressions.

A token is made by the lexer, takes its operands while it is parsed (``nud`` at the start of an expression,
``led`` after a left operand), and evaluates itself (``run``). Its operands are its items: ``list(token)``.
What is no expression (names, types, axes) are attributes. Tokens are never changed after the query is
compiled.

``run(ctx)`` returns a sequence: a list, or a ``range`` of integers. Nobody changes a sequence he was given.

The tree is regular, so that others may read it (symbol: items; attributes)::

    (integer) (decimal) (double) (string): none; value
    $: none; name (expanded), slot or declaration
    .  root: none
    step: predicates; axis, test, simple_name (expanded, if the test is a plain name)
    /: left, right            !: left, right            [: primary, predicate
    ,: all operands           (: the expression, or none
    or and = != < <= > >= eq ne lt le gt ge is << >> || to + - * div idiv mod | union intersect except:
        left, right
    + - as signs: operand
    instance treat: operand; type            cast castable: operand; local, optional
    call: arguments; name, arity, declaration or library      reference: none; name, arity
    dynamic: function, arguments              inline: body; declaration
    map: key, value, key, value, ...          array: members          curly-array: the expression, or none
    ?: operand (none if unary), key expression (if it is one); key, all
    flwor: all expressions of clauses, return; clauses (kind, slots, expressions)
    if: condition, then, else                 some every: ranges, condition; bindings
    switch typeswitch try: see conditionals
    element attribute text comment document processing-instruction namespace: name expression, content; name
    direct-element: attributes, content; name, expanded_name
    text-piece: none; value                   enclosed: the expression, or none

``truth(ctx)`` and ``atom(ctx)`` are what conditions and operators ask for: the effective boolean value, and
the one atomic value. ``select`` and ``evaluate`` are ``run`` for elementpath's function classes that take a
token as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from elementpath.xpath_tokens import XPathToken

from clacks.xquery.conversion import atomize_one, boolean_value
from clacks.xquery.errors import syntax_failure
from clacks.xquery.lexer import Unit
from clacks.xquery.sequence_types import EXACT

if TYPE_CHECKING:
    from clacks.common.errors import QuerySyntaxError
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser

__all__ = ["KEYWORDS", "OPERATOR_NAMES", "TOKENS", "Expression", "keyword", "named_operator", "token"]

T = TypeVar("T", bound="type[Expression]")

TOKENS: dict[str, type[Expression]] = {}
"""Token classes by symbol; the parser puts them into its symbol table."""

KEYWORDS: dict[tuple[str, str], type[Expression]] = {}
"""Expressions that begin with a name: by the name and the symbol of the next token."""

OPERATOR_NAMES: dict[str, type[Expression]] = {}
"""Operators that are spelt as names."""


FOCUS_FREE = frozenset(
    [
        "$",
        "(",
        ",",
        "+",
        "-",
        "*",
        "div",
        "idiv",
        "mod",
        "to",
        "=",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "||",
        "and",
        "or",
        "(integer)",
        "(decimal)",
        "(double)",
        "(string)",
    ]
)
"""Symbols of tokens whose value depends on nothing but their operands and the frame."""


class Expression(XPathToken):
    """A token that evaluates itself.

    Attributes:
        symbol: What kind of token it is; the key of the symbol table.
        lbp: Left binding power: how tightly it binds what stands before it; 0 if it cannot follow an operand.
        value: The text of the unit it was made from, or the value of a literal.
        span: Start and end offsets in the source.
    """

    symbol = "(expression)"
    label = "expression"
    lbp = 0
    parser: XQueryParser
    value: Any
    name: Any
    _items: list[Any]
    _ignores_focus: bool | None = None

    def __init__(self, parser: XQueryParser, unit: Unit) -> None:
        self._items = []
        self.parser = parser
        self.value = unit.text
        self.span = (unit.start, unit.end)

    @classmethod
    def at(cls, other: Expression) -> Self:
        """Make a token of this class in place of ``other``, with its text and place."""
        self = cls.__new__(cls)
        self._items = []
        self.parser = other.parser
        self.value = other.value
        self.span = other.span
        return self

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def nud(self) -> Any:
        """Parse at the start of an expression."""
        raise self.unexpected_here()

    def led(self, left: Any) -> Any:
        """Parse after ``left``."""
        raise self.unexpected_here()

    def unexpected_here(self) -> QuerySyntaxError:
        """Make the error for a token that does not fit its place."""
        return self.wrong("XPST0003", f"unexpected {self.described}")

    @property
    def described(self) -> str:
        """Return the token's name for messages."""
        return repr(self.value) if self.value else "end of the query"

    def wrong(self, code: str, reason: str) -> QuerySyntaxError:
        """Make a static error at this token."""
        return syntax_failure(code, reason, self.parser.source, self.span[0])

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate and return a sequence."""
        raise NotImplementedError(self.symbol)

    def pieces(self, ctx: Context) -> Iterator[Sequence[Any]]:
        """Evaluate and iterate over parts of the sequence, as they are made."""
        yield self.run(ctx)

    def truth(self, ctx: Context) -> bool:
        """Evaluate and return the effective boolean value."""
        return boolean_value(self.run(ctx))

    def atom(self, ctx: Context) -> Any:
        """Evaluate and return the one atomic value, None if it is empty; XPTY0004 if there are more."""
        value = self.run(ctx)
        if len(value) == 1:
            item = value[0]
            if type(item) in EXACT:
                return item
        return atomize_one(value)

    def select(self, context: Any = None) -> Iterator[Any]:
        """Evaluate and iterate over the items."""
        return iter(self.run(context))

    def evaluate(self, context: Any = None) -> Any:
        """Evaluate and return the item if there is just one, else a list."""
        value = self.run(context)
        return value[0] if len(value) == 1 else list(value)

    @property
    def ignores_focus(self) -> bool:
        """Tell whether the value is surely the same for each context item."""
        known = self._ignores_focus
        if known is None:
            known = self._ignores_focus = all(part.symbol in FOCUS_FREE for part in self.walk())
        return known

    def walk(self) -> Iterator[Expression]:
        """Iterate over this token and all below it, without recursion."""
        stack: list[Expression] = [self]
        while stack:
            token = stack.pop()
            yield token
            stack.extend(reversed(token._items))


def token(*symbols: str, lbp: int = 0) -> Callable[[T], T]:
    """Register a class as the token of some symbols."""

    def register(cls: T) -> T:
        cls.symbol = symbols[0]
        cls.lbp = lbp
        for symbol in symbols:
            if symbol != symbols[0]:
                twin: Any = type(cls.__name__, (cls,), {"symbol": symbol, "__module__": cls.__module__})
                TOKENS[symbol] = twin
            else:
                TOKENS[symbol] = cls
        return cls

    return register


def keyword(name: str, *following: str) -> Callable[[T], T]:
    """Register a class as what ``name`` begins if the next token's symbol is one of ``following``."""

    def register(cls: T) -> T:
        for symbol in following:
            KEYWORDS[name, symbol] = cls
        return cls

    return register


def named_operator(*names: str, lbp: int) -> Callable[[T], T]:
    """Register a class as the operator that is spelt as ``names``."""

    def register(cls: T) -> T:
        for name in names:
            twin: Any = type(cls.__name__, (cls,), {"symbol": name, "lbp": lbp, "__module__": cls.__module__})
            OPERATOR_NAMES[name] = twin
        return cls

    return register
