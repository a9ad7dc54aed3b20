"""Read as conditions: literals, variables, types."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from clacks.xquery.analysis_reader import (
    ABSENT,
    DOCUMENT,
    EMPTY,
    Bound,
    Form,
    Here,
    NotUnderstood,
    Reader,
    of_type,
)
from clacks.xquery.atoms import castable_types
from clacks.xquery.conditions import Call, Condition, Literal, Path, Property, Sequence

__all__ = ["VALUES"]


def _literal(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    value = token.value
    if not isinstance(value, str | int | float | Decimal):
        raise NotUnderstood("a literal of a rare type")
    return Literal.of(value)


def _parenthesized(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    return reader.read(token[0], here, bound) if len(token) else EMPTY


def _comma(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    return Sequence(tuple(reader.parts(token, here, bound)))


def _context(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if here == ABSENT:
        raise NotUnderstood("the context item inside a function")
    return Path(here, ())


def _variable(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if token.slot is not None:
        found = bound.get(token.slot)
        if found is None:
            raise NotUnderstood(f"${token.value}")
        return reader.used(found)
    declaration = token.declaration
    wanted = declaration.type
    value: Condition | None = None
    if declaration.value is not None:
        value = _global(reader, token, declaration)
    if declaration.external:
        value = Property(token.name, value)
    if value is None:
        raise NotUnderstood(f"${token.value}")
    return value if wanted is None else of_type("treat", value, wanted)


def _global(reader: Reader, token: Any, declaration: Any) -> Condition:
    """Read the value of a global variable; the engine evaluates it where it is used, as we do."""
    if id(declaration) in reader.reading:
        raise NotUnderstood(f"${token.value} refers to itself")
    reader.reading.add(id(declaration))
    try:
        return reader.read(declaration.value, DOCUMENT, {})
    finally:
        reader.reading.discard(id(declaration))


def _typed(name: str) -> Form:
    def read(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
        return of_type(name, reader.read(token[0], here, bound), token.type)

    return read


def _cast(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    value = reader.read(token[0], here, bound)
    if not castable_types(token.local):
        raise NotUnderstood(f"xs:{token.local}")
    if token.symbol == "castable":
        return Call("castable", (value, Literal.of(token.local), Literal.of(token.optional)))
    if token.optional:
        return Call(f"xs:{token.local}", (value,))
    return Call("cast", (value, Literal.of(token.local)))


VALUES: Final[Mapping[str, Form]] = {
    "(string)": _literal,
    "(integer)": _literal,
    "(decimal)": _literal,
    "(double)": _literal,
    "(": _parenthesized,
    ",": _comma,
    "$": _variable,
    ".": _context,
    "cast": _cast,
    "castable": _cast,
    "instance": _typed("instance"),
    "treat": _typed("treat"),
}
