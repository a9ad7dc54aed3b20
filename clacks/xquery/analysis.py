"""Read a compiled query as a `Condition`: what the query asks, without the parser's tokens.

What is not understood becomes `Opaque`, with a reason; nothing is ever approximated. Three things are
resolved on the way: names are expanded (the tokens did that), variables bound by ``let`` and the parameters
of declared functions are replaced by what they stand for, and the context item is made explicit, so that a
path begins at ``/``, at ``.`` (inside a predicate) or at a variable bound by ``for``, ``some`` or ``every``.

Replacing may double a query at each ``let``, so the size of what is read has a limit, and a query beyond it
is opaque as a whole.

The tokens of this package are read by a table from their symbol to a method; a new kind of expression that
has no entry is opaque, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from clacks.common.limits import DEFAULT_LIMITS
from clacks.xquery.atoms import castable_types, is_pure, is_simple_type
from clacks.xquery.collation import CODEPOINT
from clacks.xquery.condition_paths import is_inner, may_count, merged, normal, union
from clacks.xquery.condition_types import (
    cannot_fail,
    depth,
    gives_atoms,
    gives_nodes,
    gives_truth,
    mentions_focus,
    mentions_position,
    rebased,
)
from clacks.xquery.conditions import (
    ANY,
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    Filter,
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
from clacks.xquery.sequence_types import ANY as ANY_TYPE
from clacks.xquery.sequence_types import KindTest, SequenceType

__all__ = ["read_condition"]

_EMPTY: Final = Sequence(())
_DOCUMENT: Final = "/"
_CONTEXT: Final = "."
_ABSENT: Final = ""
"""Where expressions stand that have no context item: the bodies of functions."""
_MOST_PARTS: Final = DEFAULT_LIMITS.condition_parts
_MOST_LEVELS: Final = DEFAULT_LIMITS.condition_levels
_TOO_DEEP: Final = Opaque(f"a query of more than {_MOST_LEVELS} levels")
_LONGEST_RANGE: Final = 64
"""Integers of a range of constants that is read as a list of them."""

# Functions with these arities are in the language of conditions; "." is the default of a missing argument.
_FUNCTIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "not": (1,),
    "boolean": (1,),
    "exists": (1,),
    "empty": (1,),
    "count": (1,),
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
    "name": (0, 1),
    "namespace-uri": (0, 1),
    "head": (1,),
    "tail": (1,),
    "reverse": (1,),
    "subsequence": (2, 3),
    "zero-or-one": (1,),
    "exactly-one": (1,),
    "one-or-more": (1,),
    "position": (0,),
    "last": (0,),
}
_AXES: Final = frozenset(
    [
        *("child", "descendant", "descendant-or-self", "self", "attribute", "parent"),
        *("ancestor", "ancestor-or-self", "following-sibling", "preceding-sibling"),
    ]
)
_COMPARISONS: Final = frozenset(["=", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge"])
_PREFIX: Final = {PREFIXES["fn"]: "", **{PREFIXES[name]: f"{name}:" for name in ("xs", "map", "array")}}
_KINDS: Final = {None: "node", "element": "element", "attribute": "attribute", "text": "text"}

Here = str
Bound = dict[int, Condition]


class _NotUnderstood(Exception):
    """Carries the reason to the nearest place that can be opaque."""


class _TooLarge(Exception):
    """The query has more parts than are read."""


def read_condition(query: Query) -> Condition:
    """Return what ``query`` asks, for its effective boolean value on a document."""
    module = query.module
    if module.context_item is not None:
        return Opaque("declare context item")
    if module.imports:
        return Opaque("import module")
    try:
        found = _Reader().read(module.body, _DOCUMENT, {})
    except _TooLarge:
        return Opaque(f"a query of more than {_MOST_PARTS} parts")
    except RecursionError:
        return _TOO_DEEP
    return _TOO_DEEP if depth(found) > _MOST_LEVELS else found


class _Reader:
    """Reads one query."""

    def __init__(self) -> None:
        self._variables = 0
        self._left = _MOST_PARTS
        self._reading: set[int] = set()
        self._nodes: set[str] = {_DOCUMENT, _CONTEXT}
        """What is a node whenever it is read: the context item of a predicate, variables over nodes."""
        self._table: dict[str, Callable[[Any, Here, Bound], Condition]] = {
            "(string)": self._literal,
            "(integer)": self._literal,
            "(decimal)": self._literal,
            "(double)": self._literal,
            "(": self._parenthesized,
            ",": self._comma,
            "$": self._variable,
            ".": self._context,
            "root": self._root,
            "step": self._step,
            "@": self._step,
            "..": self._step,
            "/": self._path,
            "!": self._map,
            "[": self._filter,
            "|": self._set("union"),
            "union": self._set("union"),
            "except": self._set("except"),
            "intersect": self._set("intersect"),
            "and": lambda token, here, bound: And(self._operands(token, "and", here, bound)),
            "or": lambda token, here, bound: Or(self._operands(token, "or", here, bound)),
            "+": self._arithmetic,
            "-": self._arithmetic,
            "*": self._arithmetic,
            "div": self._arithmetic,
            "idiv": self._arithmetic,
            "mod": self._arithmetic,
            "to": self._range,
            "||": self._concatenation,
            "if": self._if,
            "switch": self._switch,
            "some": self._quantified,
            "every": self._quantified,
            "call": self._call,
            "dynamic": self._dynamic,
            "?": self._lookup,
            "map": self._new_map,
            "cast": self._cast,
            "castable": self._cast,
            "instance": self._typed("instance"),
            "treat": self._typed("treat"),
            "flwor": self._flwor,
            **dict.fromkeys(_COMPARISONS, self._compare),
        }

    def read(self, token: Any, here: Here, bound: Bound) -> Condition:
        """Return the condition of a token, `Opaque` if it is not understood."""
        self._charge(1)
        read = self._table.get(token.symbol)
        if read is None:
            return Opaque(f"{token.label} {token.symbol}" if token.symbol.isalpha() else token.symbol)
        try:
            return read(token, here, bound)
        except _NotUnderstood as reason:
            return Opaque(str(reason))

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooLarge

    def _used(self, value: Condition) -> Condition:
        """Return a value that is put in the place of a variable once more."""
        self._charge(1)
        for part in parts(value):
            self._used(part)
        return value

    def _parts(self, token: Any, here: Here, bound: Bound) -> list[Condition]:
        return [self.read(item, here, bound) for item in token]

    def _operands(self, token: Any, symbol: str, here: Here, bound: Bound) -> tuple[Condition, ...]:
        """Return the operands of a chain of the same operator, from left to right."""
        found: list[Condition] = []
        waiting = [token]
        while waiting:
            item = waiting.pop()
            while item.symbol == "(" and len(item) == 1 and item[0].symbol == symbol:
                item = item[0]
            if item.symbol == symbol:
                waiting.extend(reversed(list(item)))
            else:
                found.append(self.read(item, here, bound))
        return tuple(found)

    def _fresh(self, stem: str) -> str:
        self._variables += 1
        return f"{stem}#{self._variables}"

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
        if here == _ABSENT:
            raise _NotUnderstood("the context item inside a function")
        return Path(here, ())

    def _root(self, token: Any, here: Here, bound: Bound) -> Condition:
        if here not in self._nodes:
            raise _NotUnderstood("a path from the root where the context item may be no node")
        return Path(_DOCUMENT, ())

    def _variable(self, token: Any, here: Here, bound: Bound) -> Condition:
        if token.slot is not None:
            found = bound.get(token.slot)
            if found is None:
                raise _NotUnderstood(f"${token.value}")
            return self._used(found)
        declaration = token.declaration
        wanted = declaration.type
        value: Condition | None = None
        if declaration.value is not None:
            value = self._global(token, declaration)
        if declaration.external:
            value = Property(token.name, value)
        if value is None:
            raise _NotUnderstood(f"${token.value}")
        return value if wanted is None else self._of_type("treat", value, wanted)

    def _global(self, token: Any, declaration: Any) -> Condition:
        """Read the value of a global variable; the engine evaluates it where it is used, as we do."""
        if id(declaration) in self._reading:
            raise _NotUnderstood(f"${token.value} refers to itself")
        self._reading.add(id(declaration))
        try:
            return self.read(declaration.value, _DOCUMENT, {})
        finally:
            self._reading.discard(id(declaration))

    def _of_type(self, name: str, value: Condition, wanted: SequenceType) -> Condition:
        """Return a `Call` that checks, tests or converts a value to a sequence type."""
        if wanted == ANY_TYPE:
            return value if name != "instance" else Call(name, (value, Literal.of("item()*")))
        item = wanted.item
        plain = isinstance(item, KindTest) and item.kind in _KINDS and item == KindTest(item.kind)
        if not plain and not is_simple_type(wanted):
            raise _NotUnderstood(f"the type {wanted}")
        return Call(name, (value, Literal.of(str(wanted))))

    def _typed(self, name: str) -> Callable[[Any, Here, Bound], Condition]:
        def read(token: Any, here: Here, bound: Bound) -> Condition:
            return self._of_type(name, self.read(token[0], here, bound), token.type)

        return read

    def _cast(self, token: Any, here: Here, bound: Bound) -> Condition:
        value = self.read(token[0], here, bound)
        if not castable_types(token.local):
            raise _NotUnderstood(f"xs:{token.local}")
        if token.symbol == "castable":
            return Call("castable", (value, Literal.of(token.local), Literal.of(token.optional)))
        if token.optional:
            return Call(f"xs:{token.local}", (value,))
        return Call("cast", (value, Literal.of(token.local)))

    # -- paths

    def _step(self, token: Any, here: Here, bound: Bound) -> Condition:
        if here == _ABSENT:
            raise _NotUnderstood("the context item inside a function")
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
        elif test.kind == "text" and axis in ("child", "descendant", "descendant-or-self", "self"):
            wanted = "text()"
        elif test.kind is None and axis in ("self", "parent"):
            wanted = "node()"
        elif test.kind is None and axis == "attribute":
            wanted = NameTest(ANY, ANY)
        else:
            raise _NotUnderstood(f"{test.kind or 'node'}() on axis {axis}")
        return merged(Step(axis, wanted, tuple(self._predicate(item, bound) for item in token)))

    def _predicate(self, token: Any, bound: Bound, *, nodes: bool = True) -> Condition | int:
        while token.symbol == "(" and len(token) == 1:
            token = token[0]
        if token.symbol == "(integer)":
            return int(token.value)
        if token.symbol == "call" and self._name(token) == "last" and not len(token):
            return -1
        before = _CONTEXT in self._nodes
        (self._nodes.add if nodes else self._nodes.discard)(_CONTEXT)
        try:
            condition = self.read(token, _CONTEXT, bound)
            sure = gives_truth(condition, self._nodes) and not mentions_position(condition)
        finally:
            (self._nodes.add if before else self._nodes.discard)(_CONTEXT)
        return condition if sure else Call("at", (condition,))

    def _path(self, token: Any, here: Here, bound: Bound) -> Condition:
        left, right = token
        if _is_anywhere(left):
            return self._anywhere(self.read(left[0], here, bound), right, bound)
        return self._extended(self.read(left, here, bound), right, bound)

    def _anywhere(self, start: Condition, right: Any, bound: Bound) -> Condition:
        """Read ``start//right``."""
        while right.symbol == "(" and len(right) == 1:
            right = right[0]
        if _is_step(right) and right.axis in ("child", "attribute"):
            step = self._one_step(right, bound)
            if step.axis == "child" and not any(map(may_count, step.predicates)):
                return self._onto(start, replace(step, axis="descendant"))
            return self._onto(self._onto(start, Step("descendant-or-self", "node()")), step)
        if right.symbol in ("|", "union", ",", "[", "/"):
            return self._extended(self._onto(start, Step("descendant-or-self", "node()")), right, bound)
        raise _NotUnderstood("// before something other than a step")

    def _extended(self, start: Condition, right: Any, bound: Bound) -> Condition:
        """Read ``start/right``."""
        if isinstance(start, Opaque):
            return start
        while right.symbol == "(" and len(right) == 1:
            right = right[0]
        if _is_step(right):
            if is_inner(start) and right.axis not in ("child", "attribute"):
                raise _NotUnderstood("// before something other than a step to children or attributes")
            return self._onto(start, self._one_step(right, bound))
        if right.symbol == ".":
            if not gives_nodes(start, self._nodes):
                raise _NotUnderstood("a path that does not begin with nodes")
            return start
        if right.symbol in ("|", "union", ","):
            found = [self._extended(start, item, bound) for item in right]
            if not all(gives_nodes(part, self._nodes) for part in found):
                raise _NotUnderstood("a union of something other than nodes")
            return union(found)
        if right.symbol == "[" and _is_pathlike(right[0]):
            condition = self._predicate(right[1], bound)
            if not may_count(condition):
                inner = self._extended(start, right[0], bound)
                return self._onto(inner, Step("self", "node()", (condition,)))
        if right.symbol == "/" and _is_pathlike(right) and not _is_anywhere(right[0]):
            return self._extended(self._extended(start, right[0], bound), right[1], bound)
        return self._each(start, right, bound, step=True)

    def _onto(self, start: Condition, step: Step) -> Condition:
        """Return the condition that goes one step on from the nodes of ``start``."""
        if isinstance(start, Opaque):
            return start
        if isinstance(start, Path):
            if not start.steps and start.origin not in self._nodes:
                raise _NotUnderstood("a path that does not begin with nodes")
            self._charge(len(start.steps))  # they are copied
            return normal(replace(start, steps=(*start.steps, step)))
        if isinstance(start, Call) and start.name == "union":
            return union([self._onto(part, step) for part in start.arguments])
        if not gives_nodes(start, self._nodes):
            raise _NotUnderstood("a path that does not begin with nodes")
        if isinstance(start, Call) and start.name == "ordered":
            inner = start.arguments[0]
            if (
                isinstance(inner, For)
                and isinstance(inner.body, Path)
                and not any(may_count(predicate) for predicate in step.predicates)
            ):
                return Call("ordered", (replace(inner, body=self._onto(inner.body, step)),))
        name = self._fresh("from")
        self._nodes.add(name)
        return Call("ordered", (For(name, start, self._onto(Path(name, ()), step)),))

    def _map(self, token: Any, here: Here, bound: Bound) -> Condition:
        left, right = token
        return self._each(self.read(left, here, bound), right, bound, step=False)

    def _each(self, start: Condition, right: Any, bound: Bound, *, step: bool) -> Condition:
        """Read ``start ! right``, or ``start/right`` if that is no path of steps."""
        if isinstance(start, Opaque):
            return start
        nodes = gives_nodes(start, self._nodes)
        if step and (not nodes or is_inner(start)):
            raise _NotUnderstood("a path that does not begin with nodes")
        name = self._fresh("here")
        if nodes:
            self._nodes.add(name)
        body = self.read(right, name, bound)
        if isinstance(body, Opaque):
            return body
        found = For(name, start, body)
        if not step or gives_atoms(body):
            return found
        if gives_nodes(body, self._nodes):
            return Call("ordered", (found,))
        raise _NotUnderstood("a step that is no axis step")

    def _filter(self, token: Any, here: Here, bound: Bound) -> Condition:
        primary, predicate = token
        start = self.read(primary, here, bound)
        if isinstance(start, Opaque):
            return start
        nodes = gives_nodes(start, self._nodes)
        condition = self._predicate(predicate, bound, nodes=nodes)
        if not may_count(condition) and nodes and isinstance(start, Path):
            return self._onto(start, Step("self", "node()", (condition,)))
        if not may_count(condition) and isinstance(start, Call) and start.name == "union":
            return self._onto(start, Step("self", "node()", (condition,)))
        return Filter(start, condition)

    def _set(self, name: str) -> Callable[[Any, Here, Bound], Condition]:
        def read(token: Any, here: Here, bound: Bound) -> Condition:
            found = self._parts(token, here, bound)
            for part in found:
                if isinstance(part, Opaque):
                    return part
                if not gives_nodes(part, self._nodes):
                    raise _NotUnderstood(f"{name} of something other than nodes")
            return union(found) if name == "union" else Call(name, tuple(found))

        return read

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

    def _range(self, token: Any, here: Here, bound: Bound) -> Condition:
        low, high = self._parts(token, here, bound)
        if (
            isinstance(low, Literal)
            and isinstance(high, Literal)
            and low.kind == high.kind == "int"
            and high.value - low.value < _LONGEST_RANGE  # type: ignore[operator]
        ):
            values = range(low.value, high.value + 1)  # type: ignore[arg-type, operator]
            return Sequence(tuple(Literal.of(value) for value in values))
        return Call("to", (low, high))

    def _concatenation(self, token: Any, here: Here, bound: Bound) -> Condition:
        return Call("concat", self._operands(token, "||", here, bound))

    def _if(self, token: Any, here: Here, bound: Bound) -> Condition:
        test, then_part, else_part = self._parts(token, here, bound)
        return If(test, then_part, else_part)

    def _switch(self, token: Any, here: Here, bound: Bound) -> Condition:
        if token.static.default_collation != CODEPOINT:
            raise _NotUnderstood("switch under another collation")
        operand = self.read(token[0], here, bound)
        found = self.read(token[-1], here, bound)
        for operands, result in reversed(token.cases):
            tests = tuple(
                Call("same", (self._used(operand), self.read(case, here, bound))) for case in operands
            )
            test = tests[0] if len(tests) == 1 else Or(tests)
            found = If(test, self.read(result, here, bound), found)
        return found

    def _quantified(self, token: Any, here: Here, bound: Bound) -> Condition:
        inner = dict(bound)
        ranges: list[tuple[str, Condition]] = []
        for (slot, wanted), item in zip(token.bindings, token):
            if wanted is not None:
                raise _NotUnderstood("a quantified variable with a type")
            source = self.read(item, here, inner)
            inner[slot] = self._over("some", source)
            ranges.append((inner[slot].origin, source))  # type: ignore[union-attr]
        condition = self.read(token[-1], here, inner)
        for name, source in reversed(ranges):
            condition = Quantified(not token.is_some, name, source, condition)
        return condition

    def _over(self, stem: str, source: Condition) -> Path:
        """Return the variable that stands for each item of ``source``."""
        name = self._fresh(stem)
        if gives_nodes(source, self._nodes):
            self._nodes.add(name)
        return Path(name, ())

    # -- maps

    def _lookup(self, token: Any, here: Here, bound: Bound) -> Condition:
        if token.unary:
            if here == _ABSENT:
                raise _NotUnderstood("the context item inside a function")
            container: Condition = Path(here, ())
        else:
            container = self.read(token[0], here, bound)
        if token.all:
            return Call("?*", (container,))
        if token.key is not None:
            return Call("?", (container, Literal.of(token.key)))
        return Call("?", (container, self.read(token[-1], here, bound)))

    def _new_map(self, token: Any, here: Here, bound: Bound) -> Condition:
        if len(token):
            raise _NotUnderstood("a map with entries")
        return Call("map", ())

    def _dynamic(self, token: Any, here: Here, bound: Bound) -> Condition:
        operands = self._parts(token, here, bound)
        if len(operands) != 2 or any(item.symbol == "placeholder" for item in token):
            raise _NotUnderstood("a call of a computed function")
        return Call("apply", tuple(operands))

    # -- functions

    def _name(self, token: Any) -> str:
        """Return the usual name of a called function: ``contains``, ``xs:double``; others with their URI."""
        uri, local = split_name(token.name)
        prefix = _PREFIX.get(uri)
        return str(token.name) if prefix is None else f"{prefix}{local}"

    def _call(self, token: Any, here: Here, bound: Bound) -> Condition:
        name = self._name(token)
        if token.partial:
            raise _NotUnderstood(f"a partial call of {name}")
        if token.declaration is not None:
            return self._declared(token, here, bound)
        if token.static.default_collation != CODEPOINT:
            raise _NotUnderstood(f"{name} under another collation")
        arguments = tuple(self._parts(token, here, bound))
        if name == "concat":
            return Call(name, arguments)
        if name.startswith("xs:"):
            if not castable_types(name[3:]):
                raise _NotUnderstood(name)
            return Call(name, arguments)
        if is_pure(name, len(arguments)):
            return Call(name, arguments)
        if len(arguments) not in _FUNCTIONS.get(name, ()):
            raise _NotUnderstood(f"{name}#{len(arguments)}")
        if name == "matches" and not all(
            isinstance(argument, Literal) and isinstance(argument.value, str) for argument in arguments[1:]
        ):
            raise _NotUnderstood("matches with a computed pattern")
        if not arguments and here == _ABSENT and _FUNCTIONS[name] != (0,):
            raise _NotUnderstood("the context item inside a function")
        if name in ("position", "last") and here != _CONTEXT:
            raise _NotUnderstood(f"{name}() outside a predicate")
        if not arguments and _FUNCTIONS[name] == (0, 1):
            arguments = (Path(here, ()),)
        return Call(name, arguments)

    def _declared(self, token: Any, here: Here, bound: Bound) -> Condition:
        """Read a call of a declared function as its body with the arguments in place of the parameters."""
        declaration = token.declaration
        if id(declaration) in self._reading:
            raise _NotUnderstood(f"{token.value} calls itself")
        if declaration.body is None or declaration.scope.captures:
            raise _NotUnderstood(f"{token.value} without a body")
        inner: Bound = {}
        focus: str | None = None
        guards: list[Condition] = []
        for parameter, item in zip(declaration.parameters, token):
            value = self.read(item, here, bound)
            value, focus = self._unfocused(value, focus)
            value = self._of_type("convert", value, parameter.type)
            inner[parameter.slot] = value
            if not cannot_fail(value):
                guards.append(Call("evaluate", (self._used(value),)))
        self._reading.add(id(declaration))
        try:
            body = self.read(declaration.body, _ABSENT, inner)
        finally:
            self._reading.discard(id(declaration))
        found = self._of_type("convert", body, declaration.result)
        # The engine evaluates arguments before the body: an error there is one even if nobody uses the value.
        if guards:
            found = If(guards[0] if len(guards) == 1 else And(tuple(guards)), found, _EMPTY)
        return found if focus is None else For(focus, Path(_CONTEXT, ()), found)

    def _unfocused(self, value: Condition, focus: str | None) -> tuple[Condition, str | None]:
        """Return the value with a variable for the context item, so that it means the same in any place."""
        if mentions_position(value):
            raise _NotUnderstood("a variable that depends on a position")
        if not mentions_focus(value):
            return value, focus
        if focus is None:
            focus = self._fresh("let")
            if _CONTEXT in self._nodes:
                self._nodes.add(focus)
        return rebased(value, focus), focus

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
        value = self.read(clause.expressions[0], here, bound)
        if clause.kind == "for":
            if clause.allows_empty or clause.place is not None:
                raise _NotUnderstood("for with 'at' or 'allowing empty'")
            variable = self._over("for", value)
            bound[clause.slot] = variable
            if clause.type is not None:
                bound[clause.slot] = self._of_type("treat", variable, clause.type)
            body = self._clauses(token, number + 1, here, bound)
            if clause.type is not None:
                body = If(Call("evaluate", (bound[clause.slot],)), body, _EMPTY)
            return For(variable.origin, value, body)
        if clause.type is not None:
            value = self._of_type("treat", value, clause.type)
        value, focus = self._unfocused(value, None)
        bound[clause.slot] = value
        body = self._clauses(token, number + 1, here, bound)
        if not cannot_fail(value):
            # The engine evaluates a let when it comes to it: an error there is one even if nobody uses the
            # value.
            body = If(Call("evaluate", (self._used(value),)), body, _EMPTY)
        return body if focus is None else For(focus, Path(_CONTEXT, ()), body)


def _is_step(token: Any) -> bool:
    return token.symbol in ("step", "@", "..")


def _is_pathlike(token: Any) -> bool:
    """Tell whether an expression behind a slash is made of steps, unions and parentheses only."""
    while token.symbol == "(" and len(token) == 1:
        token = token[0]
    if token.symbol == "[":
        return _is_pathlike(token[0])
    if token.symbol in ("|", "union", ",", "/"):
        return all(_is_pathlike(item) for item in token)
    return _is_step(token)


def _is_anywhere(token: Any) -> bool:
    """Tell whether a path ends in the step that ``//`` stands for."""
    return (
        token.symbol == "/"
        and token[1].symbol == "step"
        and token[1].axis == "descendant-or-self"
        and token[1].test.kind is None
        and not len(token[1])
    )
