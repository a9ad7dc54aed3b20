"""Read as conditions: calls of functions, declared ones included, and of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clacks.xquery.analysis_reader import (
    ABSENT,
    CONTEXT,
    EMPTY,
    Bound,
    Form,
    Here,
    NotUnderstood,
    Reader,
    of_type,
    usual_name,
)
from clacks.xquery.atoms import castable_types, is_pure
from clacks.xquery.collation import CODEPOINT
from clacks.xquery.condition_types import cannot_fail
from clacks.xquery.conditions import And, Call, Condition, For, If, Literal, Path

__all__ = ["CALLS"]

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


def _lookup(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if token.unary:
        if here == ABSENT:
            raise NotUnderstood("the context item inside a function")
        container: Condition = Path(here, ())
    else:
        container = reader.read(token[0], here, bound)
    if token.all:
        return Call("?*", (container,))
    if token.key is not None:
        return Call("?", (container, Literal.of(token.key)))
    return Call("?", (container, reader.read(token[-1], here, bound)))


def _new_map(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if len(token):
        raise NotUnderstood("a map with entries")
    return Call("map", ())


def _dynamic(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    operands = reader.parts(token, here, bound)
    if len(operands) != 2 or any(item.symbol == "placeholder" for item in token):
        raise NotUnderstood("a call of a computed function")
    return Call("apply", tuple(operands))


def _call(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    name = usual_name(token)
    if token.partial:
        raise NotUnderstood(f"a partial call of {name}")
    if token.declaration is not None:
        return _declared(reader, token, here, bound)
    if token.static.default_collation != CODEPOINT:
        raise NotUnderstood(f"{name} under another collation")
    arguments = tuple(reader.parts(token, here, bound))
    if name == "concat":
        return Call(name, arguments)
    if name.startswith("xs:"):
        if not castable_types(name[3:]):
            raise NotUnderstood(name)
        return Call(name, arguments)
    if is_pure(name, len(arguments)):
        return Call(name, arguments)
    if len(arguments) not in _FUNCTIONS.get(name, ()):
        raise NotUnderstood(f"{name}#{len(arguments)}")
    if name == "matches" and not all(
        isinstance(argument, Literal) and isinstance(argument.value, str) for argument in arguments[1:]
    ):
        raise NotUnderstood("matches with a computed pattern")
    if not arguments and here == ABSENT and _FUNCTIONS[name] != (0,):
        raise NotUnderstood("the context item inside a function")
    if name in ("position", "last") and here != CONTEXT:
        raise NotUnderstood(f"{name}() outside a predicate")
    if not arguments and _FUNCTIONS[name] == (0, 1):
        arguments = (Path(here, ()),)
    return Call(name, arguments)


def _declared(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    """Read a call of a declared function as its body with the arguments in place of the parameters."""
    declaration = token.declaration
    if id(declaration) in reader.reading:
        raise NotUnderstood(f"{token.value} calls itself")
    if declaration.body is None or declaration.scope.captures:
        raise NotUnderstood(f"{token.value} without a body")
    inner: Bound = {}
    focus: str | None = None
    guards: list[Condition] = []
    for parameter, item in zip(declaration.parameters, token):
        value = reader.read(item, here, bound)
        value, focus = reader.unfocused(value, focus)
        value = of_type("convert", value, parameter.type)
        inner[parameter.slot] = value
        if not cannot_fail(value):
            guards.append(Call("evaluate", (reader.used(value),)))
    reader.reading.add(id(declaration))
    try:
        body = reader.read(declaration.body, ABSENT, inner)
    finally:
        reader.reading.discard(id(declaration))
    found = of_type("convert", body, declaration.result)
    # The engine evaluates arguments before the body: an error there is one even if nobody uses the value.
    if guards:
        found = If(guards[0] if len(guards) == 1 else And(tuple(guards)), found, EMPTY)
    return found if focus is None else For(focus, Path(CONTEXT, ()), found)


CALLS: Final[Mapping[str, Form]] = {
    "call": _call,
    "dynamic": _dynamic,
    "?": _lookup,
    "map": _new_map,
}
