"""FLWOR expressions: a chain of generators, one for each clause.

A ``flwor`` token has all expressions of its clauses as items, in the order of the text, the ``return``
expression last; ``clauses`` says what they are for. A tuple of the stream is the state of the frame: a
clause writes its variables into their slots and yields. ``order by`` and ``group by`` must see all tuples
first; they save the slots that the clauses before them bound, and write them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import UntypedAtomic

from clacks.xquery import hot
from clacks.xquery.collation import find_collation
from clacks.xquery.compare import Incomparable, equal, is_native, order, sorting_steps, value_key
from clacks.xquery.conditionals import Keyword
from clacks.xquery.conversion import atomize_one, mismatch
from clacks.xquery.errors import failure
from clacks.xquery.joins import Condition, join_condition
from clacks.xquery.sequence_types import SequenceType
from clacks.xquery.tokens import Expression, keyword, token
from clacks.xquery.types_parser import parse_sequence_type

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser

__all__ = ["Clause", "Flwor", "checked", "parse_binding_type"]


def checked(value: Sequence[Any], wanted: SequenceType | None, what: str) -> Sequence[Any]:
    """Return a value if it is of the declared type; variables of clauses are matched, not converted."""
    if wanted is not None and not wanted.matches(value):
        raise mismatch(value, wanted, what)
    return value


def parse_binding_type(parser: XQueryParser) -> SequenceType | None:
    """Parse ``as T`` if it is there."""
    if not parser.is_name("as"):
        return None
    parser.advance()
    return parse_sequence_type(parser)


class Clause:
    """One clause.

    Attributes:
        kind: for, let, where, window, group, order, count.
        slots: Slots that it binds.
        expressions: Its expressions, in the order of the text.
    """

    kind = ""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.expressions: list[Expression] = []

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Map the stream of tuples."""
        raise NotImplementedError

    def holds(self, ctx: Context) -> bool:
        """Map the first tuple, for clauses that make no more than one of it; tell whether one is left."""
        raise NotImplementedError


class For(Clause):
    """``for $x as T allowing empty at $p in E``."""

    kind = "for"

    def __init__(self, parser: XQueryParser) -> None:
        super().__init__()
        mark = parser.next_token
        name = parser.variable_name()
        self.name = name
        self.type = parse_binding_type(parser)
        self.allows_empty = False
        if parser.is_name("allowing"):
            parser.advance()
            parser.take_name("empty")
            self.allows_empty = True
        place = None
        if parser.is_name("at"):
            parser.advance()
            place = parser.variable_name()
            if place == name:
                raise mark.wrong("XQST0089", f"the variable and its position are both named ${name}")
        parser.take_name("in")
        self.expressions = [parser.single()]
        self.slot = parser.scope.declare(name, single=not self.allows_empty)
        self.place = None if place is None else parser.scope.declare(place, single=True)
        self.slots = [self.slot] if self.place is None else [self.slot, self.place]

    @property
    def is_plain(self) -> bool:
        """Tell whether it binds the items and nothing else."""
        return self.place is None and self.is_simple

    @property
    def is_simple(self) -> bool:
        """Tell whether it binds the items, and their places perhaps, and nothing else."""
        return self.type is None and not self.allows_empty

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Bind the items one after the other."""
        frame = ctx.frame
        slot, place, wanted = self.slot, self.place, self.type
        run: Callable[[Any], Sequence[Any]] = self.expressions[0].run
        step = ctx.execution.meter.step
        for rounds, _ in enumerate(source):
            if rounds == hot.OFTEN:
                run = hot.hot_run(self.expressions[0], ctx.execution.meter)
            value = run(ctx)
            if not value and self.allows_empty:
                frame[slot] = checked([], wanted, f"value of ${self.name}")
                if place is not None:
                    frame[place] = [0]
                yield
                continue
            for number, item in enumerate(value, 1):
                step(1)
                frame[slot] = [item] if wanted is None else checked([item], wanted, f"value of ${self.name}")
                if place is not None:
                    frame[place] = [number]
                yield


class Join(Clause):
    """``for`` and the ``where`` after it, as one."""

    kind = "join"

    def __init__(self, loop: For, where: Where, condition: Condition) -> None:
        super().__init__()
        self.loop = loop
        self.where = where
        self.condition = condition

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Bind the items for which the condition holds."""
        frame, condition = ctx.frame, self.condition
        slot, truth = self.loop.slot, self.where.expressions[0].truth
        rest = [part.truth for part in condition.rest]
        step = ctx.execution.meter.step
        for _ in source:
            items, matching = condition.items(ctx)
            if matching is None:
                for item in items:
                    step(1)
                    frame[slot] = [item]
                    if truth(ctx):
                        yield
                continue
            for item in matching:
                frame[slot] = [item]
                if all(holds(ctx) for holds in rest):
                    yield


class Let(Clause):
    """``let $x as T := E``."""

    kind = "let"

    def __init__(self, parser: XQueryParser) -> None:
        super().__init__()
        self.name = parser.variable_name()
        self.type = parse_binding_type(parser)
        parser.advance(":=")
        self.expressions = [parser.single()]
        self.slot = parser.scope.declare(self.name)
        self.slots = [self.slot]

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Bind the value."""
        frame, slot, wanted = ctx.frame, self.slot, self.type
        run: Callable[[Any], Sequence[Any]] = self.expressions[0].run
        for rounds, _ in enumerate(source):
            if rounds == hot.OFTEN:
                run = hot.hot_run(self.expressions[0], ctx.execution.meter)
            value = run(ctx)
            frame[slot] = value if wanted is None else checked(value, wanted, f"value of ${self.name}")
            yield

    def holds(self, ctx: Context) -> bool:
        """Bind the value."""
        value = self.expressions[0].run(ctx)
        if self.type is not None:
            checked(value, self.type, f"value of ${self.name}")
        ctx.frame[self.slot] = value
        return True


class Where(Clause):
    """``where E``."""

    kind = "where"

    def __init__(self, parser: XQueryParser) -> None:
        super().__init__()
        self.expressions = [parser.single()]

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Let tuples through for which the condition holds."""
        truth: Callable[[Any], bool] = self.expressions[0].truth
        for rounds, _ in enumerate(source):
            if rounds == hot.OFTEN:
                truth = hot.hot_truth(self.expressions[0], ctx.execution.meter)
            if truth(ctx):
                yield

    def holds(self, ctx: Context) -> bool:
        """Evaluate the condition."""
        return self.expressions[0].truth(ctx)


class Count(Clause):
    """``count $c``."""

    kind = "count"

    def __init__(self, parser: XQueryParser) -> None:
        super().__init__()
        self.slots = [parser.scope.declare(parser.variable_name(), single=True)]

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Number the tuples."""
        frame, slot = ctx.frame, self.slots[0]
        for number, _ in enumerate(source, 1):
            frame[slot] = [number]
            yield


class OrderSpec:
    """One key of ``order by``."""

    def __init__(self, parser: XQueryParser) -> None:
        self.expression = parser.single()
        self.descending = False
        self.empty_least = parser.static.empty_least
        if parser.is_name("ascending", "descending"):
            self.descending = parser.advance().value == "descending"
        if parser.is_name("empty"):
            parser.advance()
            self.empty_least = parser.take_name("greatest", "least").value == "least"
        self.collation = parse_collation(parser)

    def compare(self, a: Any, b: Any, timezone: Any) -> int:
        """Compare two values of this key."""
        if not self.empty_least:
            if a is None or b is None:
                result = (a is None) - (b is None)
            elif a != a or b != b:
                result = (a != a) - (b != b)
            else:
                result = order(a, b, self.collation, timezone)
        else:
            result = order(a, b, self.collation, timezone)
        return -result if self.descending else result


def parse_collation(parser: XQueryParser) -> Any:
    """Parse ``collation "uri"`` if it is there and return the collation."""
    uri = parser.static.default_collation
    at = parser.next_token
    if parser.is_name("collation"):
        parser.advance()
        at = parser.next_token
        uri = parser.advance("(string)").value
    from clacks.common.errors import QueryError

    try:
        return find_collation(uri, parser.static.base_uri)
    except QueryError as error:
        raise at.wrong("XQST0076", error.reason) from None


def sort_key(value: Sequence[Any], what: str) -> Any:
    """Atomize a key; untyped ones become strings, None stands for the empty sequence."""
    found = atomize_one(value, what)
    return found.value if isinstance(found, UntypedAtomic) else found


class OrderBy(Clause):
    """``order by``; always stable."""

    kind = "order"

    def __init__(self, parser: XQueryParser, bound: list[int]) -> None:
        super().__init__()
        self.saved = list(bound)
        self.specs = [OrderSpec(parser)]
        while parser.next_token.symbol == ",":
            parser.advance()
            self.specs.append(OrderSpec(parser))
        self.expressions = [spec.expression for spec in self.specs]

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Sort all tuples."""
        frame, saved, specs = ctx.frame, self.saved, self.specs
        step = ctx.execution.meter.step
        rows = []
        for _ in source:
            keys = [sort_key(spec.expression.run(ctx), "sort key") for spec in specs]
            rows.append((keys, [frame[slot] for slot in saved]))
            step(1)
        self.sorted(rows, ctx.execution)
        for _, values in rows:
            for slot, value in zip(saved, values):
                frame[slot] = value
            yield

    def sorted(self, rows: list[Any], execution: Any) -> list[Any]:
        """Sort rows, pairs of keys and whatever belongs to them, in place."""
        specs, timezone = self.specs, execution.timezone
        step = execution.meter.step

        def compare(a: Any, b: Any) -> int:
            step(1)
            for spec, x, y in zip(specs, a[0], b[0]):
                result = spec.compare(x, y, timezone)
                if result:
                    return result
            return 0

        if rows and all(
            is_native([keys[n] for keys, _ in rows], spec.collation) for n, spec in enumerate(specs)
        ):
            # Stable, so the last key first.
            for n, spec in reversed([*enumerate(specs)]):
                step(sorting_steps(len(rows)))
                rows.sort(key=lambda row: row[0][n], reverse=spec.descending)
        else:
            try:
                rows.sort(key=cmp_to_key(compare))
            except Incomparable as error:
                raise failure("XPTY0004", str(error)) from None
        return rows


class GroupBy(Clause):
    """``group by``; each spec is (slot, expression or None, type, collation)."""

    kind = "group"

    def __init__(self, parser: XQueryParser, bound: list[int]) -> None:
        super().__init__()
        self.saved = list(bound)
        # From here on the variables hold what all tuples of a group had.
        parser.scope.singles.difference_update(bound)
        self.specs: list[tuple[int, Any, SequenceType | None, Any]] = []
        while True:
            mark = parser.next_token
            name = parser.variable_name()
            wanted = parse_binding_type(parser)
            expression = None
            if parser.next_token.symbol == ":=":
                parser.advance()
                expression = parser.single()
                self.expressions.append(expression)
                slot = parser.scope.declare(name)
                self.slots.append(slot)
            else:
                if wanted is not None:
                    raise parser.unexpected(parser.next_token, "':='")
                found = parser.scope.find(name)
                if found is None or (found not in self.saved and found not in self.slots):
                    raise mark.wrong("XQST0094", f"${name} is not bound by a clause before")
                slot = found
            self.specs.append((slot, expression, wanted, parse_collation(parser)))
            if parser.next_token.symbol != ",":
                break
            parser.advance()

    def over(self, ctx: Context, source: Iterator[None]) -> Iterator[None]:
        """Make one tuple of each group."""
        frame = ctx.frame
        step = ctx.execution.meter.step
        timezone = ctx.execution.timezone
        key_slots = [slot for slot, *_ in self.specs]
        others = [slot for slot in self.saved if slot not in key_slots]
        groups: dict[Any, list[tuple[list[Any], dict[int, list[Any]]]]] = {}
        ordered: list[tuple[list[Any], dict[int, list[Any]]]] = []
        for _ in source:
            keys = []
            for slot, expression, wanted, _collation in self.specs:
                value = frame[slot] if expression is None else expression.run(ctx)
                if expression is not None and wanted is not None:
                    from clacks.xquery.conversion import atomize

                    checked(atomize(value), wanted, "grouping key")
                key = sort_key(value, "grouping key")
                keys.append(key)
                if expression is not None:
                    frame[slot] = [] if key is None else [key]
            step(1)
            plain = tuple(
                None if key is None else value_key(key, spec[3], timezone)
                for key, spec in zip(keys, self.specs)
            )
            values = next(
                (
                    values
                    for known, values in groups.setdefault(plain, [])
                    if all(same_key(a, b, spec[3], timezone) for a, b, spec in zip(known, keys, self.specs))
                ),
                None,
            )
            if values is None:
                values = {slot: [] for slot in others}
                groups[plain].append((keys, values))
                ordered.append((keys, values))
            for slot in others:
                step(len(frame[slot]))
                values[slot].extend(frame[slot])
        for keys, values in ordered:
            for slot, value in values.items():
                frame[slot] = value
            for slot, key in zip(key_slots, keys):
                frame[slot] = [] if key is None else [key]
            yield


def same_key(a: Any, b: Any, collation: Any, timezone: Any) -> bool:
    """Tell whether two grouping keys are the same."""
    if a is None or b is None:
        return a is b
    try:
        return equal(a, b, collation, timezone) or (a != a and b != b)
    except Incomparable:
        return False


def with_joins(clauses: list[Clause]) -> list[Clause]:
    """Return the clauses with joins in place of loops and their conditions, where that can be."""
    plan: list[Clause] = []
    for clause in clauses:
        last = plan[-1] if plan else None
        if isinstance(clause, Where) and isinstance(last, For) and last.is_plain:
            condition = join_condition(last.expressions[0], last.slot, clause.expressions[0])
            if condition is not None:
                plan[-1] = Join(last, clause, condition)
                continue
        plan.append(clause)
    return plan


@keyword("for", "$")
@keyword("let", "$")
@keyword("for", "(name)")
@token("flwor")
class Flwor(Keyword):
    """A FLWOR expression.

    Attributes:
        clauses: All clauses but ``return``.
        plan: What is done for them: the same, but a loop with a condition behind it may be one join. It is
            cut in three, of which each may be empty: clauses at the start that make no more than one tuple
            (``let``, ``where``); a stream; and a loop at the end that binds items one after the other.
    """

    def nud(self) -> Any:
        """Parse all clauses."""
        parser = self.parser
        if parser.next_token.symbol == "(name)" and not (
            parser.is_name("tumbling", "sliding") and self.window_follows()
        ):
            return None
        self.check_place()
        mark = parser.scope.mark()
        self.clauses: list[Clause] = []
        self.bound: list[int] = []
        self.first(self.value)
        while True:
            if parser.is_name("for", "let"):
                self.first(parser.advance().value)
            elif parser.is_name("where"):
                parser.advance()
                self.add(Where(parser))
            elif parser.is_name("count"):
                parser.advance()
                self.add(Count(parser))
            elif parser.is_name("order"):
                parser.advance()
                parser.take_name("by")
                self.add(OrderBy(parser, self.bound))
            elif parser.is_name("stable"):
                parser.advance()
                parser.take_name("order")
                parser.take_name("by")
                self.add(OrderBy(parser, self.bound))
            elif parser.is_name("group"):
                parser.advance()
                parser.take_name("by")
                self.add(GroupBy(parser, self.bound))
            else:
                break
        parser.take_name("return")
        self._items.append(parser.single())
        parser.scope.release(mark)
        self.plan = with_joins(self.clauses)
        rest = list(self.plan)
        self.loop: For | None = None
        self.tail: list[Let | Where] = []
        last = len(rest)
        while last and isinstance(rest[last - 1], (Let, Where)):
            last -= 1
        loop = rest[last - 1] if last else None
        if isinstance(loop, For) and loop.is_simple:
            self.loop = loop
            self.tail = rest[last:]  # type: ignore[assignment]  # the loop has looked
            del rest[last - 1 :]
        start = 0
        while start < len(rest) and isinstance(rest[start], (Let, Where)):
            start += 1
        self.start, self.middle = rest[:start], rest[start:]
        return self

    def window_follows(self) -> bool:
        """Tell whether the token after the next one is ``window``."""
        from clacks.xquery.lexer import scan

        return scan(self.parser.source, self.parser.end).text == "window"

    def first(self, word: str) -> None:
        """Parse the bindings after ``for`` or ``let``."""
        parser = self.parser
        if word == "for" and parser.is_name("tumbling", "sliding"):
            from clacks.xquery.windows import Window

            self.add(Window(parser))
            return
        make = For if word == "for" else Let
        self.add(make(parser))
        while parser.next_token.symbol == ",":
            parser.advance()
            self.add(make(parser))

    def add(self, clause: Clause) -> None:
        """Append a clause."""
        self.clauses.append(clause)
        self.bound.extend(clause.slots)
        self._items.extend(clause.expressions)

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate ``return`` for each tuple of the stream."""
        if not self.begins(ctx):
            return []
        if not self.middle and self.loop is None:
            # One let and a return is what filters look like.
            found: Sequence[Any] = self._items[-1].run(ctx)
            return found
        out: list[Any] = []
        for value in self.tuples(ctx):
            if len(value) == 1:
                out.append(value[0])
            else:
                out.extend(value)
        return out

    def pieces(self, ctx: Context) -> Iterator[Sequence[Any]]:
        """Iterate over what ``return`` yields for each tuple."""
        if self.begins(ctx):
            yield from self.tuples(ctx)

    def begins(self, ctx: Context) -> bool:
        """Carry out the clauses at the start; tell whether a tuple is left."""
        ctx.execution.meter.step(1 + len(self.start))
        return all(clause.holds(ctx) for clause in self.start)

    def tuples(self, ctx: Context) -> Iterator[Sequence[Any]]:
        """Iterate over the values of ``return``."""
        meter = ctx.execution.meter
        result: Callable[[Any], Sequence[Any]] = self._items[-1].run
        stream: Iterator[None] = iter((None,))
        for clause in self.middle:
            stream = clause.over(ctx, stream)
        loop, rounds = self.loop, 0
        if loop is None:
            for _ in stream:
                if rounds == hot.OFTEN:
                    result = hot.hot_run(self._items[-1], meter)
                rounds += 1
                value = result(ctx)
                meter.step(1 + len(value))
                yield value
            return
        frame, slot, place, tail = ctx.frame, loop.slot, loop.place, self.tail
        run = loop.expressions[0].run
        code: hot.Rounds | None = None
        for _ in stream:
            items = run(ctx)
            number = 0
            if code is None:
                for item in items:
                    if rounds == hot.OFTEN:
                        code = hot.hot_loop(self, [*(c.expressions[0] for c in tail), self._items[-1]], meter)
                    rounds += 1
                    if code is not None:
                        break
                    number += 1
                    frame[slot] = [item]
                    if place is not None:
                        frame[place] = [number]
                    value = result(ctx) if not tail or all(c.holds(ctx) for c in tail) else ()
                    # Before a range is made a list.
                    meter.left -= 1 + len(value)
                    if meter.left < meter.look_at:
                        meter.check()
                    yield value
            if code is not None:
                for before, piece in hot.slices(items, number):
                    yield code(ctx, piece, before)
