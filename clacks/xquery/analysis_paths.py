"""Read as conditions: paths, their steps and predicates, and sets of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from clacks.xquery.analysis_reader import (
    ABSENT,
    CONTEXT,
    DOCUMENT,
    EMPTY,
    Bound,
    Form,
    Here,
    NotUnderstood,
    Reader,
    usual_name,
)
from clacks.xquery.condition_paths import is_inner, may_count, merged, normal, union
from clacks.xquery.condition_types import (
    cannot_fail,
    gives_atoms,
    gives_nodes,
    gives_truth,
    mentions_position,
)
from clacks.xquery.conditions import ANY, Call, Condition, Filter, For, If, NameTest, Opaque, Path, Step

__all__ = ["PATHS"]

_AXES: Final = frozenset(
    [
        *("child", "descendant", "descendant-or-self", "self", "attribute", "parent"),
        *("ancestor", "ancestor-or-self", "following-sibling", "preceding-sibling"),
    ]
)


def _root(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if here not in reader.nodes:
        raise NotUnderstood("a path from the root where the context item may be no node")
    return Path(DOCUMENT, ())


def _step(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    if here == ABSENT:
        raise NotUnderstood("the context item inside a function")
    return Path(here, (_one_step(reader, token, bound),))


def _one_step(reader: Reader, token: Any, bound: Bound) -> Step:
    axis, test = token.axis, token.test
    if axis not in _AXES:
        raise NotUnderstood(f"axis {axis}")
    if test.annotation is not None or test.content is not None:
        raise NotUnderstood("a kind test with a type")
    wanted: NameTest | str
    if test.kind in ("element", "attribute"):
        if (test.kind == "attribute") != (axis == "attribute"):
            raise NotUnderstood(f"{test.kind}() on axis {axis}")
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
        raise NotUnderstood(f"{test.kind or 'node'}() on axis {axis}")
    return merged(Step(axis, wanted, tuple(_predicate(reader, item, bound) for item in token)))


def _predicate(reader: Reader, token: Any, bound: Bound, *, nodes: bool = True) -> Condition | int:
    while token.symbol == "(" and len(token) == 1:
        token = token[0]
    if token.symbol == "(integer)":
        return int(token.value)
    if token.symbol == "call" and usual_name(token) == "last" and not len(token):
        return -1
    before = CONTEXT in reader.nodes
    (reader.nodes.add if nodes else reader.nodes.discard)(CONTEXT)
    try:
        condition = reader.read(token, CONTEXT, bound)
        sure = gives_truth(condition, reader.nodes) and not mentions_position(condition)
    finally:
        (reader.nodes.add if before else reader.nodes.discard)(CONTEXT)
    return condition if sure else Call("at", (condition,))


def _path(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    left, right = token
    if _is_anywhere(left):
        return _anywhere(reader, reader.read(left[0], here, bound), right, bound)
    return _extended(reader, reader.read(left, here, bound), right, bound)


def _anywhere(reader: Reader, start: Condition, right: Any, bound: Bound) -> Condition:
    """Read ``start//right``."""
    while right.symbol == "(" and len(right) == 1:
        right = right[0]
    if _is_step(right) and right.axis in ("child", "attribute"):
        step = _one_step(reader, right, bound)
        if step.axis == "child" and not any(map(may_count, step.predicates)):
            return _onto(reader, start, replace(step, axis="descendant"))
        return _onto(reader, _onto(reader, start, Step("descendant-or-self", "node()")), step)
    if right.symbol in ("|", "union", ",", "[", "/"):
        return _extended(reader, _onto(reader, start, Step("descendant-or-self", "node()")), right, bound)
    raise NotUnderstood("// before something other than a step")


def _extended(reader: Reader, start: Condition, right: Any, bound: Bound) -> Condition:
    """Read ``start/right``."""
    if isinstance(start, Opaque):
        return start
    while right.symbol == "(" and len(right) == 1:
        right = right[0]
    if _is_step(right):
        if is_inner(start) and right.axis not in ("child", "attribute"):
            raise NotUnderstood("// before something other than a step to children or attributes")
        return _onto(reader, start, _one_step(reader, right, bound))
    if right.symbol == ".":
        if not gives_nodes(start, reader.nodes):
            raise NotUnderstood("a path that does not begin with nodes")
        return start
    if right.symbol in ("|", "union", ","):
        found = [_extended(reader, start, item, bound) for item in right]
        if not all(gives_nodes(part, reader.nodes) for part in found):
            raise NotUnderstood("a union of something other than nodes")
        return union(found)
    if right.symbol == "[" and _is_pathlike(right[0]):
        condition = _predicate(reader, right[1], bound)
        if not may_count(condition):
            inner = _extended(reader, start, right[0], bound)
            if right.comes_first and not cannot_fail(inner):
                raise NotUnderstood("a condition that comes before what may fail")
            return _onto(reader, inner, Step("self", "node()", (condition,)))
    if right.symbol == "/" and _is_pathlike(right) and not _is_anywhere(right[0]):
        return _extended(reader, _extended(reader, start, right[0], bound), right[1], bound)
    return _each(reader, start, right, bound, step=True)


def _onto(reader: Reader, start: Condition, step: Step) -> Condition:
    """Return the condition that goes one step on from the nodes of ``start``."""
    if isinstance(start, Opaque):
        return start
    if isinstance(start, Path):
        if not start.steps and start.origin not in reader.nodes:
            raise NotUnderstood("a path that does not begin with nodes")
        reader.charge(len(start.steps))  # they are copied
        return normal(replace(start, steps=(*start.steps, step)))
    if isinstance(start, Call) and start.name == "union":
        return union([_onto(reader, part, step) for part in start.arguments])
    if not gives_nodes(start, reader.nodes):
        raise NotUnderstood("a path that does not begin with nodes")
    if isinstance(start, Call) and start.name == "ordered":
        inner = start.arguments[0]
        if (
            isinstance(inner, For)
            and isinstance(inner.body, Path)
            and not any(may_count(predicate) for predicate in step.predicates)
        ):
            return Call("ordered", (replace(inner, body=_onto(reader, inner.body, step)),))
    name = reader.fresh("from")
    reader.nodes.add(name)
    return Call("ordered", (For(name, start, _onto(reader, Path(name, ()), step)),))


def _map(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    left, right = token
    return _each(reader, reader.read(left, here, bound), right, bound, step=False)


def _each(reader: Reader, start: Condition, right: Any, bound: Bound, *, step: bool) -> Condition:
    """Read ``start ! right``, or ``start/right`` if that is no path of steps."""
    if isinstance(start, Opaque):
        return start
    nodes = gives_nodes(start, reader.nodes)
    if step and (not nodes or is_inner(start)):
        raise NotUnderstood("a path that does not begin with nodes")
    name = reader.fresh("here")
    if nodes:
        reader.nodes.add(name)
    body = reader.read(right, name, bound)
    if isinstance(body, Opaque):
        return body
    found = For(name, start, body)
    if not step or gives_atoms(body):
        return found
    if gives_nodes(body, reader.nodes):
        return Call("ordered", (found,))
    raise NotUnderstood("a step that is no axis step")


def _filter(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
    primary, predicate = token
    start = reader.read(primary, here, bound)
    if isinstance(start, Opaque):
        return start
    nodes = gives_nodes(start, reader.nodes)
    condition = _predicate(reader, predicate, bound, nodes=nodes)
    if token.comes_first and not cannot_fail(start):
        if isinstance(condition, int) or not cannot_fail(condition):
            raise NotUnderstood("a condition that comes before what may fail, and may fail itself")
        return If(condition, start, EMPTY)
    if not may_count(condition) and nodes and isinstance(start, Path):
        return _onto(reader, start, Step("self", "node()", (condition,)))
    if not may_count(condition) and isinstance(start, Call) and start.name == "union":
        return _onto(reader, start, Step("self", "node()", (condition,)))
    return Filter(start, condition)


def _set(name: str) -> Form:
    def read(reader: Reader, token: Any, here: Here, bound: Bound) -> Condition:
        found = reader.parts(token, here, bound)
        for part in found:
            if isinstance(part, Opaque):
                return part
            if not gives_nodes(part, reader.nodes):
                raise NotUnderstood(f"{name} of something other than nodes")
        return union(found) if name == "union" else Call(name, tuple(found))

    return read


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


PATHS: Final[Mapping[str, Form]] = {
    "root": _root,
    "step": _step,
    "@": _step,
    "..": _step,
    "/": _path,
    "!": _map,
    "[": _filter,
    "|": _set("union"),
    "union": _set("union"),
    "except": _set("except"),
    "intersect": _set("intersect"),
}
