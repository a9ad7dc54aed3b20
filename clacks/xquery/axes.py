"""The axes: what each finds from a node, and the order of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from clacks.xquery.nodes import descendants

__all__ = [
    "AXES",
    "BELOW",
    "KEEP_PEERS",
    "REVERSE",
    "SIBLINGS",
    "SORTING",
    "ancestors",
    "in_document_order",
    "position",
]


Step = Callable[[int], object]


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


def below_or_self(node: Any, step: Step) -> list[Any]:
    """Return the node and all below it."""
    return [node, *descendants(node, step)]


def following(node: Any, step: Step) -> list[Any]:
    """Return the nodes after a node, its descendants left out."""
    found: list[Any] = []
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        node = node.parent
        found.extend(descendants(node, step))
    while node is not None:
        for sibling in each_after(node):
            found.extend(below_or_self(sibling, step))
        node = node.parent
    return found


def preceding(node: Any, step: Step) -> list[Any]:
    """Return the nodes before a node, its ancestors left out, nearest first."""
    found: list[Any] = []
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        node = node.parent
    while node is not None:
        for sibling in each_before(node):
            found.extend(reversed(below_or_self(sibling, step)))
        node = node.parent
    return found


AXES: dict[str, Callable[[Any, Step], Sequence[Any]]] = {
    "child": lambda node, step: node.grown(step),
    "descendant": lambda node, step: list(descendants(node, step)),
    "attribute": lambda node, step: node.attributes,
    "self": lambda node, step: [node],
    "descendant-or-self": below_or_self,
    "following-sibling": lambda node, step: list(each_after(node)),
    "following": following,
    "parent": lambda node, step: [] if node.parent is None else [node.parent],
    "ancestor": lambda node, step: ancestors(node),
    "preceding-sibling": lambda node, step: list(each_before(node)),
    "preceding": preceding,
    "ancestor-or-self": lambda node, step: [node, *ancestors(node)],
}
"""What each axis finds from a node, in the order of the axis. ``step`` is told of nodes that are collected
from more than one level, and of those that have to be wrapped first."""


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
