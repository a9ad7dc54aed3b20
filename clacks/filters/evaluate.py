"""Evaluate conditions on one event, exactly as the engine would evaluate the query they were read from.

The order of evaluation is the engine's: from left to right, stopping as soon as the result is known. An error
is `ConditionError`. Where a conforming engine may stop early or go on, depending on how lazy it is (an error
in the second node when the first already decides), `Undecided` is raised: the caller asks the engine. The
same if a filter takes more steps than a filter should (`Limits.filter_steps`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from lxml import etree

from clacks.filters.functions import NODES, Item, atoms, call, effective, engine, in_order
from clacks.filters.values import (
    Atomic,
    ConditionError,
    Undecided,
    Untyped,
    cast_double,
    compare_general,
    compare_values,
    from_engine,
    is_native,
    to_engine,
)
from clacks.filters.view import Node, View, axis_nodes
from clacks.xquery.conditions import (
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    Filter,
    For,
    Head,
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
)

__all__ = ["Undecided", "holds"]

Scope = Mapping[str, Item]
_GENERAL: Final = frozenset(("=", "!=", "<", "<=", ">", ">="))
_POSITION: Final = "position()"
_LAST: Final = "last()"


def holds(condition: Condition, view: View, here: Item = None, scope: Scope | None = None) -> bool:
    """Return the effective boolean value of a condition on this event.

    ``here`` and ``scope`` are the context item and the variables, for a part of a query.

    Raises:
        ConditionError: If the query fails there.
        Undecided: If the engine must be asked.
    """
    view.begin()
    return _truth(condition, view, view if here is None else here, {} if scope is None else scope)


def _truth(condition: Condition, view: View, here: Item, scope: Scope) -> bool:
    kind = type(condition)
    if kind is And:
        return all(_truth(part, view, here, scope) for part in condition.parts)  # type: ignore[union-attr]
    if kind is Or:
        return any(_truth(part, view, here, scope) for part in condition.parts)  # type: ignore[union-attr]
    if kind is Compare:
        answer = _compare(condition, view, here, scope)  # type: ignore[arg-type]
        return bool(answer)
    return effective(_items(condition, view, here, scope), view)


def _items(condition: Condition, view: View, here: Item, scope: Scope) -> list[Item]:
    return _EVALUATORS[type(condition)](condition, view, here, scope)


def _atoms(condition: Condition, view: View, here: Item, scope: Scope) -> list[Atomic]:
    if type(condition) is Path and condition.head is not None and not (condition.tests or condition.rest):
        key = _key(condition.head, here)
        found = view.atoms.get(key)
        if found is None:
            found = view.atoms[key] = atoms(_path(condition, view, here, scope), view)
        return found
    return atoms(_items(condition, view, here, scope), view)


def _one(condition: Condition, view: View, here: Item, scope: Scope) -> Atomic | None:
    values = _atoms(condition, view, here, scope)
    if len(values) > 1:
        raise ConditionError("XPTY0004")
    return values[0] if values else None


def _key(head: Head, here: Item) -> object:
    """Return what a result is kept under: the same for all filters of the event."""
    return head if head.absolute else (head, here)


# -- paths


def _path(path: Path, view: View, here: Item, scope: Scope) -> list[Item]:
    head = path.head
    if head is None:
        start = view if path.origin == "/" else here if path.origin == "." else scope[path.origin]
        if not path.steps:
            return [start]
        if not isinstance(start, NODES):
            raise ConditionError("XPTY0019")
        return _walk([start], path.steps, view, scope)
    if not head.absolute and not isinstance(here, NODES):
        raise ConditionError("XPTY0019")
    key = _key(head, here)
    nodes = view.found.get(key)
    if nodes is None:
        start = view if head.absolute else here
        nodes = view.found[key] = _walk([start], head.steps, view, scope)
    for predicate in path.tests:
        nodes = _filter(nodes, predicate, view, scope)
    return _walk(nodes, path.rest, view, scope, head.flat) if path.rest and nodes else nodes


_ONWARD: Final = frozenset(("child", "attribute", "self"))
_BACKWARD: Final = frozenset(("parent", "ancestor", "ancestor-or-self", "preceding-sibling"))
_SPREADING: Final = frozenset(("descendant", "descendant-or-self", "ancestor", "ancestor-or-self"))


def _walk(
    nodes: list[Node], steps: tuple[Step, ...], view: View, scope: Scope, peers: bool = True
) -> list[Node]:
    """Take steps; ``peers`` says that none of the nodes lies inside another."""
    for step in steps:
        found: list[Node] = []
        axis = step.axis
        for node in nodes:
            if axis == "child" and type(node) is etree._Element and type(step.test) is NameTest:
                candidates: list[Node] = list(
                    node.iterchildren(step.test.tag)
                )  # nearly all steps are this one
            else:
                candidates = list(axis_nodes(node, axis, step.test, view))
            view.step(1 + len(candidates))
            for predicate in step.predicates:
                candidates = _filter(candidates, predicate, view, scope)
            if axis in _BACKWARD and len(candidates) > 1:
                candidates.reverse()
            found.extend(candidates)
        if len(nodes) > 1:
            if not (peers and axis in _ONWARD):
                # One node may lie inside another: both find the same, and not in document order.
                found = in_order(found, view) if len(found) > 1 else found
            peers = peers and axis in _ONWARD
        else:
            peers = peers and axis not in _SPREADING
        nodes = found
        if not nodes:
            break
    return nodes


def _filter(items: list[Item], predicate: Condition | int, view: View, scope: Scope) -> list[Item]:
    if isinstance(predicate, int):
        index = len(items) - 1 if predicate == -1 else predicate - 1
        return [items[index]] if 0 <= index < len(items) else []
    counts = isinstance(predicate, Call) and predicate.name == "at"
    kept = []
    view.step(len(items))
    for number, item in enumerate(items, 1):
        try:
            if counts:
                inner = {**scope, _POSITION: number, _LAST: len(items)}
                if _is_at(predicate.arguments[0], number, view, item, inner):  # type: ignore[union-attr]
                    kept.append(item)
            elif _truth(predicate, view, item, scope):
                kept.append(item)
        except ConditionError:
            # An engine that stops at the first node would not see the error in the second.
            if len(items) > 1:
                raise Undecided from None
            raise
    return kept


def _is_at(condition: Condition, number: int, view: View, here: Item, scope: Scope) -> bool:
    """Tell whether a predicate holds that is a position if it is a number."""
    found = _items(condition, view, here, scope)
    if len(found) == 1 and not isinstance(found[0], bool | str) and not isinstance(found[0], NODES):
        value = found[0]
        if isinstance(value, int | float | Decimal):
            return bool(value == number)
    return effective(found, view)


def _filtered(condition: Filter, view: View, here: Item, scope: Scope) -> list[Item]:
    return _filter(_items(condition.source, view, here, scope), condition.predicate, view, scope)


# -- comparisons and logic


def _compare(condition: Compare, view: View, here: Item, scope: Scope) -> bool | None:
    """Return the result; None stands for the empty sequence."""
    sign = condition.operator
    if sign in _GENERAL:
        left = _atoms(condition.left, view, here, scope)
        if not left:  # the engine does not look at the right side then
            return False
        right = _atoms(condition.right, view, here, scope)
        if len(left) == 1 and len(right) == 1:
            return _general(sign, left[0], right[0], view)
        return _compare_many(sign, left, right, view)
    left_one = _one(condition.left, view, here, scope)
    if left_one is None:
        return None
    right_one = _one(condition.right, view, here, scope)
    if right_one is None:
        return None
    if is_native(left_one) and is_native(right_one):
        return compare_values(sign, left_one, right_one)
    values = to_engine([left_one, right_one])
    return bool(engine(view.calculator.compare_values, sign, *values))


def _general(sign: str, left: Atomic, right: Atomic, view: View) -> bool:
    if is_native(left) and is_native(right):
        return compare_general(sign, left, right)
    values = to_engine([left, right])
    return bool(engine(view.calculator.compare_general, sign, *values))


def _compare_many(sign: str, left: list[Atomic], right: list[Atomic], view: View) -> bool:
    answer = failed = False
    view.step(len(left) * len(right))
    for one_value in left:
        for other in right:
            try:
                if _general(sign, one_value, other, view):
                    answer = True
            except ConditionError:
                failed = True
    if failed:
        if answer:
            raise Undecided  # true if the true pair is met first
        raise ConditionError("FORG0001")
    return answer


def _compare_items(condition: Compare, view: View, here: Item, scope: Scope) -> list[Item]:
    answer = _compare(condition, view, here, scope)
    return [] if answer is None else [answer]


def _and_items(condition: And | Or, view: View, here: Item, scope: Scope) -> list[Item]:
    return [_truth(condition, view, here, scope)]


def _if(condition: If, view: View, here: Item, scope: Scope) -> list[Item]:
    part = condition.then_part if _truth(condition.test, view, here, scope) else condition.else_part
    return _items(part, view, here, scope)


def _sequence(condition: Sequence, view: View, here: Item, scope: Scope) -> list[Item]:
    return [item for part in condition.parts for item in _items(part, view, here, scope)]


def _each(
    source: list[Item], variable: str, body: Callable[[Scope], Any], scope: Scope, view: View
) -> list[Any]:
    """Evaluate the body once for each item; an error among several is for the engine to judge."""
    results = []
    view.step(len(source))
    for item in source:
        try:
            results.append(body({**scope, variable: item}))
        except ConditionError:
            if len(source) > 1:
                raise Undecided from None
            raise
    return results


def _for(condition: For, view: View, here: Item, scope: Scope) -> list[Item]:
    source = _items(condition.source, view, here, scope)
    results = _each(
        source, condition.variable, lambda inner: _items(condition.body, view, here, inner), scope, view
    )
    return [item for result in results for item in result]


def _quantified(condition: Quantified, view: View, here: Item, scope: Scope) -> list[Item]:
    source = _items(condition.source, view, here, scope)
    answers = _each(
        source, condition.variable, lambda inner: _truth(condition.condition, view, here, inner), scope, view
    )
    return [all(answers) if condition.universal else any(answers)]


def _literal(condition: Literal, view: View, here: Item, scope: Scope) -> list[Item]:
    return [condition.value]


def _property(condition: Property, view: View, here: Item, scope: Scope) -> list[Item]:
    try:
        value = view.properties[condition.name]
    except KeyError:
        if condition.default is None:
            raise ConditionError("XPDY0002") from None
        return _items(condition.default, view, view, {})
    if isinstance(value, str):
        return [str(value)]
    if type(value) in (bool, int, float, Decimal):
        return [value]
    raise Undecided


def _opaque(condition: Opaque, view: View, here: Item, scope: Scope) -> list[Item]:
    raise Undecided


_DOUBLES: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
"""What needs no engine if one of the numbers is a double: then the other one becomes a double, too."""
_REALS: Final = frozenset((float, Decimal))


def _arithmetic(condition: Arithmetic, view: View, here: Item, scope: Scope) -> list[Item]:
    left = _one(condition.left, view, here, scope)
    if left is None:
        return []
    if type(left) is Untyped:
        left = cast_double(left)
    if condition.operator == "neg":
        return from_engine([engine(view.calculator.negative, left)])
    right = _one(condition.right, view, here, scope)
    if right is None:
        return []
    if type(right) is Untyped:
        right = cast_double(right)
    quick = _DOUBLES.get(condition.operator)
    if quick is not None and float in (type(left), type(right)) and {type(left), type(right)} <= _REALS:
        return [quick(float(left), float(right))]
    return from_engine([engine(view.calculator.calculate, condition.operator, left, right)])


def _call(condition: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    name = condition.name
    arguments = condition.arguments
    if name == "not":  # the effective boolean value of a comparison needs no list
        return [not _truth(arguments[0], view, here, scope)]
    if name == "to":
        low = _one(arguments[0], view, here, scope)
        if low is None:
            return []  # the engine does not look at the second operand then
        return call(condition, [[low], _items(arguments[1], view, here, scope)], view)
    if name == "position":
        return [scope[_POSITION]]
    if name == "last":
        return [scope[_LAST]]
    head = condition.head
    if head is not None and (head.absolute or isinstance(here, NODES)):
        key = _key(head, here)
        found = view.found.get(key)
        if found is None:
            found = view.found[key] = call(
                condition, [_items(argument, view, here, scope) for argument in arguments], view
            )
        return found
    return call(condition, [_items(argument, view, here, scope) for argument in arguments], view)


_EVALUATORS: Final[dict[type, Callable[[Any, View, Item, Scope], list[Item]]]] = {
    And: _and_items,
    Arithmetic: _arithmetic,
    Call: _call,
    Compare: _compare_items,
    Filter: _filtered,
    For: _for,
    If: _if,
    Literal: _literal,
    Opaque: _opaque,
    Or: _and_items,
    Path: _path,
    Property: _property,
    Quantified: _quantified,
    Sequence: _sequence,
}
