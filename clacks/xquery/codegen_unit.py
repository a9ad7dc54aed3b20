"""A Python function that is being written: its lines, names, variables and contexts (see ``codegen``)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clacks.xquery import codegen_support as support
from clacks.xquery.places import PLACES
from clacks.xquery.sequence_types import EXACT
from clacks.xquery.tokens import Expression

__all__ = [
    "ATOMIC",
    "LOOPS",
    "MANY",
    "MAYBE",
    "NOTHING",
    "NUMBERS",
    "ONE",
    "TRUTHS",
    "WRITERS",
    "Focus",
    "LoopWriter",
    "NotWritten",
    "Unit",
    "Value",
    "writer",
]

ONE = "one"
"""Form of a value: exactly one item, which the Python expression is."""

MAYBE = "maybe"
"""Form of a value: one item, or none, which is None."""

MANY = "many"
"""Form of a value: a sequence, as ``run`` returns it."""

DEEPEST_LOOP = 12
"""Loops inside one another in one function; Python's compiler takes no more than 20."""

LEVELS = 60
"""Levels of indentation; Python's compiler takes no more than 100."""


class NotWritten(Exception):  # nothing is wrong: the token evaluates itself
    """There is no code for this expression."""


@dataclass(frozen=True, slots=True)
class Value:
    """The result of written code.

    Attributes:
        code: A Python name or constant: it may be repeated.
        form: ``ONE``, ``MAYBE`` or ``MANY``.
        kind: What all items surely are: ``double`` (class float), ``int`` (class int), ``integer`` (an int
            that is no boolean), ``decimal``, ``boolean``, ``string`` (class str), ``node``, ``nothing``
            (there are no items); None if that is not known.
    """

    code: str
    form: str
    kind: str | None = None


NOTHING = Value("None", MAYBE, "nothing")

ATOMIC = frozenset({"double", "int", "integer", "decimal", "boolean", "string", "nothing"})
NUMBERS = frozenset({"double", "int", "integer"})


class Line:
    """One line of code; without text it is left out."""

    __slots__ = ("depth", "text", "token")

    def __init__(self, text: str | None, depth: int, token: Any) -> None:
        self.text = text
        self.depth = depth
        self.token = token


class Focus:
    """The focus inside a loop over items.

    Attributes:
        item: The context item.
        before: Lines before the loop that are written when somebody wants a context, or the position.
        inside: Lines at the start of the body, the same.
        given: Name of a context whose item and position the loop sets, None if it makes one.
    """

    def __init__(
        self, item: Value, size: str, before: list[Line], inside: list[Line], given: str | None = None
    ) -> None:
        self.item = item
        self.size = size
        self.given = given
        self.before = before
        self.inside = inside
        self.name: str | None = None


Branch = tuple[Value, list[Line]]
"""A value that was written aside, and its lines."""

Writer = Callable[["Unit", Any], Value]

WRITERS: dict[type, Writer] = {}
"""What writes the value of a token, by the token's class."""

TRUTHS: dict[type, Callable[[Unit, Any], str]] = {}
"""What writes the effective boolean value: returns the code of a Python bool."""


LoopWriter = Callable[["Unit", Any, Value, str], Value]
"""Writes rounds of a token's innermost loop, for some of its items and the count of those before them."""

LOOPS: dict[type, LoopWriter] = {}
"""What writes rounds of the loop of a token, by the token's class."""


def writer(cls: type) -> Callable[[Writer], Writer]:
    """Register what writes the value of tokens of a class."""

    def register(call: Writer) -> Writer:
        WRITERS[cls] = call
        return call

    return register


def of_class(table: dict[type, Any], token: Expression) -> Any:
    """Return the entry for the class of a token, or for the nearest one it is derived from."""
    return next((table[cls] for cls in type(token).__mro__ if cls in table), None)


class Unit:
    """One function that is being written.

    Attributes:
        constants: Globals of the function.
        bound: Values of the variables that the code binds, by slot.
        token: The token that is being written.
        frame: Size of the frame if the function makes its own, None if it is the context's.
    """

    def __init__(self, frame: int | None) -> None:
        self.constants: dict[str, Any] = {"EMPTY": support.EMPTY, "EXACT": EXACT}
        self.names_of: dict[int, str] = {}
        self.lines: list[Line] = []
        self.depth = 1
        self.token: Any = None
        self.fresh_numbers = itertools.count(1)
        self.bound: dict[int, Value] = {}
        self.kept: dict[int, Line] = {}
        self.outer: dict[int, Value] = {}
        self.focus: Focus | None = None
        self.frame = frame
        self.loops = 0
        # Filled in at the end, when it is known what the code needs.
        self.wants_frame = False
        self.wants_context = False

    # lines

    def add(self, text: str) -> None:
        """Append a line."""
        self.lines.append(Line(text, self.depth, self.token))

    def hole(self) -> Line:
        """Append a line that may get a text later."""
        line = Line(None, self.depth, self.token)
        self.lines.append(line)
        return line

    @contextmanager
    def block(self) -> Iterator[None]:
        """Indent what is written."""
        if self.depth >= LEVELS:
            raise NotWritten
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Indent the body of a loop."""
        if self.loops >= DEEPEST_LOOP:
            raise NotWritten
        self.loops += 1
        try:
            with self.block():
                yield
        finally:
            self.loops -= 1

    def aside(self, write: Callable[[], Value]) -> Branch:
        """Write into lines of their own, one level deeper; for a branch whose form is not known yet."""
        before, self.lines = self.lines, []
        try:
            with self.block():
                value = write()
            return value, self.lines
        finally:
            self.lines = before

    def fresh(self, prefix: str = "v") -> str:
        """Return a name that is not used yet."""
        return f"{prefix}{next(self.fresh_numbers)}"

    def constant(self, value: Any, prefix: str = "K") -> str:
        """Return the name of a global that has a value."""
        name = self.names_of.get(id(value))
        if name is None:
            name = self.fresh(prefix)
            self.names_of[id(value)] = name
            self.constants[name] = value  # which keeps its id from being another's
        return name

    def named(self, code: str, form: str, kind: str | None = None) -> Value:
        """Assign to a fresh name."""
        name = self.fresh()
        self.add(f"{name} = {code}")
        return Value(name, form, kind)

    # values

    def write(self, token: Expression) -> Value:
        """Write the value of a token."""
        found = of_class(WRITERS, token)
        outside, self.token = self.token, token
        lines = len(self.lines)
        try:
            if found is None:
                return self.by_itself(token)
            try:
                value: Value = found(self, token)
            except NotWritten:
                del self.lines[lines:]
                return self.by_itself(token)
            return value
        finally:
            self.token = outside

    def truth(self, token: Expression) -> str:
        """Write the effective boolean value of a token; return the code of a Python bool."""
        found = of_class(TRUTHS, token)
        outside, self.token = self.token, token
        lines = len(self.lines)
        try:
            if found is not None:
                try:
                    code: str = found(self, token)
                    return code
                except NotWritten:
                    del self.lines[lines:]
            if found is None and of_class(WRITERS, token) is not None:
                return self.truth_of(self.write(token))
            self.keep_variables(token)
            return self.named(f"{self.constant(token, 't')}.truth({self.context()})", ONE, "boolean").code
        finally:
            self.token = outside

    def truth_of(self, value: Value) -> str:
        """Return the code of the effective boolean value of a value."""
        if value.kind == "nothing":
            return "False"
        if value.kind == "boolean" and value.form == ONE:
            return value.code
        if value.kind == "boolean" and value.form == MAYBE:
            return f"({value.code} is True)"
        if value.kind == "node":
            return {
                ONE: "True",
                MAYBE: f"({value.code} is not None)",
                MANY: f"(len({value.code}) > 0)",
            }[value.form]
        return self.named(f"{self.help('boolean_value')}({self.many(value)})", ONE, "boolean").code

    def by_itself(self, token: Expression) -> Value:
        """Let a token evaluate itself."""
        self.keep_variables(token)
        return self.named(f"{self.constant(token, 't')}.run({self.context()})", MANY)

    def help(self, name: str) -> str:
        """Return the name of a function of ``codegen_support``."""
        self.constants[name] = getattr(support, name)
        return name

    def many(self, value: Value) -> str:
        """Return the code of a value as a sequence."""
        if value.form == MANY:
            return value.code
        if value.kind == "nothing":
            return "EMPTY"
        return (
            f"[{value.code}]" if value.form == ONE else f"(EMPTY if {value.code} is None else [{value.code}])"
        )

    def atom(self, token: Expression) -> Value:
        """Write the one atomic value of a token, as its ``atom`` returns it."""
        value = self.write(token)
        inner = token
        while inner.symbol == "(" and inner._items:
            inner = inner._items[0]
        outside, self.token = self.token, inner
        try:
            return self.atom_of(value)
        finally:
            self.token = outside

    def atom_of(self, value: Value) -> Value:
        """Write the one atomic value of a value; XPTY0004 if there are more."""
        code = value.code
        if value.kind in ATOMIC:
            if value.form != MANY:
                return value
            return self.named(
                f"{code}[0] if len({code}) == 1 else {self.help('atomize_one')}({code})", MAYBE, value.kind
            )
        if value.form == MANY:
            return self.named(
                f"{code}[0] if len({code}) == 1 and type({code}[0]) in EXACT "
                f"else {self.help('atomize_one')}({code})",
                MAYBE,
            )
        if value.kind == "node":
            if value.form == ONE:
                return self.named(f"{code}.typed_value", ONE)
            return self.named(f"None if {code} is None else {code}.typed_value", MAYBE)
        absent = f"{code} is None or " if value.form == MAYBE else ""
        return self.named(
            f"{code} if {absent}type({code}) in EXACT else {self.help('atomize_one')}([{code}])", MAYBE
        )

    def in_form(self, value: Value, form: str) -> str:
        """Return the code of a value in a form that has room for it."""
        return self.many(value) if form == MANY else value.code

    def choose(self, tests: Sequence[str], branches: Sequence[Branch]) -> Value:
        """Write ``if``, ``elif`` and ``else`` for branches that were written aside, one more than tests."""
        forms = {value.form for value, _ in branches}
        kinds = {value.kind for value, _ in branches} - {"nothing"}
        form = MANY if MANY in forms else MAYBE if MAYBE in forms else ONE
        kind: str | None
        if not kinds:
            kind = "nothing"
        elif len(kinds) == 1:
            kind = kinds.pop()
        else:
            kind = "integer" if kinds == {"int", "integer"} else None
        name = self.fresh()
        for place, (value, lines) in enumerate(branches):
            test = f"{'elif' if place else 'if'} {tests[place]}" if place < len(tests) else "else"
            self.add(f"{test}:")
            self.lines.extend(lines)
            with self.block():
                self.add(f"{name} = {self.in_form(value, form)}")
        return Value(name, form, kind)

    def with_first(self, first: Value, write: Callable[[Value], Value]) -> Value:
        """Write an operator that is empty, without a look at its second operand, if the first one is."""
        if first.kind == "nothing":
            return NOTHING
        if first.form == ONE:
            return write(first)
        branch = self.aside(lambda: write(Value(first.code, ONE, first.kind)))
        return self.choose([f"{first.code} is not None"], [branch, (NOTHING, [])])

    # variables

    def bind(self, slot: int, value: Value) -> None:
        """Bind a variable to a value that lies in a name."""
        self.bound[slot] = value
        self.kept[slot] = self.hole()

    def variable(self, slot: int, single: bool) -> Value:
        """Return the value of a variable; what the code did not bind lies in the frame of the context."""
        value = self.bound.get(slot) or self.outer.get(slot)
        if value is None:
            if self.frame is not None:
                raise NotWritten
            value = self.outer[slot] = Value(f"s{slot}", ONE if single else MANY)
        return value

    def keep_variables(self, token: Expression) -> None:
        """Keep the variables that a token asks for in the frame: it will evaluate itself."""
        for slot in support.slots_of(token):
            value = self.bound.get(slot)
            if value is None:
                continue
            line = self.kept[slot]
            if line.text is None:
                line.text = f"frame[{slot}] = {self.many(value)}"
        self.wants_frame = True

    # contexts

    def context(self) -> str:
        """Return the name of a context with the frame and the focus of this place."""
        focus = self.focus
        if focus is None:
            self.wants_context = True
            return "c"
        if focus.name is None:
            focus.name = focus.given or self.fresh("c")
            if focus.given is None:
                outer, self.focus = self.focus, None
                base = self.context()
                self.focus = outer
                focus.before[0].text = f"{focus.name} = {base}.focus(None, 0, {focus.size})"
            focus.inside[0].text = f"{focus.name}.item = {focus.item.code}; {focus.name}.position += 1"
        return focus.name

    def any_context(self) -> str:
        """Return the name of a context for functions that look at neither focus nor frame."""
        return "ctx"

    @contextmanager
    def focused(self, item: Value, size: str, before: list[Line], given: str | None = None) -> Iterator[None]:
        """Write the body of a loop whose item is the context item; call it first in the loop's block."""
        outer = self.focus
        self.focus = Focus(item, size, before, [self.hole()], given)
        try:
            yield
        finally:
            self.focus = outer

    # loops

    def over(self, value: Value) -> str:
        """Return the code of what a loop over a sequence goes through; its items are steps."""
        name = self.fresh("l")
        self.add(f"{name} = {value.code}")
        self.add(f"if len({name}) > {support.SHORT}:")
        with self.block():
            self.add(f"{name} = {self.help('metered')}({name}, meter)")
        self.add("else:")
        with self.block():
            self.add(f"meter.left -= len({name}) + 1")
            self.add("if meter.left < meter.look_at: meter.check()")
        return name

    def collect(self, out: str, value: Value) -> None:
        """Append the items of a value to the list ``out``."""
        if value.kind == "nothing":
            return
        code = value.code
        if value.form == ONE:
            self.add(f"{out}.append({code})")
        elif value.form == MAYBE:
            self.add(f"if {code} is not None: {out}.append({code})")
        else:
            self.add(f"if len({code}) > {support.FEW}: meter.step(len({code}))")
            self.add(f"{out}.extend({code})")

    # the end

    def text(self, head: Sequence[str], places: list[Any]) -> str:
        """Return the code of the whole module, and note the token of each line."""
        out: list[str] = []

        def put(text: str, token: Any) -> None:
            out.append(text)
            places.append(token)

        places.append(None)  # lines are counted from 1
        for text in head:
            put(text, None)
        for line in self.lines:
            if line.text is not None:
                put("    " * line.depth + line.text, line.token)
        return "\n".join(out) + "\n"

    def function(self, name: str, head: Sequence[str], about: str) -> Callable[..., Any]:
        """Compile the code and return the function."""
        places: list[Any] = []
        text = self.text(head, places)
        code = compile(text, f"<{about}>", "exec", dont_inherit=True)
        scope: dict[str, Any] = {**self.constants, PLACES: places}
        exec(code, scope)  # noqa: S102  # written by us: of the query there is nothing in it but numbers
        function: Callable[..., Any] = scope[name]
        function.text = text  # type: ignore[attr-defined]  # for those who want to look at it
        return function
