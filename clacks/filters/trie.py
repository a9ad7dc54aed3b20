"""The paths that filters speak of, as one tree, and the walk that finds their nodes in an event.

All paths begin at the document node and share their beginnings, so an event is walked once whatever the
number of filters. Steps by exact name are looked up; wildcards and descendants are tried one by one, of which
there are as many as different steps in the queries, not as many as queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from clacks.filters.access import AbsolutePath
from clacks.filters.postings import Slot
from clacks.filters.view import Node, View, axis_nodes
from clacks.xquery.conditions import NameTest

__all__ = ["PathTrie"]

_FEW: Final = 8  # so many names lxml filters faster than a dictionary asked for every child


class _Branch:
    """One place in the tree of paths: what is asked there, and the steps that lead on."""

    __slots__ = ("children", "others", "slot", "tags")

    def __init__(self) -> None:
        self.slot: Slot | None = None
        self.children: dict[str, _Branch] = {}
        self.tags: tuple[str, ...] = ()
        self.others: dict[tuple[str, NameTest | str], _Branch] = {}

    def step(self, axis: str, test: NameTest | str) -> _Branch:
        """Return the place one step further, made if it is not there."""
        if axis == "child" and isinstance(test, NameTest) and test.exact:
            branch = self.children.get(test.tag)
            if branch is None:
                branch = self.children[test.tag] = _Branch()
                self.tags = tuple(self.children)
            return branch
        return self.others.setdefault((axis, test), _Branch())


class PathTrie:
    """Slots by absolute path."""

    def __init__(self) -> None:
        self._top = _Branch()

    def slot(self, path: AbsolutePath) -> Slot:
        """Return the slot of a path, made if it is not there."""
        branch = self._top
        for axis, test in path:
            branch = branch.step(axis, test)
        if branch.slot is None:
            branch.slot = Slot()
        return branch.slot

    def prune(self, path: AbsolutePath) -> None:
        """Forget a path whose slot is empty, and the places that only led there."""
        trail = [self._top]
        for axis, test in path:
            trail.append(trail[-1].step(axis, test))
        if trail[-1].slot is not None and trail[-1].slot.empty:
            trail[-1].slot = None
        for (axis, test), parent, branch in zip(reversed(path), reversed(trail[:-1]), reversed(trail[1:])):
            if branch.slot is not None or branch.children or branch.others:
                break
            if axis == "child" and isinstance(test, NameTest) and test.exact:
                del parent.children[test.tag]
                parent.tags = tuple(parent.children)
            else:
                del parent.others[axis, test]

    def walk(self, view: View) -> Iterator[tuple[Slot, list[Node]]]:
        """Yield every slot for which the event has nodes, with all of them."""
        root = view.root
        branch = self._top.children.get(str(root.tag))
        work: list[tuple[_Branch, list[Node]]] = []
        if branch is not None:
            work.append((branch, [root]))
        if self._top.others:
            _others(self._top, [view], work)
        while work:
            branch, nodes = work.pop()
            if branch.slot is not None:
                yield branch.slot, nodes
            if branch.children:
                found: dict[str, list[Node]] = {}
                children, tags = branch.children, branch.tags
                for node in nodes:
                    if not isinstance(node, etree._Element):
                        continue  # a path that goes on from an attribute or text finds nothing
                    for child in node.iterchildren(*tags) if len(tags) <= _FEW else node.iterchildren():
                        tag = child.tag
                        if tag in found:
                            found[tag].append(child)
                        elif tag in children:
                            found[tag] = [child]
                for tag, elements in found.items():
                    work.append((children[tag], elements))
            if branch.others:
                _others(branch, nodes, work)


def _others(branch: _Branch, nodes: list[Node], work: list[tuple[_Branch, list[Node]]]) -> None:
    for (axis, test), target in branch.others.items():
        found: dict[Node, None] = {}
        for node in nodes:
            found.update(dict.fromkeys(axis_nodes(node, axis, test)))
        if found:
            work.append((target, list(found)))
