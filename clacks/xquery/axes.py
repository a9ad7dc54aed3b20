"""The axes: what each finds from a node, and the order of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from clacks.xquery.nodes import descendants

if TYPE_CHECKING:
    from clacks.xquery.context import Context


__all__ = [
    "ancestors",
    "below_or_self",
    "collected",
    "following",
    "in_document_order",
    "position",
    "preceding",
    "siblings_after",
    "siblings_before",
]


def in_document_order(nodes: Iterable[Any]) -> list[Any]:
    """Return nodes without doubles, in document order."""
    unique = list(dict.fromkeys(nodes))
    if len(unique) > 1:
        unique.sort(key=position)
    return unique


def position(node: Any) -> Any:
    """Return the sort key of a node."""
    return node.position


def ancestors(node: Any) -> list[Any]:
    """Return the nodes above, nearest first."""
    found = []
    node = node.parent
    while node is not None:
        found.append(node)
        node = node.parent
    return found


def each_after(node: Any) -> Iterator[Any]:
    """Iterate over the siblings after a node."""
    if node.parent is None or node.kind in ("attribute", "namespace"):
        return iter(())
    children = node.parent.children
    return (children[place] for place in range(node.index, len(children)))


def each_before(node: Any) -> Iterator[Any]:
    """Iterate over the siblings before a node, nearest first."""
    if node.parent is None or node.kind in ("attribute", "namespace"):
        return iter(())
    children = node.parent.children
    return (children[place] for place in range(node.index - 2, -1, -1))


def siblings_after(node: Any) -> list[Any]:
    """Return the siblings after a node."""
    return list(each_after(node))


def siblings_before(node: Any) -> list[Any]:
    """Return the siblings before a node, nearest first."""
    return list(each_before(node))


def below_or_self(node: Any) -> list[Any]:
    """Return the node and all below it."""
    return [node, *descendants(node)]


def following(node: Any) -> list[Any]:
    """Return the nodes after a node, its descendants left out."""
    found: list[Any] = []
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        node = node.parent
        found.extend(descendants(node))
    while node is not None:
        for sibling in siblings_after(node):
            found.extend(below_or_self(sibling))
        node = node.parent
    return found


def preceding(node: Any) -> list[Any]:
    """Return the nodes before a node, its ancestors left out, nearest first."""
    found: list[Any] = []
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        node = node.parent
    while node is not None:
        for sibling in siblings_before(node):
            found.extend(reversed(below_or_self(sibling)))
        node = node.parent
    return found


AXES: dict[str, Callable[[Any], Sequence[Any]]] = {
    "child": lambda node: node.children,
    "descendant": lambda node: list(descendants(node)),
    "attribute": lambda node: node.attributes,
    "self": lambda node: [node],
    "descendant-or-self": below_or_self,
    "following-sibling": siblings_after,
    "following": following,
    "parent": lambda node: [] if node.parent is None else [node.parent],
    "ancestor": ancestors,
    "preceding-sibling": siblings_before,
    "preceding": preceding,
    "ancestor-or-self": lambda node: [node, *ancestors(node)],
}
"""What each axis finds from a node, in the order of the axis."""


SIBLINGS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "following-sibling": each_after,
    "preceding-sibling": each_before,
}
"""Axes that are gone along one by one where only the nearest nodes are wanted."""


BELOW = frozenset({"descendant", "descendant-or-self"})


SORTING = 4
"""Steps that putting one node in its order costs."""


REVERSE = frozenset({"parent", "ancestor", "preceding-sibling", "preceding", "ancestor-or-self"})


KEEP_PEERS = frozenset({"child", "attribute", "self"})


def collected(node: Any, axis: str, ctx: Context) -> list[Any]:
    """Return a node's descendants, counting steps while they are collected: a document may be large."""
    found = [node] if axis == "descendant-or-self" else []
    below = descendants(node)
    step = ctx.execution.meter.step
    while True:
        chunk = list(islice(below, 256))
        if not chunk:
            return found
        step(len(chunk))
        found += chunk
