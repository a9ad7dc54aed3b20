"""Reading raw text by offsets, with enclosed expressions in it.

The scanner works on the source. At an enclosed expression it lets the parser resume after the brace and goes
on after the closing one, which the parser has seen but not passed: the text behind it is never read as
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clacks.common.errors import QuerySyntaxError
from clacks.xquery.errors import syntax_failure
from clacks.xquery.lexer import Unit, qname_end
from clacks.xquery.names import Name
from clacks.xquery.references import resolve_references
from clacks.xquery.tokens import Expression

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser


__all__ = ["Enclosed", "Piece", "Scanner"]


SPACE = re.compile(r"[ \t\r\n]*")


REFERENCE = re.compile(r"&(?:#[0-9]+|#x[0-9a-fA-F]+|[A-Za-z]+);")


class Scanner:
    """Reads raw text from an offset on."""

    def __init__(self, parser: XQueryParser, offset: int) -> None:
        self.parser = parser
        self.source = parser.source
        self.offset = offset

    def wrong(self, code: str, reason: str, offset: int | None = None) -> QuerySyntaxError:
        """Make an error here."""
        return syntax_failure(code, reason, self.source, self.offset if offset is None else offset)

    def at(self, text: str) -> bool:
        """Tell whether ``text`` is next."""
        return self.source.startswith(text, self.offset)

    def take(self, text: str) -> None:
        """Go over ``text``."""
        if not self.at(text):
            found = self.source[self.offset : self.offset + 10] or "the end of the query"
            raise self.wrong("XPST0003", f"unexpected {found!r}, wanted {text!r}")
        self.offset += len(text)

    def space(self) -> bool:
        """Go over whitespace and tell whether there was any."""
        match = SPACE.match(self.source, self.offset)
        assert match is not None
        moved = match.end() > self.offset
        self.offset = match.end()
        return moved

    def name(self) -> Name:
        """Read a QName."""
        start = self.offset
        self.offset = qname_end(self.source, start)
        if self.offset == start:
            raise self.wrong("XPST0003", "a name is missing")
        return Name(self.parser, Unit("name", self.source[start : self.offset], start, self.offset))

    def until(self, mark: str, what: str) -> str:
        """Read up to ``mark`` and go over it."""
        end = self.source.find(mark, self.offset)
        if end < 0:
            raise self.wrong("XPST0003", f"{what} has no end")
        text = self.source[self.offset : end]
        self.offset = end + len(mark)
        return text

    def reference(self) -> str:
        """Read a character reference or predefined entity."""
        match = REFERENCE.match(self.source, self.offset)
        if match is None:
            raise self.wrong("XPST0003", "'&' begins no reference")
        text = resolve_references(match.group(), self)
        self.offset = match.end()
        return text

    @property
    def span(self) -> tuple[int, int]:
        """Return the place, for errors of references."""
        return self.offset, self.offset

    def enclosed(self) -> Any:
        """Read ``{ Expr? }`` and return the expression, None if there is none."""
        parser = self.parser
        parser.resume(self.offset + 1)
        body = None if parser.next_token.symbol == "}" else parser.expression()
        closing = parser.next_token
        if closing.symbol != "}":
            raise parser.unexpected(closing, "'}'")
        self.offset = closing.span[1]
        return body


class Piece(Expression):
    """Literal text inside a direct constructor; ``value`` is the text."""

    symbol = "text-piece"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the text."""
        return [self.value]


class Enclosed(Expression):
    """An enclosed expression inside a direct constructor; its one item is the expression."""

    symbol = "enclosed"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the expression."""
        return self._items[0].run(ctx) if self._items else []
