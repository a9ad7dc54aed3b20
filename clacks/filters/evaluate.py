"""Evaluate conditions on one event, exactly as the engine would evaluate the query they were read from.

The order of evaluation is the engine's: from left to right, stopping as soon as the result is known. An error
is `ConditionError`. Where a conforming engine may stop early or go on, depending on how lazy it is (an error
in the second node when the first already decides), `Undecided` is raised: the caller asks the engine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from lxml import etree

from clacks.common.errors import QueryError
from clacks.filters.values import (
    Atomic,
    ConditionError,
    Untyped,
    cast_boolean,
    cast_decimal,
    cast_double,
    cast_integer,
    compare_general,
    compare_values,
    string_of,
)
from clacks.filters.view import Attribute, Node, TextNode, View, axis_nodes, node_value
from clacks.xquery.conditions import (
    And,
    Arithmetic,
    Call,
    Compare,
    Condition,
    For,
    If,
    Literal,
    Opaque,
    Or,
    Path,
    Property,
    Quantified,
    Sequence,
    Step,
)
from clacks.xquery.regex import compile_pattern

__all__ = ["FUNCTIONS", "Undecided", "holds"]


class Undecided(Exception):
    """Only the engine can say: the result depends on how far it evaluates."""


Item = Atomic | Node
Scope = Mapping[str, Item]
_NODES: Final = (etree._Element, Attribute, TextNode, View)
_GENERAL: Final = frozenset(("=", "!=", "<", "<=", ">", ">="))


def holds(condition: Condition, view: View) -> bool:
    """Return the effective boolean value of a condition on this event.

    Raises:
        ConditionError: If the query fails there.
        Undecided: If the engine must be asked.
    """
    return _truth(condition, view, view, {})


def _truth(condition: Condition, view: View, here: Item, scope: Scope) -> bool:
    kind = type(condition)
    if kind is And:
        return all(_truth(part, view, here, scope) for part in condition.parts)  # type: ignore[union-attr]
    if kind is Or:
        return any(_truth(part, view, here, scope) for part in condition.parts)  # type: ignore[union-attr]
    if kind is Compare:
        answer = _compare(condition, view, here, scope)  # type: ignore[arg-type]
        return bool(answer)
    return _effective(_items(condition, view, here, scope))


def _effective(items: list[Item]) -> bool:
    if not items:
        return False
    first = items[0]
    if isinstance(first, _NODES):
        return True
    if len(items) > 1:
        raise ConditionError("FORG0006")
    if isinstance(first, float):
        return not (first == 0 or math.isnan(first))
    return bool(first)  # "" and 0 are false


def _items(condition: Condition, view: View, here: Item, scope: Scope) -> list[Item]:
    return _EVALUATORS[type(condition)](condition, view, here, scope)


def _atoms(condition: Condition, view: View, here: Item, scope: Scope) -> list[Atomic]:
    return [
        node_value(item) if isinstance(item, _NODES) else item
        for item in _items(condition, view, here, scope)
    ]


def _one(condition: Condition, view: View, here: Item, scope: Scope) -> Atomic | None:
    values = _atoms(condition, view, here, scope)
    if len(values) > 1:
        raise ConditionError("XPTY0004")
    return values[0] if values else None


def _text(condition: Condition, view: View, here: Item, scope: Scope) -> str | None:
    """Return a parameter of type xs:string?: untyped values convert, numbers do not."""
    value = _one(condition, view, here, scope)
    if value is not None and not isinstance(value, str):
        raise ConditionError("XPTY0004")
    return value


# -- paths


def _path(path: Path, view: View, here: Item, scope: Scope) -> list[Item]:
    if path.origin == "/":
        found = view.found.get(path)
        if found is None:
            nodes = _walk([view], path.steps, view, scope)
            if all(not step.predicates for step in path.steps):
                view.found[path] = nodes
            return nodes  # type: ignore[return-value]
        return found  # type: ignore[return-value]
    start = here if path.origin == "." else scope[path.origin]
    if not path.steps:
        return [start]
    if not isinstance(start, _NODES):
        raise ConditionError("XPTY0019")
    return _walk([start], path.steps, view, scope)  # type: ignore[return-value]


def _walk(nodes: list[Node], steps: tuple[Step, ...], view: View, scope: Scope) -> list[Node]:
    spread = 0
    for step in steps:
        found: list[Node] = []
        for node in nodes:
            candidates = list(axis_nodes(node, step.axis, step.test))
            for predicate in step.predicates:
                candidates = _filter(candidates, predicate, view, scope)
            found.extend(candidates)
        if step.axis == "parent":
            found = list(dict.fromkeys(found))
        elif step.axis in ("descendant", "descendant-or-self"):
            spread += 1
        if spread and len(nodes) > 1 and len(found) > 1:
            # One node may lie inside another: both find the same, and not in document order.
            found = _in_order(found, view)
        nodes = found
        if not nodes:
            break
    return nodes


def _in_order(nodes: list[Node], view: View) -> list[Node]:
    wanted = dict.fromkeys(nodes)
    if len(wanted) == 1:
        return list(wanted)
    place = {element: number for number, element in enumerate(view.root.iter())}

    def key(node: Node) -> tuple[int, int, int]:
        if isinstance(node, View):
            return (-1, 0, 0)
        if isinstance(node, Attribute):
            return (place[node.parent], 0, list(node.parent.attrib).index(node.name) + 1)
        if isinstance(node, TextNode):
            before = node.parent if node.number == 0 else node.parent[node.number - 1]
            last = place[before]
            if node.number:  # the text stands behind everything inside its elder sibling
                last += sum(1 for _ in before.iterdescendants())
            return (last, 1, 0)
        return (place[node], 0, 0)

    return sorted(wanted, key=key)


def _filter(nodes: list[Node], predicate: Condition | int, view: View, scope: Scope) -> list[Node]:
    if isinstance(predicate, int):
        index = len(nodes) - 1 if predicate == -1 else predicate - 1
        return [nodes[index]] if 0 <= index < len(nodes) else []
    kept = []
    for node in nodes:
        try:
            if _truth(predicate, view, node, scope):
                kept.append(node)
        except ConditionError:
            # An engine that stops at the first node would not see the error in the second.
            if len(nodes) > 1:
                raise Undecided from None
            raise
    return kept


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
            return compare_general(sign, left[0], right[0])
        return _compare_many(sign, left, right)
    one = _one(condition.left, view, here, scope)
    if one is None:
        return None
    other = _one(condition.right, view, here, scope)
    if other is None:
        return None
    return compare_values(sign, one, other)


def _compare_many(sign: str, left: list[Atomic], right: list[Atomic]) -> bool:
    answer = failed = False
    for one in left:
        for other in right:
            try:
                if compare_general(sign, one, other):
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


def _each(source: list[Item], variable: str, body: Callable[[Scope], Any], scope: Scope) -> list[Any]:
    """Evaluate the body once for each item; an error among several is for the engine to judge."""
    results = []
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
        source, condition.variable, lambda inner: _items(condition.body, view, here, inner), scope
    )
    return [item for result in results for item in result]


def _quantified(condition: Quantified, view: View, here: Item, scope: Scope) -> list[Item]:
    source = _items(condition.source, view, here, scope)
    answers = _each(
        source, condition.variable, lambda inner: _truth(condition.condition, view, here, inner), scope
    )
    return [all(answers) if condition.universal else any(answers)]


def _literal(condition: Literal, view: View, here: Item, scope: Scope) -> list[Item]:
    return [condition.value]


def _property(condition: Property, view: View, here: Item, scope: Scope) -> list[Item]:
    try:
        value = view.properties[condition.name]
    except KeyError:
        raise ConditionError("XPDY0002") from None
    if isinstance(value, str):
        return [str(value)]
    if isinstance(value, bool | int | float | Decimal):
        return [value]
    raise Undecided


def _opaque(condition: Opaque, view: View, here: Item, scope: Scope) -> list[Item]:
    raise Undecided


def _arithmetic(condition: Arithmetic, view: View, here: Item, scope: Scope) -> list[Item]:
    left = _one(condition.left, view, here, scope)
    if condition.operator == "neg":
        if left is None:
            return []
        return [-_number(left)]
    if left is None:
        return []
    one = _number(left)
    right = _one(condition.right, view, here, scope)
    if right is None:
        return []
    other = _number(right)
    if isinstance(one, float) or isinstance(other, float):
        one, other = cast_double(one), cast_double(other)
    elif isinstance(one, Decimal) or isinstance(other, Decimal):
        one, other = Decimal(one), Decimal(other)
    try:
        if condition.operator == "+":
            return [one + other]  # type: ignore[operator]
        if condition.operator == "-":
            return [one - other]  # type: ignore[operator]
        if condition.operator == "*":
            return [one * other]  # type: ignore[operator]
    except ArithmeticError:
        raise Undecided from None
    raise Undecided


def _number(value: Atomic) -> int | Decimal | float:
    if isinstance(value, Untyped):
        return cast_double(value)
    if isinstance(value, str | bool):
        raise ConditionError("XPTY0004")
    return value


# -- functions


def _string_argument(argument: Condition, view: View, here: Item, scope: Scope) -> str:
    """Return fn:string of an argument: of a node or value of any type; none is the empty string."""
    value = _one(argument, view, here, scope)
    if isinstance(value, float):
        raise Undecided  # the form of a double is the engine's matter
    return "" if value is None else string_of(value)


def _not(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [not _truth(call.arguments[0], view, here, scope)]


def _boolean(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [_truth(call.arguments[0], view, here, scope)]


def _exists(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [bool(_items(call.arguments[0], view, here, scope))]


def _empty(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [not _items(call.arguments[0], view, here, scope)]


def _count(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [len(_items(call.arguments[0], view, here, scope))]


def _numbers(call: Call, view: View, here: Item, scope: Scope) -> list[float]:
    """Return the argument of an aggregate, if all its values are untyped: those are doubles."""
    values = _atoms(call.arguments[0], view, here, scope)
    if not all(isinstance(value, Untyped) for value in values):
        raise Undecided
    return [cast_double(value) for value in values]


def _sum(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    numbers = _numbers(call, view, here, scope)
    total = 0.0
    for number in numbers:
        total += number
    return [total if numbers else 0]


def _extreme_of(choose: Callable[[list[float]], float]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        numbers = _numbers(call, view, here, scope)
        if any(math.isnan(number) for number in numbers):
            return [math.nan]
        return [choose(numbers)] if numbers else []

    return evaluate


def _string(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return [_string_argument(call.arguments[0], view, here, scope)]


def _data(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return list(_atoms(call.arguments[0], view, here, scope))


def _to_number(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    value = _one(call.arguments[0], view, here, scope)
    try:
        return [math.nan if value is None else cast_double(value)]
    except ConditionError:
        return [math.nan]


def _texts(call: Call, view: View, here: Item, scope: Scope) -> list[str]:
    return [_text(argument, view, here, scope) or "" for argument in call.arguments]


def _test_of(test: Callable[[str, str], bool]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        text, part = _texts(call, view, here, scope)
        return [test(text, part)]

    return evaluate


def _map_of(change: Callable[[str], Item]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        return [change(_texts(call, view, here, scope)[0])]

    return evaluate


def _evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    """Evaluate for the sake of an error."""
    _items(call.arguments[0], view, here, scope)
    return [True]


def _union(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    nodes: list[Node] = []
    for argument in call.arguments:
        nodes.extend(_items(argument, view, here, scope))  # type: ignore[arg-type]
    return _in_order(nodes, view)  # type: ignore[return-value]


def _match(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    text = _text(call.arguments[0], view, here, scope) or ""
    pattern, flags = (*_texts_of(call.arguments[1:]), "")[:2]
    try:
        return [compile_pattern(pattern, flags, view.meter, text).search(text, view.meter)]
    except QueryError as error:
        raise ConditionError(error.code) from None


def _texts_of(literals: tuple[Condition, ...]) -> list[str]:
    return [literal.value for literal in literals if isinstance(literal, Literal)]  # type: ignore[misc]


def _concat(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return ["".join(_string_argument(argument, view, here, scope) for argument in call.arguments)]


def _cast_of(cast: Callable[[Atomic], Atomic]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        value = _one(call.arguments[0], view, here, scope)
        return [] if value is None else [cast(value)]

    return evaluate


def _cast_string(value: Atomic) -> str:
    if isinstance(value, float):
        raise Undecided
    return string_of(value)


def _name_of(part: Callable[[etree.QName], str]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        items = _items(call.arguments[0], view, here, scope)
        if len(items) > 1 or (items and not isinstance(items[0], _NODES)):
            raise ConditionError("XPTY0004")
        if not items or isinstance(items[0], View | TextNode):
            return [""]
        item = items[0]
        name = item.name if isinstance(item, Attribute) else item.tag  # type: ignore[union-attr]
        return [part(etree.QName(name))]

    return evaluate


def _substring_before(text: str, part: str) -> str:
    return text.partition(part)[0] if part and part in text else ""


def _substring_after(text: str, part: str) -> str:
    return text.partition(part)[2] if part in text else ""


def _split_of(split: Callable[[str, str], str]) -> Callable[[Call, View, Item, Scope], list[Item]]:
    def evaluate(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
        text, part = _texts(call, view, here, scope)
        if not part:
            return ["" if split is _substring_before else text]
        return [split(text, part)]

    return evaluate


_SPACES: Final = re.compile(r"[ \t\r\n]+")

FUNCTIONS: Final[dict[str, tuple[int, Callable[[Call, View, Item, Scope], list[Item]]]]] = {
    "not": (1, _not),
    "boolean": (1, _boolean),
    "exists": (1, _exists),
    "empty": (1, _empty),
    "count": (1, _count),
    "sum": (1, _sum),
    "min": (1, _extreme_of(min)),
    "max": (1, _extreme_of(max)),
    "string": (1, _string),
    "data": (1, _data),
    "number": (1, _to_number),
    "true": (0, lambda call, view, here, scope: [True]),
    "false": (0, lambda call, view, here, scope: [False]),
    "contains": (2, _test_of(lambda text, part: part in text)),
    "starts-with": (2, _test_of(str.startswith)),
    "ends-with": (2, _test_of(str.endswith)),
    "substring-before": (2, _split_of(_substring_before)),
    "substring-after": (2, _split_of(_substring_after)),
    "string-length": (1, _map_of(len)),
    "normalize-space": (1, _map_of(lambda text: _SPACES.sub(" ", text).strip(" "))),
    "upper-case": (1, _map_of(str.upper)),
    "lower-case": (1, _map_of(str.lower)),
    "concat": (-1, _concat),
    "matches": (-1, _match),
    "union": (-1, _union),
    "evaluate": (1, _evaluate),
    "local-name": (1, _name_of(lambda name: name.localname)),
    "namespace-uri": (1, _name_of(lambda name: name.namespace or "")),
    "xs:double": (1, _cast_of(cast_double)),
    "xs:decimal": (1, _cast_of(cast_decimal)),
    "xs:integer": (1, _cast_of(cast_integer)),
    "xs:boolean": (1, _cast_of(cast_boolean)),
    "xs:string": (1, _cast_of(_cast_string)),
}
"""The functions that conditions may call: how many arguments (-1: any), and how they are evaluated."""


def _call(call: Call, view: View, here: Item, scope: Scope) -> list[Item]:
    return FUNCTIONS[call.name][1](call, view, here, scope)


_EVALUATORS: Final[dict[type, Callable[[Any, View, Item, Scope], list[Item]]]] = {
    And: _and_items,
    Arithmetic: _arithmetic,
    Call: _call,
    Compare: _compare_items,
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
