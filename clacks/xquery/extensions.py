"""Extension expressions and string constructors, both read as raw text (XQuery 3.1, 3.10 and 3.20)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clacks.xquery.builder import joined_text
from clacks.xquery.scanner import Enclosed, Piece, Scanner
from clacks.xquery.tokens import Expression, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context


__all__ = ["Pragma", "StringConstructor"]


@token("(#")
class Pragma(Expression):
    """``(# name text #) { Expr }``; we know no pragmas, so this is its one item."""

    def nud(self) -> Any:
        """Read the pragmas, then the expression."""
        parser = self.parser
        scanner = Scanner(parser, self.span[0])
        while scanner.at("(#"):
            scanner.offset += 2
            scanner.space()
            parser.resume(scanner.offset)
            name = parser.next_token
            if name.symbol != "(name)" or name.is_wildcard:
                raise parser.unexpected(name, "the name of a pragma")
            if name.uri is None and not name.prefix:
                raise name.wrong("XPST0081", "the name of a pragma has a prefix")
            name.find_namespace("")
            scanner.offset = name.span[1]
            if not scanner.space() and not scanner.at("#)"):
                raise scanner.wrong("XPST0003", "a space is missing in a pragma")
            scanner.until("#)", "a pragma")
            scanner.space()
        parser.resume(scanner.offset)
        body = parser.enclosed()
        if body is None:
            raise self.wrong("XQST0079", "an extension expression without a known pragma needs an expression")
        self._items = [body]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the expression."""
        value: Sequence[Any] = self._items[0].run(ctx)
        return value


@token("``[")
class StringConstructor(Expression):
    """``` ``[text `{Expr}` text]`` ```; items are text pieces and enclosed expressions."""

    def nud(self) -> Any:
        """Read up to the end."""
        parser = self.parser
        scanner = Scanner(parser, self.span[1])
        parts: list[Any] = []
        mark = re.compile(r"`\{|\]``")
        while True:
            found = mark.search(scanner.source, scanner.offset)
            if found is None:
                raise self.wrong("XPST0003", "a string constructor has no end")
            piece = Piece.at(self)
            piece.value = scanner.source[scanner.offset : found.start()]
            parts.append(piece)
            scanner.offset = found.end()
            if found.group() == "]``":
                break
            scanner.offset -= 1
            enclosed = Enclosed.at(self)
            body = scanner.enclosed()
            enclosed._items = [] if body is None else [body]
            scanner.take("`")
            parts.append(enclosed)
        self._items = parts
        parser.resume(scanner.offset)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the string."""
        text = "".join(
            item.value if isinstance(item, Piece) else joined_text(item.run(ctx), ctx) for item in self._items
        )
        ctx.execution.meter.text(len(text))
        return [text]
