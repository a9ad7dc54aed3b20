"""Read as conditions: comparisons, logic, arithmetic, branches, quantifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clacks.xquery.analysis_reader import EMPTY, Bound, Form, Here, NotUnderstood, Reader
from clacks.xquery.collation import CODEPOINT
from clacks.xquery.conditions import (
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    If,
    Literal,
    Or,
    Quantified,
    Sequence,
)

__all__ = ["OPERATORS"]

_COMPARISONS: Final = frozenset(["=", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge"])
_LONGEST_RANGE: Final = 64
"""Integers of a range of constants that is read as a list of them."""


def _compare(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if token.static.default_collation != CODEPOINT:
        raise NotUnderstood("a comparison under another collation")
    left, right = reader.parts(token, here, bound)
    return Compare(token.symbol, left, right)


def _arithmetic(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    operands = reader.parts(token, here, bound)
    if len(operands) == 2:
        return Arithmetic(token.symbol, operands[0], operands[1])
    (operand,) = operands
    if token.symbol == "-":
        if isinstance(operand, Literal) and not isinstance(operand.value, str | bool):
            return Literal.of(-operand.value)
        return Arithmetic("neg", operand, EMPTY)
    if isinstance(operand, Literal) and not isinstance(operand.value, str | bool):
        return operand
    raise NotUnderstood("a sign")


def _range(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    low, high = reader.parts(token, here, bound)
    if (
        isinstance(low, Literal)
        and isinstance(high, Literal)
        and low.kind == high.kind == "int"
        and high.value - low.value < _LONGEST_RANGE  # type: ignore[operator]
    ):
        values = range(low.value, high.value + 1)  # type: ignore[arg-type, operator]
        return Sequence(tuple(Literal.of(value) for value in values))
    return Call("to", (low, high))


def _concatenation(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    return Call("concat", reader.operands(token, "||", here, bound))


def _if(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    test, then_part, else_part = reader.parts(token, here, bound)
    return If(test, then_part, else_part)


def _switch(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if token.static.default_collation != CODEPOINT:
        raise NotUnderstood("switch under another collation")
    operand = reader.read(token[0], here, bound)
    found = reader.read(token[-1], here, bound)
    for operands, result in reversed(token.cases):
        tests = tuple(
            Call("same", (reader.used(operand), reader.read(case, here, bound))) for case in operands
        )
        test = tests[0] if len(tests) == 1 else Or(tests)
        found = If(test, reader.read(result, here, bound), found)
    return found


def _quantified(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    inner = dict(bound)
    ranges: list[tuple[str, Condition]] = []
    for (slot, wanted), item in zip(token.bindings, token):
        if wanted is not None:
            raise NotUnderstood("a quantified variable with a type")
        source = reader.read(item, here, inner)
        inner[slot] = reader.over("some", source)
        ranges.append((inner[slot].origin, source))  # type: ignore[union-attr]
    condition = reader.read(token[-1], here, inner)
    for name, source in reversed(ranges):
        condition = Quantified(not token.is_some, name, source, condition)
    return condition


OPERATORS: Final[Mapping[str, Form]] = {
    "and": lambda reader, token, here, bound: And(reader.operands(token, "and", here, bound)),
    "or": lambda reader, token, here, bound: Or(reader.operands(token, "or", here, bound)),
    "+": _arithmetic,
    "-": _arithmetic,
    "*": _arithmetic,
    "div": _arithmetic,
    "idiv": _arithmetic,
    "mod": _arithmetic,
    "to": _range,
    "||": _concatenation,
    "if": _if,
    "switch": _switch,
    "some": _quantified,
    "every": _quantified,
    **dict.fromkeys(_COMPARISONS, _compare),
}
