"""Window clauses: tumbling and sliding (XQuery 3.1, 3.12.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clacks.xquery.flwor import Clause, checked, parse_binding_type

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser

__all__ = ["Condition", "Window"]


class Condition:
    """The variables of a start or end condition and its expression.

    Attributes:
        slots: Slots of the current item, its position, the previous and the next item; None where not named.
    """

    def __init__(self, parser: XQueryParser, used: set[str]) -> None:
        names: list[str | None] = [None, None, None, None]
        if parser.next_token.symbol == "$":
            names[0] = self.variable(parser, used)
        for index, word in enumerate(("at", "previous", "next"), 1):
            if parser.is_name(word):
                parser.advance()
                names[index] = self.variable(parser, used)
        self.slots = [None if name is None else parser.scope.declare(name) for name in names]
        parser.take_name("when")
        self.expression = parser.single()

    @staticmethod
    def variable(parser: XQueryParser, used: set[str]) -> str:
        """Parse a variable that must be new in this clause."""
        mark = parser.next_token
        name = parser.variable_name()
        if name in used:
            raise mark.wrong("XQST0103", f"two variables of the window clause are named ${name}")
        used.add(name)
        return name

    def bind(self, frame: list[Any], items: Sequence[Any], index: int) -> None:
        """Write the variables for the item at ``index`` (from 0)."""
        current, place, previous, following = self.slots
        if current is not None:
            frame[current] = [items[index]]
        if place is not None:
            frame[place] = [index + 1]
        if previous is not None:
            frame[previous] = [items[index - 1]] if index > 0 else []
        if following is not None:
            frame[following] = [items[index + 1]] if index + 1 < len(items) else []

    def holds(self, ctx: Context, items: Sequence[Any], index: int) -> bool:
        """Evaluate the condition at an item."""
        self.bind(ctx.frame, items, index)
        ctx.execution.meter.step(1)
        result: bool = self.expression.truth(ctx)
        return result

    @property
    def bound(self) -> list[int]:
        """Return the slots that are named."""
        return [slot for slot in self.slots if slot is not None]


class Window(Clause):
    """``for tumbling|sliding window $w in E start ... end ...``."""

    kind = "window"

    def __init__(self, parser: XQueryParser) -> None:
        super().__init__()
        self.sliding = parser.advance().value == "sliding"
        parser.take_name("window")
        used: set[str] = set()
        name = Condition.variable(parser, used)
        self.name = name
        self.type = parse_binding_type(parser)
        parser.take_name("in")
        self.source = parser.single()
        parser.take_name("start")
        self.start = Condition(parser, used)
        self.end: Condition | None = None
        self.only = False
        if parser.is_name("only"):
            parser.advance()
            self.only = True
            parser.take_name("end")
            self.end = Condition(parser, used)
        elif self.sliding or parser.is_name("end"):
            parser.take_name("end")
            self.end = Condition(parser, used)
        self.slot = parser.scope.declare(name)
        self.slots = [*self.start.bound, *(self.end.bound if self.end else []), self.slot]
        self.expressions = [self.source, self.start.expression]
        if self.end is not None:
            self.expressions.append(self.end.expression)

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Bind one window after the other."""
        for _ in source:
            items = self.source.run(ctx)
            yield from self.windows(ctx, items)

    def windows(self, ctx: Context, items: Sequence[Any]) -> Iterator[None]:
        """Find the windows of a sequence."""
        size = len(items)
        begin = 0
        while begin < size:
            if not self.start.holds(ctx, items, begin):
                begin += 1
                continue
            last = self.last(ctx, items, begin)
            if last is None:
                if not self.sliding:
                    return
                begin += 1
                continue
            self.start.bind(ctx.frame, items, begin)
            if self.end is not None:
                self.end.bind(ctx.frame, items, last)
            ctx.execution.meter.step(last - begin + 1)
            ctx.frame[self.slot] = checked(list(items[begin : last + 1]), self.type, f"value of ${self.name}")
            yield
            begin = begin + 1 if self.sliding else last + 1

    def last(self, ctx: Context, items: Sequence[Any], begin: int) -> int | None:
        """Return the index of a window's last item, None if ``only end`` never holds."""
        size = len(items)
        if self.end is None:
            for index in range(begin + 1, size):
                if self.start.holds(ctx, items, index):
                    return index - 1
            return size - 1
        for index in range(begin, size):
            if self.end.holds(ctx, items, index):
                return index
        return None if self.only else size - 1
