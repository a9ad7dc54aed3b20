"""Constructors of maps and arrays, and the lookup operator.

A ``map`` has keys and values alternating as items; ``[a, b]`` is an ``array`` of its items' values, ``array
{}`` a ``curly-array`` with one item. A ``?`` lookup has the operand as its first item (none for the unary
form) and, if the key is an expression, that as the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clacks.xquery.conversion import atomize, atomize_one, convert, describe
from clacks.xquery.errors import failure
from clacks.xquery.maps import XArray, XEntry, XMap, same_key
from clacks.xquery.names import TOKENS_BY_ROLE
from clacks.xquery.sequence_types import INTEGER_ONE
from clacks.xquery.tokens import Expression, keyword, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["ArrayConstructor", "Lookup", "MapConstructor"]


@keyword("map", "{")
@token("map")
class MapConstructor(Expression):
    """``map { key : value, ... }``."""

    def nud(self) -> Any:
        """Parse the entries."""
        parser = self.parser
        parser.advance("{")
        if parser.next_token.symbol != "}":
            while True:
                self._items.append(parser.single())
                parser.advance(":")
                self._items.append(parser.single())
                if parser.next_token.symbol != ",":
                    break
                parser.advance()
        parser.advance("}")
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return a map; XQDY0137 for a key that is there twice."""
        entries: dict[object, tuple[Any, Sequence[Any]]] = {}
        items = self._items
        for index in range(0, len(items), 2):
            key = atomize_one(items[index].run(ctx), "key")
            if key is None:
                raise failure("XPTY0004", "the key of a map entry is empty")
            plain = same_key(key)
            if plain in entries:
                raise failure("XQDY0137", f"the key {key} is there twice")
            entries[plain] = (key, items[index + 1].run(ctx))
        ctx.execution.meter.step(len(items))
        return [XMap.of_entries(entries) if len(items) != 2 else XEntry(key, entries[plain][1])]


@keyword("array", "{")
@token("curly-array")
class CurlyArray(Expression):
    """``array { Expr }``: one member for each item."""

    def nud(self) -> Any:
        """Parse the expression."""
        body = self.parser.enclosed()
        self._items = [] if body is None else [body]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return an array."""
        value = self._items[0].run(ctx) if self._items else []
        ctx.execution.meter.step(len(value))
        return [XArray([item] for item in value)]


@token("array")
class ArrayConstructor(Expression):
    """``[a, b]``: one member for each expression."""

    def begin(self) -> ArrayConstructor:
        """Parse the members; the bracket is already read."""
        parser = self.parser
        if parser.next_token.symbol != "]":
            while True:
                self._items.append(parser.single())
                if parser.next_token.symbol != ",":
                    break
                parser.advance()
        parser.advance("]")
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return an array."""
        return [XArray(item.run(ctx) for item in self._items)]


@token("?", lbp=85)
class Lookup(Expression):
    """``operand?key`` and ``?key``.

    Attributes:
        key: A name or number written out, ``*`` for all, None if the key is an expression.
        unary: Whether it looks into the context item.
    """

    key: Any = None
    unary = False

    def nud(self) -> Any:
        """Parse the key of a unary lookup."""
        self.unary = True
        return self.parse_key()

    def led(self, left: Any) -> Any:
        """Parse the key."""
        self._items = [left]
        return self.parse_key()

    def parse_key(self) -> Any:
        """Parse a key specifier."""
        parser = self.parser
        found = parser.next_token
        symbol = found.symbol
        if (symbol == "(name)" and found.uri is None and ":" not in found.value) or symbol == "(integer)":
            parser.advance()
            self.key = found.value
        elif symbol == "*":
            parser.advance()
            self.key = "*"
            self.all = True
        elif symbol == "(":
            parser.advance()
            self._items.append(found.nud())
        else:
            raise parser.unexpected(found, "a key")
        return self

    all = False

    def run(self, ctx: Context) -> Sequence[Any]:
        """Look up in each map and array of the operand."""
        if self.unary:
            if ctx.item is None:
                raise failure("XPDY0002", "there is no context item")
            containers: Sequence[Any] = [ctx.item]
        else:
            containers = self._items[0].run(ctx)
        out: list[Any] = []
        step = ctx.execution.meter.step
        for container in containers:
            if not isinstance(container, (XMap, XArray)):
                raise failure("XPTY0004", f"a lookup wants maps and arrays, found {describe(container)}")
            if self.all:
                members = container.values() if isinstance(container, XMap) else container.members
                for member in members:
                    step(1 + len(member))
                    out.extend(member)
                continue
            keys: Sequence[Any] = [self.key] if self.key is not None else atomize(self._items[-1].run(ctx))
            for key in keys:
                if isinstance(container, XMap):
                    found: Sequence[Any] = container.get(key) or ()
                else:
                    found = container.at(convert([key], INTEGER_ONE, "position in an array")[0])
                if len(keys) == 1 and len(containers) == 1:
                    step(1)
                    return found  # as it is: a range stays a range
                step(1 + len(found))
                out.extend(found)
        return out


TOKENS_BY_ROLE["array"] = ArrayConstructor
