"""Read a compiled query as a `Condition`: what the query asks, without the parser's tokens.

What is not understood becomes `Opaque`, with a reason; nothing is ever approximated. Three things are
resolved on the way: names are expanded (the tokens did that), variables bound by ``let`` are replaced by what
they stand for, and the context item is made explicit, so that a path begins at ``/``, at ``.`` (inside a
predicate) or at a variable bound by ``for``, ``some`` or ``every``.

The tokens of this package are read by a table from their symbol to a method; a new kind of expression that
has no entry is opaque, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from clacks.xquery.collation import CODEPOINT
from clacks.xquery.conditions import (
    ANY,
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    For,
    If,
    Literal,
    NameTest,
    Opaque,
    Or,
    Path,
    Property,
    Quantified,
    Sequence,
    Step,
    parts,
)
from clacks.xquery.library import PREFIXES
from clacks.xquery.nodes import split_name
from clacks.xquery.query import Query

__all__ = ["cannot_fail", "read_condition"]

_EMPTY: Final = Sequence(())
_DOCUMENT: Final = "/"
_CONTEXT: Final = "."

# Functions with these arities are in the language of conditions; "." is the default of a missing argument.
_FUNCTIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "not": (1,),
    "boolean": (1,),
    "exists": (1,),
    "empty": (1,),
    "count": (1,),
    "sum": (1,),
    "min": (1,),
    "max": (1,),
    "string": (0, 1),
    "data": (0, 1),
    "number": (0, 1),
    "true": (0,),
    "false": (0,),
    "contains": (2,),
    "starts-with": (2,),
    "ends-with": (2,),
    "substring-before": (2,),
    "substring-after": (2,),
    "string-length": (0, 1),
    "normalize-space": (0, 1),
    "upper-case": (1,),
    "lower-case": (1,),
    "matches": (2, 3),
    "local-name": (0, 1),
    "namespace-uri": (0, 1),
}
_CASTS: Final = frozenset(("double", "decimal", "integer", "boolean", "string"))
_GIVES_BOOLEAN: Final = frozenset(
    ("not", "boolean", "exists", "empty", "true", "false", "contains", "starts-with", "ends-with", "matches")
)
_GIVES_ATOM: Final = _GIVES_BOOLEAN | {
    "count",
    "sum",
    "min",
    "max",
    "string",
    "data",
    "number",
    "substring-before",
    "substring-after",
    "string-length",
    "normalize-space",
    "upper-case",
    "lower-case",
    "concat",
    "local-name",
    "namespace-uri",
    *(f"xs:{name}" for name in _CASTS),
}
_AXES: Final = frozenset(("child", "descendant", "descendant-or-self", "self", "attribute", "parent"))
_COMPARISONS: Final = frozenset(["=", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge"])

Here = str
Bound = dict[int, Condition]


class _NotUnderstood(Exception):
    """Carries the reason to the nearest place that can be opaque."""


def read_condition(query: Query) -> Condition:
    """Return what ``query`` asks, for its effective boolean value on a document."""
    return _Reader(query).read(query.module.body, _DOCUMENT, {})


class _Reader:
    """Reads one query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._variables = 0
        self._reading: set[int] = set()
        self._table: dict[str, Callable[[Any, Here, Bound], Condition]] = {
            "(string)": self._literal,
            "(integer)": self._literal,
            "(decimal)": self._literal,
            "(double)": self._literal,
            "(": self._parenthesized,
            ",": self._comma,
            "$": self._variable,
            ".": self._context,
            "root": lambda token, here, bound: Path(_DOCUMENT, ()),
            "step": self._step,
            "/": self._path,
            "!": self._map,
            "[": self._filter,
            "|": self._union,
            "union": self._union,
            "and": lambda token, here, bound: And(self._operands(token, "and", here, bound)),
            "or": lambda token, here, bound: Or(self._operands(token, "or", here, bound)),
            "+": self._arithmetic,
            "-": self._arithmetic,
            "*": self._arithmetic,
            "||": self._concatenation,
            "if": self._if,
            "some": self._quantified,
            "every": self._quantified,
            "call": self._call,
            "flwor": self._flwor,
            **dict.fromkeys(_COMPARISONS, self._compare),
        }

    def read(self, token: Any, here: Here, bound: Bound) -> Condition:
        """Return the condition of a token, `Opaque` if it is not understood."""
        read = self._table.get(token.symbol)
        if read is None:
            return Opaque(f"{token.label} {token.symbol}" if token.symbol.isalpha() else token.symbol)
        try:
            return read(token, here, bound)
        except _NotUnderstood as reason:
            return Opaque(str(reason))

    def _parts(self, token: Any, here: Here, bound: Bound) -> list[Condition]:
        return [self.read(item, here, bound) for item in token]

    def _operands(self, token: Any, symbol: str, here: Here, bound: Bound) -> tuple[Condition, ...]:
        """Return the operands of a chain of the same operator, from left to right."""
        found: list[Condition] = []
        for item in token:
            while item.symbol == "(" and len(item) == 1 and item[0].symbol == symbol:
                item = item[0]
            if item.symbol == symbol:
                found.extend(self._operands(item, symbol, here, bound))
            else:
                found.append(self.read(item, here, bound))
        return tuple(found)

    # -- values

    def _literal(self, token: Any, here: Here, bound: Bound) -> Condition:
        value = token.value
        if not isinstance(value, str | int | float | Decimal):
            raise _NotUnderstood("a literal of a rare type")
        return Literal.of(value)

    def _parenthesized(self, token: Any, here: Here, bound: Bound) -> Condition:
        return self.read(token[0], here, bound) if len(token) else _EMPTY

    def _comma(self, token: Any, here: Here, bound: Bound) -> Condition:
        return Sequence(tuple(self._parts(token, here, bound)))

    def _context(self, token: Any, here: Here, bound: Bound) -> Condition:
        return Path(here, ())

    def _variable(self, token: Any, here: Here, bound: Bound) -> Condition:
        if token.slot is not None:
            found = bound.get(token.slot)
            if found is None:
                raise _NotUnderstood(f"${token.value}")
            return found
        declaration = token.declaration
        if declaration.type is not None:
            raise _NotUnderstood(f"${token.value} with a declared type")
        if declaration.external and declaration.value is None:
            return Property(token.name)
        if declaration.external or declaration.value is None:
            raise _NotUnderstood(f"${token.value} with a default")
        return self._global(token, declaration)

    def _global(self, token: Any, declaration: Any) -> Condition:
        if id(declaration) in self._reading:
            raise _NotUnderstood(f"${token.value} refers to itself")
        self._reading.add(id(declaration))
        try:
            return self._harmless(self.read(declaration.value, _DOCUMENT, {}), token)
        finally:
            self._reading.discard(id(declaration))

    def _harmless(self, value: Condition, token: Any) -> Condition:
        """Return a value that may be evaluated later, more often or never: it cannot fail."""
        if cannot_fail(value):
            return value
        raise _NotUnderstood(f"${token.value}")

    # -- paths

    def _step(self, token: Any, here: Here, bound: Bound) -> Condition:
        return Path(here, (self._one_step(token, bound),))

    def _one_step(self, token: Any, bound: Bound) -> Step:
        axis, test = token.axis, token.test
        if axis not in _AXES:
            raise _NotUnderstood(f"axis {axis}")
        if test.annotation is not None or test.content is not None:
            raise _NotUnderstood("a kind test with a type")
        wanted: NameTest | str
        if test.kind in ("element", "attribute"):
            if (test.kind == "attribute") != (axis == "attribute"):
                raise _NotUnderstood(f"{test.kind}() on axis {axis}")
            name = test.name
            wanted = NameTest(
                ANY if name is None or name.namespace is None else name.namespace,
                ANY if name is None or name.local is None else name.local,
            )
        elif test.kind == "text" and axis != "attribute":
            wanted = "text()"
        elif test.kind in (None, "node") and axis in ("self", "parent"):
            wanted = "node()"
        else:
            raise _NotUnderstood(f"{test.kind or 'node'}() on axis {axis}")
        return _merged(Step(axis, wanted, tuple(self._predicate(item, bound) for item in token)))

    def _predicate(self, token: Any, bound: Bound) -> Condition | int:
        while token.symbol == "(" and len(token) == 1:
            token = token[0]
        if token.symbol == "(integer)":
            return int(token.value)
        if token.symbol == "call" and self._name(token) == "last":
            return -1
        if self._mentions_position(token):
            raise _NotUnderstood("a predicate with a position")
        condition = self.read(token, _CONTEXT, bound)
        if not _gives_truth(condition):
            raise _NotUnderstood("a predicate that may be a position")
        return condition

    def _mentions_position(self, token: Any) -> bool:
        return any(
            part.symbol in ("call", "reference") and self._name(part) in ("position", "last")
            for part in token.walk()
        )

    def _path(self, token: Any, here: Here, bound: Bound) -> Condition:
        left, right = token
        while right.symbol == "(" and len(right) == 1:
            right = right[0]
        inside = _is_anywhere(left) and right.symbol == "step" and right.axis == "child"
        start = self.read(left[0] if inside else left, here, bound)
        if isinstance(start, Opaque):
            return start
        if right.symbol == "step":
            if not isinstance(start, Path):
                raise _NotUnderstood("a path that does not begin with a path")
            step = self._one_step(right, bound)
            if inside:
                if any(isinstance(predicate, int) for predicate in step.predicates):
                    raise _NotUnderstood("a position among the children at any depth")
                step = replace(step, axis="descendant")
            return _normal(replace(start, steps=(*start.steps, step)))
        if right.symbol == ".":
            if not isinstance(start, Path):
                raise _NotUnderstood("a path that does not begin with a path")
            return start
        return self._each(start, right, bound, atoms=True)

    def _map(self, token: Any, here: Here, bound: Bound) -> Condition:
        left, right = token
        return self._each(self.read(left, here, bound), right, bound, atoms=False)

    def _each(self, start: Condition, right: Any, bound: Bound, *, atoms: bool) -> Condition:
        """Read ``start ! right``, or ``start/right`` if right gives no nodes."""
        if not isinstance(start, Path):
            raise _NotUnderstood("a mapping of something other than a path")
        if self._mentions_position(right):
            raise _NotUnderstood("a mapping with a position")
        name = self._fresh("here")
        body = self.read(right, name, bound)
        if atoms and not (isinstance(body, Call | Compare | Literal) and _gives_atom(body)):
            raise _NotUnderstood("a step that is no axis step")
        return For(name, start, body)

    def _filter(self, token: Any, here: Here, bound: Bound) -> Condition:
        primary, predicate = token
        start = self.read(primary, here, bound)
        condition = self._predicate(predicate, bound)
        if not isinstance(start, Path) or isinstance(condition, int):
            raise _NotUnderstood("a filter of something other than a path")
        return replace(start, steps=(*start.steps, Step("self", "node()", (condition,))))

    def _union(self, token: Any, here: Here, bound: Bound) -> Condition:
        parts = self._parts(token, here, bound)
        for part in parts:
            union = isinstance(part, Call) and part.name == "union"
            if not isinstance(part, Path) and not union:
                raise _NotUnderstood("a union of something other than paths")
        flat: list[Condition] = []
        for part in parts:
            flat.extend(part.arguments if isinstance(part, Call) else (part,))
        return Call("union", tuple(flat))

    # -- operators

    def _compare(self, token: Any, here: Here, bound: Bound) -> Condition:
        if token.static.default_collation != CODEPOINT:
            raise _NotUnderstood("a comparison under another collation")
        left, right = self._parts(token, here, bound)
        return Compare(token.symbol, left, right)

    def _arithmetic(self, token: Any, here: Here, bound: Bound) -> Condition:
        operands = self._parts(token, here, bound)
        if len(operands) == 2:
            return Arithmetic(token.symbol, operands[0], operands[1])
        (operand,) = operands
        if token.symbol == "-":
            if isinstance(operand, Literal) and not isinstance(operand.value, str | bool):
                return Literal.of(-operand.value)
            return Arithmetic("neg", operand, _EMPTY)
        if isinstance(operand, Literal) and not isinstance(operand.value, str | bool):
            return operand
        raise _NotUnderstood("a sign")

    def _concatenation(self, token: Any, here: Here, bound: Bound) -> Condition:
        return Call("concat", self._operands(token, "||", here, bound))

    def _if(self, token: Any, here: Here, bound: Bound) -> Condition:
        test, then_part, else_part = self._parts(token, here, bound)
        return If(test, then_part, else_part)

    def _quantified(self, token: Any, here: Here, bound: Bound) -> Condition:
        inner = dict(bound)
        ranges: list[tuple[str, Condition]] = []
        for (slot, wanted), item in zip(token.bindings, token):
            if wanted is not None:
                raise _NotUnderstood("a quantified variable with a type")
            source = self.read(item, here, inner)
            name = self._fresh("some")
            inner[slot] = Path(name, ())
            ranges.append((name, source))
        condition = self.read(token[-1], here, inner)
        for name, source in reversed(ranges):
            condition = Quantified(not token.is_some, name, source, condition)
        return condition

    def _fresh(self, stem: str) -> str:
        self._variables += 1
        return f"{stem}#{self._variables}"

    # -- functions

    def _name(self, token: Any) -> str:
        """Return the usual name of a called function: ``contains``, ``xs:double``; others with their URI."""
        uri, local = split_name(token.name)
        if uri == PREFIXES["fn"]:
            return str(local)
        return f"xs:{local}" if uri == PREFIXES["xs"] else str(token.name)

    def _call(self, token: Any, here: Here, bound: Bound) -> Condition:
        name = self._name(token)
        if token.partial:
            raise _NotUnderstood(f"a partial call of {name}")
        if token.static.default_collation != CODEPOINT:
            raise _NotUnderstood(f"{name} under another collation")
        arguments = tuple(self._parts(token, here, bound))
        if name == "concat":
            return Call(name, arguments)
        if name.startswith("xs:"):
            if name[3:] not in _CASTS:
                raise _NotUnderstood(name)
            return Call(name, arguments)
        if len(arguments) not in _FUNCTIONS.get(name, ()):
            raise _NotUnderstood(f"{name}#{len(arguments)}")
        if name == "matches" and not all(
            isinstance(argument, Literal) and isinstance(argument.value, str) for argument in arguments[1:]
        ):
            raise _NotUnderstood("matches with a computed pattern")
        if not arguments and _FUNCTIONS[name] == (0, 1):
            arguments = (Path(here, ()),)
        return Call(name, arguments)

    # -- FLWOR

    def _flwor(self, token: Any, here: Here, bound: Bound) -> Condition:
        return self._clauses(token, 0, here, dict(bound))

    def _clauses(self, token: Any, number: int, here: Here, bound: Bound) -> Condition:
        """Return what the clauses from ``number`` on and the return expression say together."""
        if number == len(token.clauses):
            return self.read(token[-1], here, bound)
        clause = token.clauses[number]
        if clause.kind == "where":
            test = self.read(clause.expressions[0], here, bound)
            return If(test, self._clauses(token, number + 1, here, bound), _EMPTY)
        if clause.kind not in ("for", "let"):
            raise _NotUnderstood(f"FLWOR with {clause.kind}")
        if clause.type is not None:
            raise _NotUnderstood(f"${clause.name} with a declared type")
        value = self.read(clause.expressions[0], here, bound)
        if clause.kind == "for":
            if clause.allows_empty or clause.place is not None:
                raise _NotUnderstood("for with 'at' or 'allowing empty'")
            name = self._fresh("for")
            bound[clause.slot] = Path(name, ())
            return For(name, value, self._clauses(token, number + 1, here, bound))
        if _mentions_context(value):
            raise _NotUnderstood("let of something that depends on the context item")
        bound[clause.slot] = value
        body = self._clauses(token, number + 1, here, bound)
        if cannot_fail(value):
            return body
        # The engine evaluates a let when it comes to it: an error there is one even if nobody uses the value.
        return If(Call("evaluate", (value,)), body, _EMPTY)


def _is_anywhere(token: Any) -> bool:
    """Tell whether a path ends in the step that ``//`` stands for."""
    return (
        token.symbol == "/"
        and token[1].symbol == "step"
        and token[1].axis == "descendant-or-self"
        and token[1].test.kind in (None, "node")
        and not len(token[1])
    )


def _merged(step: Step) -> Step:
    """Return the step with leading predicates that only name the node taken into its test.

    ``*[self::f:A]`` is ``f:A``, and ``*[local-name() = 'A']`` is ``*:A``.
    """
    while isinstance(step.test, NameTest) and step.predicates:
        named = _named(step.predicates[0]) if step.axis != "attribute" else None
        if named is None:
            break
        both = step.test.both(named)
        if both is None:
            break
        step = Step(step.axis, both, step.predicates[1:])
    return step


def _named(predicate: Condition | int) -> NameTest | None:
    if isinstance(predicate, Path) and predicate.origin == _CONTEXT and len(predicate.steps) == 1:
        (step,) = predicate.steps
        if step.axis == "self" and isinstance(step.test, NameTest) and not step.predicates:
            return step.test
    if (
        isinstance(predicate, Compare)
        and predicate.operator in ("=", "eq")
        and predicate.left == Call("local-name", (Path(_CONTEXT, ()),))
        and isinstance(predicate.right, Literal)
        and isinstance(predicate.right.value, str)
        and predicate.right.value not in ("", ANY)
    ):
        return NameTest(ANY, predicate.right.value)
    return None


def _normal(path: Path) -> Path:
    """Return the path without steps that change nothing: ``self::node()`` without predicates."""
    steps = tuple(step for step in path.steps if step != Step("self", "node()"))
    return replace(path, steps=steps)


def _mentions_context(condition: Condition) -> bool:
    """Tell whether it depends on the context item of a predicate: ``.`` means another node in another one."""
    if isinstance(condition, Path):
        return condition.origin == _CONTEXT
    return any(_mentions_context(part) for part in parts(condition))


def cannot_fail(condition: Condition) -> bool:
    """Tell whether evaluating it can never be an error, whatever the event is."""
    if isinstance(condition, Literal):
        return True
    if isinstance(condition, Path):
        return all(isinstance(part, int) or _truth_cannot_fail(part) for part in _predicates(condition))
    if isinstance(condition, Compare):
        return condition.operator in _GENERAL and _is_text(condition.left) and _is_text(condition.right)
    if isinstance(condition, And | Or):
        return all(_truth_cannot_fail(part) for part in condition.parts)
    if isinstance(condition, Call):
        if condition.name in ("not", "boolean"):
            return _truth_cannot_fail(condition.arguments[0])
        return condition.name in ("exists", "empty", "count", "true", "false", "union") and all(
            cannot_fail(argument) for argument in condition.arguments
        )
    if isinstance(condition, Sequence):
        return all(cannot_fail(part) for part in condition.parts)
    return False


_GENERAL: Final = frozenset(("=", "!=", "<", "<=", ">", ">="))


def _predicates(path: Path) -> list[Condition | int]:
    return [predicate for step in path.steps for predicate in step.predicates]


def _truth_cannot_fail(condition: Condition) -> bool:
    # A sequence of several values has no effective boolean value; a path of nodes always has.
    return not isinstance(condition, Sequence) and cannot_fail(condition)


def _is_text(condition: Condition) -> bool:
    """Tell whether it gives strings and untyped values only, and cannot fail."""
    if isinstance(condition, Literal):
        return isinstance(condition.value, str)
    if isinstance(condition, Sequence):
        return all(_is_text(part) for part in condition.parts)
    return isinstance(condition, Path) and cannot_fail(condition)


def _gives_truth(condition: Condition) -> bool:
    """Tell whether a condition in a predicate cannot be a number."""
    if isinstance(condition, Compare | And | Or | Path | Quantified):
        return True
    if isinstance(condition, Call):
        return condition.name in _GIVES_BOOLEAN or condition.name in ("union", "xs:boolean")
    if isinstance(condition, If):
        return _gives_truth(condition.then_part) and _gives_truth(condition.else_part)
    if isinstance(condition, Sequence):
        return not condition.parts
    return isinstance(condition, Literal) and isinstance(condition.value, str)


def _gives_atom(condition: Condition) -> bool:
    return not isinstance(condition, Call) or condition.name in _GIVES_ATOM
