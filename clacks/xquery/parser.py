"""The parser: Pratt's method on elementpath's XPath31Parser, with a lexer and token classes of our own.

The parser holds what is known while a text is read: the place, the static context (``static``), the scope of
local variables (``scope``), and the module that is being made. After compiling only tokens, static contexts
and the module live on. elementpath's own table is never changed: this class has a copy.
"""

from __future__ import annotations

from typing import Any

from elementpath.xpath31 import XPath31Parser

from clacks.common.errors import QueryBudgetExceeded, QuerySyntaxError
from clacks.xquery.budget import BUDGET_CODE
from clacks.xquery.errors import locate, syntax_failure
from clacks.xquery.lexer import Unit, scan
from clacks.xquery.modules import Module
from clacks.xquery.names import Name
from clacks.xquery.scope import Scope
from clacks.xquery.static import StaticContext
from clacks.xquery.tokens import TOKENS, Expression, token

__all__ = ["MAX_NESTING", "XQueryParser"]

MAX_NESTING = 400
"""Expressions inside one another; deeper ones are refused before Python's own stack ends."""


@token("(end)")
class End(Expression):
    """The end of the text."""


@token("(invalid)")
class Invalid(Expression):
    """Something that is no unit of the language; an error only where a token is wanted."""

    def unexpected_here(self) -> QuerySyntaxError:
        """Say what could not be read."""
        if not self.value:
            return self.wrong("XPST0003", "a comment has no end")
        return self.wrong("XPST0003", f"cannot read {self.value[:20]!r}")


class Plain(Expression):
    """A token that is only punctuation where it stands."""


PUNCTUATION = [")", "]", "}", ";", "::", ":=", "#", "#)", ":", "]``", "{"]


class XQueryParser(XPath31Parser):
    """Parse one module.

    Args:
        source: The text.
        static: The static context to start from; the prolog changes it.
        module: The module that is being made.
    """

    version = "3.1"

    def __init__(self, source: str, static: StaticContext, module: Module) -> None:
        self.source = source
        self.static = static
        self.module = module
        self.scope = Scope()
        self.min_bp = 0
        self.meter: Any = None
        self.nesting = 0
        self.tolerant = 0
        self.tolerated = 0
        self.end = 0
        self.token: Any = None
        self.next_token: Any = None

    @property
    def namespaces(self) -> dict[str, str]:  # type: ignore[override]
        """Return the statically known namespaces."""
        return self.static.namespaces

    def resume(self, offset: int) -> None:
        """Read the next token at ``offset``, whatever was read before."""
        unit = scan(self.source, offset)
        self.end = unit.end
        self.next_token = self.make(unit)

    def make(self, unit: Unit) -> Expression:
        """Make the token of a unit."""
        kind = unit.kind
        table = self.symbol_table
        if kind == "name":
            return Name(self, unit)
        if kind == "operator":
            return table[unit.text](self, unit)  # type: ignore[arg-type, return-value]
        return table[f"({kind})"](self, unit)  # type: ignore[arg-type, return-value]

    def advance(self, *symbols: str, message: str | None = None) -> Any:
        """Go on by one token; if ``symbols`` are given it must be one of them."""
        current = self.next_token
        if symbols and current.symbol not in symbols:
            raise self.unexpected(current, " or ".join(repr(s) for s in symbols))
        self.token = current
        self.step(1)
        unit = scan(self.source, self.end)
        self.end = unit.end
        self.next_token = self.make(unit)
        return current

    def step(self, count: int) -> None:
        """Count work against the budget of compiling."""
        if self.meter is not None:
            self.meter.step(count)

    def unexpected(self, found: Any, wanted: str = "") -> QuerySyntaxError:
        """Make the error for a token that does not fit, saying what was wanted."""
        if found.symbol == "(invalid)":
            error: QuerySyntaxError = found.unexpected_here()
            return error
        return syntax_failure(
            "XPST0003", f"unexpected {found.described}, wanted {wanted}", self.source, found.span[0]
        )

    def expression(self, rbp: int = 0) -> Any:
        """Parse an expression whose operators bind tighter than ``rbp``: 0 for Expr, 5 for ExprSingle."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.check_nesting(self.next_token.span[0])
        current = self.advance()
        self.min_bp = rbp
        left = current.nud()
        while rbp < self.next_token.lbp:
            current = self.advance()
            left = current.led(left)
        self.nesting -= 1
        return left

    def check_nesting(self, offset: int) -> None:
        """Refuse expressions that are nested too deeply for the interpreter's stack."""
        if self.nesting > MAX_NESTING:
            error = QueryBudgetExceeded(BUDGET_CODE, f"expressions nested deeper than {MAX_NESTING}")
            raise locate(error, self.source, offset)

    def single(self) -> Any:
        """Parse an ExprSingle."""
        return self.expression(5)

    def is_name(self, *values: str) -> bool:
        """Tell whether the next token is one of these plain names."""
        found = self.next_token
        return found.symbol == "(name)" and found.uri is None and found.value in values

    def take_name(self, *values: str) -> Any:
        """Go on over one of these plain names."""
        if not self.is_name(*values):
            raise self.unexpected(self.next_token, " or ".join(repr(v) for v in values))
        return self.advance()

    def qname(self) -> Name:
        """Go on over a name (no wildcard) and return it."""
        found = self.next_token
        if found.symbol != "(name)" or found.is_wildcard:
            raise self.unexpected(found, "a name")
        self.advance()
        name: Name = found
        return name

    def variable_name(self) -> str:
        """Read ``$name`` and return the expanded name."""
        self.advance("$")
        return self.qname().expand()

    def namespace_of(self, prefix: str, at: Any) -> str:
        """Return the namespace of a prefix; XPST0081 if there is none."""
        try:
            return self.static.namespaces[prefix]
        except KeyError:
            if self.tolerant:
                self.tolerated += 1
                return "urn:clacks:undeclared"
            raise at.wrong("XPST0081", f"prefix {prefix!r} is not declared") from None

    def enclosed(self, *, optional: bool = True) -> Any:
        """Parse ``{ Expr? }`` and return the expression, None if there is none."""
        self.advance("{")
        if optional and self.next_token.symbol == "}":
            self.advance()
            return None
        body = self.expression()
        self.advance("}")
        return body


def install() -> None:
    """Put our token classes into the parser's own symbol table."""
    from clacks.xquery import expressions  # noqa: F401 - registers all token classes

    for symbol in PUNCTUATION:
        if symbol not in TOKENS:
            token(symbol)(type("Plain", (Plain,), {}))
    XQueryParser.symbol_table.update(TOKENS)
