"""The functions that conditions call, on arguments that are evaluated already.

Those that filters use most are written here, on plain Python values; the rest asks the engine's library
(`clacks.xquery.atoms`). Both give what the engine gives: a test calls every function both ways.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from clacks.common.errors import QueryBudgetExceeded, QueryError
from clacks.filters.values import (
    Atomic,
    ConditionError,
    Undecided,
    Untyped,
    cast_boolean,
    cast_double,
    from_engine,
    is_native,
    to_engine,
)
from clacks.filters.view import Attribute, Node, TextNode, View, node_value
from clacks.xquery.atoms import PURE
from clacks.xquery.conditions import Call
from clacks.xquery.regex import compile_pattern

__all__ = ["NODES", "Item", "atoms", "call", "effective", "engine", "in_order", "one"]

Item = Any
"""An atomic value, a map or array, or a `Node`."""

NODES: Final = (etree._Element, Attribute, TextNode, View)
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_LONGEST_RANGE: Final = 1000  # integers that are made for a range; more are the engine's matter
_DEEPLY: Final = frozenset(("deep-equal", "sort"))  # take nodes as nodes


def engine(operation: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Return what an operation of the engine gives; its errors become ours."""
    try:
        return operation(*given, **options)
    except QueryBudgetExceeded:
        raise Undecided from None  # the engine has a budget of its own for the whole query
    except QueryError as error:
        raise ConditionError(error.code) from None


def effective(items: list[Item], view: View) -> bool:
    """Return the effective boolean value.

    Raises:
        ConditionError: If there is none.
    """
    if not items:
        return False
    first = items[0]
    if isinstance(first, NODES):
        return True
    if len(items) > 1:
        raise ConditionError("FORG0006")
    if not is_native(first):
        return bool(engine(view.calculator.truth, first))
    if isinstance(first, float):
        return not (first == 0 or math.isnan(first))
    return bool(first)  # "" and 0 are false


def atoms(items: list[Item], view: View) -> list[Atomic]:
    """Return the atomic values of items."""
    view.step(len(items))
    found: list[Atomic] = []
    for item in items:
        if isinstance(item, NODES):
            found.append(node_value(item))
        elif is_native(item):
            found.append(item)
        else:
            found.extend(from_engine(engine(view.calculator.atomized, item)))
    return found


def one(items: list[Item], view: View) -> Atomic | None:
    """Return the one atomic value, None if there is none.

    Raises:
        ConditionError: If there are several.
    """
    values = atoms(items, view)
    if len(values) > 1:
        raise ConditionError("XPTY0004")
    return values[0] if values else None


def _text(items: list[Item], view: View) -> str | None:
    """Return a parameter of type xs:string?: untyped values and URIs convert, numbers do not."""
    value = one(items, view)
    if value is None or isinstance(value, str):
        return value
    if view.calculator.is_uri(value):
        return str(value)
    raise ConditionError("XPTY0004")


def _string(items: list[Item], view: View) -> str:
    """Return fn:string of a parameter of type item()?; none is the empty string."""
    if len(items) > 1:
        raise ConditionError("XPTY0004")
    return _string_of(items[0], view) if items else ""


def _string_of(item: Item, view: View) -> str:
    if isinstance(item, NODES):
        return str(node_value(item))
    if isinstance(item, str):
        return str(item)
    return str(engine(view.calculator.text, item))


def in_order(nodes: list[Node], view: View) -> list[Node]:
    """Return nodes in document order, without doubles."""
    wanted = dict.fromkeys(nodes)
    if len(wanted) == 1:
        return list(wanted)
    place = {element: number for number, element in enumerate(view.root.iter())}
    view.step(len(place) // 8 + 1)

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


Arguments = list[list[Item]]
Function = Callable[[Arguments, View], list[Item]]


def _count(given: Arguments, view: View) -> list[Item]:
    return [len(given[0])]


def _to_number(given: Arguments, view: View) -> list[Item]:
    value = one(given[0], view)
    try:
        if value is None:
            return [math.nan]
        if is_native(value):
            return [cast_double(value)]
        return list(engine(view.calculator.cast, [value], "double", optional=True))
    except ConditionError:
        return [math.nan]


def _texts(given: Arguments, view: View) -> list[str]:
    return [_text(items, view) or "" for items in given]


def _test_of(test: Callable[[str, str], bool]) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        text, part = _texts(given, view)
        return [test(text, part)]

    return evaluate


def _map_of(change: Callable[[str], Item]) -> Function:
    return lambda given, view: [change(_texts(given, view)[0])]


def _node_set(choose: Callable[[dict[Node, None], dict[Node, None]], dict[Node, None]]) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        left, right = (dict.fromkeys(items) for items in given)
        return in_order(list(choose(left, right)), view) if left else []

    return evaluate


def _union(given: Arguments, view: View) -> list[Item]:
    nodes = [node for items in given for node in items]
    return in_order(nodes, view) if nodes else []


def _match(given: Arguments, view: View) -> list[Item]:
    text = _text(given[0], view) or ""
    pattern, flags = (*(items[0] for items in given[1:]), "")[:2]
    meter = view.calculator.meter
    found = engine(compile_pattern, pattern, flags, meter, text)
    return [engine(found.search, text, meter)]


def _concat(given: Arguments, view: View) -> list[Item]:
    pieces = []
    for items in given:
        value = one(items, view)
        pieces.append("" if value is None else _string_of(value, view))
    return ["".join(pieces)]


def _name_of(part: Callable[[str, etree._Element], str]) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        items = given[0]
        if len(items) > 1 or (items and not isinstance(items[0], NODES)):
            raise ConditionError("XPTY0004")
        if not items or isinstance(items[0], View | TextNode):
            return [""]
        item = items[0]
        if isinstance(item, Attribute):
            return [part(item.name, item.parent)]
        return [part(str(item.tag), item)]

    return evaluate


def _written_name(name: str, element: etree._Element) -> str:
    """Return the name as the document writes it, with its prefix."""
    qname = etree.QName(name)
    if not qname.namespace:
        return qname.localname
    if name != element.tag:
        raise Undecided  # the prefix of an attribute is the engine's matter
    return f"{element.prefix}:{qname.localname}" if element.prefix else qname.localname


def _substring_before(text: str, part: str) -> str:
    return text.partition(part)[0] if part and part in text else ""


def _substring_after(text: str, part: str) -> str:
    return (text.partition(part)[2] if part in text else "") if part else text


def _split_of(split: Callable[[str, str], str]) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        text, part = _texts(given, view)
        return [split(text, part)]

    return evaluate


def _tokenize(given: Arguments, view: View) -> list[Item]:
    text = _text(given[0], view)
    pieces = (text or "").replace("\t", " ").replace("\r", " ").replace("\n", " ").split(" ")
    return [piece for piece in pieces if piece]


def _times(fewest: int, most: int | None) -> Function:
    codes = {(0, 1): "FORG0003", (1, None): "FORG0004", (1, 1): "FORG0005"}

    def evaluate(given: Arguments, view: View) -> list[Item]:
        (items,) = given
        if len(items) < fewest or (most is not None and len(items) > most):
            raise ConditionError(codes[fewest, most])
        return items

    return evaluate


def _number(items: list[Item], view: View) -> float:
    value = one(items, view)
    if value is None or (isinstance(value, str) and type(value) is not Untyped) or isinstance(value, bool):
        raise ConditionError("XPTY0004")
    if not is_native(value):
        raise Undecided
    return cast_double(value)


def _subsequence(given: Arguments, view: View) -> list[Item]:
    items = given[0]
    first = _rounded(_number(given[1], view))
    if len(given) == 2:
        return [item for place, item in enumerate(items, 1) if place >= first]
    end = first + _rounded(_number(given[2], view))
    return [item for place, item in enumerate(items, 1) if first <= place < end]


def _rounded(value: float) -> float:
    return float(math.floor(value + 0.5)) if math.isfinite(value) else value


def _range(given: Arguments, view: View) -> list[Item]:
    bounds = []
    for items in given:
        value = one(items, view)
        if value is None:
            return []
        if isinstance(value, Untyped):
            (value,) = engine(view.calculator.cast, to_engine([value]), "integer", optional=True)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConditionError("XPTY0004")
        bounds.append(int(value))
    low, high = bounds
    if high - low >= _LONGEST_RANGE:
        raise Undecided
    return list(range(low, high + 1))


def _castable(given: Arguments, view: View) -> list[Item]:
    values = to_engine(atoms(given[0], view))
    (local,), (optional,) = given[1:]
    return [engine(view.calculator.castable, values, local, optional=optional)]


def _strict_cast(given: Arguments, view: View) -> list[Item]:
    values = to_engine(atoms(given[0], view))
    (local,) = given[1]
    return from_engine(engine(view.calculator.cast, values, local, optional=False))


_KINDS: Final[dict[str, Callable[[Item], bool]]] = {
    "node()": lambda item: isinstance(item, NODES),
    "element()": lambda item: isinstance(item, etree._Element),
    "attribute()": lambda item: isinstance(item, Attribute),
    "text()": lambda item: isinstance(item, TextNode),
    "item()": lambda item: True,
}
_MARKS: Final[dict[str, tuple[int, float]]] = {"?": (0, 1), "*": (0, math.inf), "+": (1, math.inf)}


def _is_of_type(items: list[Item], wanted: str, view: View) -> bool:
    low, high = _MARKS.get(wanted[-1], (1, 1))
    test = _KINDS.get(wanted.rstrip("?*+"))
    if test is not None:
        return low <= len(items) <= high and all(map(test, items))
    if any(isinstance(item, NODES) for item in items):
        return False
    return bool(engine(view.calculator.matches_type, to_engine(items), wanted))


def _instance(given: Arguments, view: View) -> list[Item]:
    return [_is_of_type(given[0], given[1][0], view)]


def _treat(given: Arguments, view: View) -> list[Item]:
    if not _is_of_type(given[0], given[1][0], view):
        raise ConditionError("XPDY0050")
    return given[0]


def _convert(given: Arguments, view: View) -> list[Item]:
    items, (wanted,) = given
    if wanted.rstrip("?*+") in _KINDS:
        if not _is_of_type(items, wanted, view):
            raise ConditionError("XPTY0004")
        return items
    values = to_engine(atoms(items, view))
    return from_engine(engine(view.calculator.convert, values, wanted))


def _look_up(given: Arguments, view: View) -> list[Item]:
    found: list[Item] = []
    containers, keys = given
    if any(isinstance(container, NODES) for container in containers):
        raise ConditionError("XPTY0004")
    wanted = to_engine(atoms(keys, view)) if containers else []
    for container in containers:
        for key in wanted:
            view.step(1)
            found.extend(from_engine(engine(view.calculator.look_up, container, key)))
    return found


def _all_of(given: Arguments, view: View) -> list[Item]:
    found: list[Item] = []
    for container in given[0]:
        if isinstance(container, NODES):
            raise ConditionError("XPTY0004")
        found.extend(from_engine(engine(view.calculator.all_of, container)))
        view.step(len(found))
    return found


def _apply(given: Arguments, view: View) -> list[Item]:
    functions, argument = given
    if len(functions) != 1 or isinstance(functions[0], NODES):
        raise ConditionError("XPTY0004")
    values = to_engine(atoms(argument, view))  # maps and arrays atomize their keys and positions
    return from_engine(engine(view.calculator.applied, functions[0], values))


def _same(given: Arguments, view: View) -> list[Item]:
    left, right = (one(items, view) for items in given)
    values = [None if value is None else to_engine([value])[0] for value in (left, right)]
    return [view.calculator.same(*values)]


def _cast(local: str) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        value = one(given[0], view)
        if value is None:
            return []
        if type(value) is Untyped:
            if local == "double":
                return [cast_double(value)]
            if local == "boolean":
                return [cast_boolean(value)]
            if local == "string":
                return [str(value)]
        return from_engine(engine(view.calculator.cast, to_engine([value]), local, optional=True))

    return evaluate


def _library(name: str) -> Function:
    def evaluate(given: Arguments, view: View) -> list[Item]:
        if name in _DEEPLY and any(isinstance(item, NODES) for items in given for item in items):
            raise Undecided
        arguments = [
            to_engine([node_value(item) if isinstance(item, NODES) else item for item in items])
            for items in given
        ]
        view.step(sum(map(len, arguments)))
        return from_engine(engine(view.calculator.call, name, arguments))

    return evaluate


_FUNCTIONS: Final[dict[str, Function]] = {
    "not": lambda given, view: [not effective(given[0], view)],
    "boolean": lambda given, view: [effective(given[0], view)],
    "exists": lambda given, view: [bool(given[0])],
    "empty": lambda given, view: [not given[0]],
    "count": _count,
    "string": lambda given, view: [_string(given[0], view)],
    "data": lambda given, view: list(atoms(given[0], view)),
    "number": _to_number,
    "true": lambda given, view: [True],
    "false": lambda given, view: [False],
    "contains": _test_of(lambda text, part: part in text),
    "starts-with": _test_of(str.startswith),
    "ends-with": _test_of(str.endswith),
    "substring-before": _split_of(_substring_before),
    "substring-after": _split_of(_substring_after),
    "string-length": _map_of(len),
    "normalize-space": _map_of(lambda text: _SPACES.sub(" ", text).strip(" ")),
    "upper-case": _map_of(str.upper),
    "lower-case": _map_of(str.lower),
    "concat": _concat,
    "matches": _match,
    "union": _union,
    "except": _node_set(lambda left, right: {node: None for node in left if node not in right}),
    "intersect": _node_set(lambda left, right: {node: None for node in left if node in right}),
    "ordered": _union,
    "evaluate": lambda given, view: [True],
    "local-name": _name_of(lambda name, element: etree.QName(name).localname),
    "name": _name_of(_written_name),
    "namespace-uri": _name_of(lambda name, element: etree.QName(name).namespace or ""),
    "head": lambda given, view: given[0][:1],
    "tail": lambda given, view: given[0][1:],
    "reverse": lambda given, view: given[0][::-1],
    "subsequence": _subsequence,
    "zero-or-one": _times(0, 1),
    "exactly-one": _times(1, 1),
    "one-or-more": _times(1, None),
    "to": _range,
    "castable": _castable,
    "cast": _strict_cast,
    "instance": _instance,
    "treat": _treat,
    "convert": _convert,
    "?": _look_up,
    "?*": _all_of,
    "apply": _apply,
    "same": _same,
    "map": lambda given, view: [view.calculator.empty_map()],
    **{name: _library(name) for name in PURE},
}


def _function(name: str) -> Function:
    found = _FUNCTIONS.get(name)
    if found is None:  # xs:int and its kind: one for each type that a query names
        found = _FUNCTIONS[name] = _cast(name.removeprefix("xs:"))
    return found


def call(condition: Call, given: Arguments, view: View) -> list[Item]:
    """Call a function with arguments that are evaluated."""
    name = condition.name
    if name == "tokenize" and len(given) == 1:
        return _tokenize(given, view)
    return _function(name)(given, view)
