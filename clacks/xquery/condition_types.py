"""What is known of a condition before any event: can it fail, does it give nodes, a boolean, atomic values?

"No" always means "not surely".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Final

from clacks.xquery.conditions import (
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    Filter,
    For,
    If,
    Literal,
    Or,
    Path,
    Quantified,
    Sequence,
    parts,
)

__all__ = [
    "GENERAL",
    "cannot_fail",
    "depth",
    "gives_atoms",
    "gives_nodes",
    "gives_truth",
    "mentions_focus",
    "rebased",
]

GENERAL: Final = frozenset(("=", "!=", "<", "<=", ">", ">="))
"""Signs of general comparisons."""

_BOOLEANS: Final = frozenset(
    ("not", "boolean", "exists", "empty", "true", "false", "contains", "starts-with", "ends-with", "matches")
) | {"castable", "instance", "same", "evaluate", "contains-token", "deep-equal", "xs:boolean", "map:contains"}
_NODES: Final = frozenset(("union", "except", "intersect", "ordered"))
_SAME_ITEMS: Final = frozenset(
    ("head", "tail", "reverse", "subsequence", "zero-or-one", "exactly-one", "one-or-more", "treat")
)
_ANYTHING: Final = frozenset(
    [
        *(*_SAME_ITEMS, *_NODES),
        *("?", "?*", "apply", "convert", "map", "array:flatten", "array:get", "map:get", "at"),
    ]
)
"""Functions that may give nodes, maps or arrays; all others give atomic values."""


def cannot_fail(condition: Condition) -> bool:
    """Tell whether evaluating it can never be an error, whatever the event is."""
    if isinstance(condition, Literal):
        return True
    if isinstance(condition, Path):
        return all(isinstance(part, int) or _truth_cannot_fail(part) for part in _predicates(condition))
    if isinstance(condition, Compare):
        return condition.operator in GENERAL and _is_text(condition.left) and _is_text(condition.right)
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


def _predicates(path: Path) -> Iterator[Condition | int]:
    return (predicate for step in path.steps for predicate in step.predicates)


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


def gives_nodes(condition: Condition, nodes: frozenset[str] | set[str]) -> bool:
    """Tell whether it gives nodes only; ``nodes`` are the variables (and ``.``) that are nodes."""
    if isinstance(condition, Path):
        return bool(condition.steps) or condition.origin == "/" or condition.origin in nodes
    if isinstance(condition, Filter):
        return gives_nodes(condition.source, nodes)
    if isinstance(condition, Call):
        if condition.name in _NODES:
            return True
        return condition.name in _SAME_ITEMS and gives_nodes(condition.arguments[0], nodes)
    if isinstance(condition, If):
        return gives_nodes(condition.then_part, nodes) and gives_nodes(condition.else_part, nodes)
    if isinstance(condition, For):
        inner = {*nodes, condition.variable} if gives_nodes(condition.source, nodes) else set(nodes)
        return gives_nodes(condition.body, inner - {"."} | (nodes & {"."}))
    return isinstance(condition, Sequence) and all(gives_nodes(part, nodes) for part in condition.parts)


def gives_truth(condition: Condition, nodes: frozenset[str] | set[str]) -> bool:
    """Tell whether a condition in a predicate surely is no number."""
    if isinstance(condition, Compare | And | Or | Quantified):
        return True
    if isinstance(condition, Call):
        if condition.name == "convert":
            wanted = condition.arguments[1]
            return isinstance(wanted, Literal) and wanted.value in ("xs:boolean", "xs:string", "xs:boolean?")
        if condition.name in ("string", "normalize-space", "lower-case", "upper-case", "xs:string", "concat"):
            return True
        if condition.name in _BOOLEANS:
            return True
    if isinstance(condition, If):
        return gives_truth(condition.then_part, nodes) and gives_truth(condition.else_part, nodes)
    if isinstance(condition, Literal):
        return isinstance(condition.value, str | bool)
    return gives_nodes(condition, nodes)


def gives_atoms(condition: Condition) -> bool:
    """Tell whether it gives no nodes."""
    if isinstance(condition, Call):
        if condition.name in ("?", "?*", "apply", "map"):
            return True  # maps and arrays of JSON hold no nodes
        return condition.name not in _ANYTHING
    if isinstance(condition, Compare | And | Or | Quantified | Literal | Arithmetic):
        return True
    if isinstance(condition, If):
        return gives_atoms(condition.then_part) and gives_atoms(condition.else_part)
    if isinstance(condition, Filter):
        return gives_atoms(condition.source)
    if isinstance(condition, For):
        return gives_atoms(condition.body)
    return isinstance(condition, Sequence) and all(gives_atoms(part) for part in condition.parts)


def depth(condition: Condition) -> int:
    """Return how many levels a condition has: what reads it later may recur once for each."""
    deepest = 0
    waiting = [(condition, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((part, level + 1) for part in parts(current))
    return deepest


def mentions_focus(condition: Condition) -> bool:
    """Tell whether it depends on the context item of a predicate: ``.`` means another node in another one."""
    if isinstance(condition, Path):
        return condition.origin == "."
    if isinstance(condition, Filter):
        return mentions_focus(condition.source)
    return any(mentions_focus(part) for part in parts(condition))


def mentions_position(condition: Condition) -> bool:
    """Tell whether it depends on position() or last() of the predicate around it."""
    if isinstance(condition, Path):
        return False
    if isinstance(condition, Filter):
        return mentions_position(condition.source)
    if isinstance(condition, Call) and condition.name in ("position", "last"):
        return True
    return any(mentions_position(part) for part in parts(condition))


def rebased(condition: Any, name: str) -> Any:
    """Return the condition with the variable ``name`` in place of the context item."""
    if isinstance(condition, Path):
        return replace(condition, origin=name) if condition.origin == "." else condition
    if isinstance(condition, Filter):
        return replace(condition, source=rebased(condition.source, name))
    changes: dict[str, Any] = {}
    for field in fields(condition):
        value = getattr(condition, field.name)
        if isinstance(value, tuple):
            changes[field.name] = tuple(rebased(part, name) for part in value)
        elif hasattr(value, "__dataclass_fields__"):
            changes[field.name] = rebased(value, name)
    return replace(condition, **changes) if changes else condition
