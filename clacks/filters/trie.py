"""The paths that filters speak of, as one tree, and the walk that finds their nodes in an event.

All paths begin at the document node and share their beginnings, so an event is walked once whatever the
number of filters. Steps to children and descendants by exact name are looked up; wildcards and other axes are
tried one by one, of which there are as many as different steps in the queries, not as many as queries.

Python touches each node only where there are few. Where a step starts from many or finds many, libxml2 is
asked for the nodes of the whole path instead: by one compiled XPath for each name. Before that, a glance at
the values of all elements of these names tells which paths need not be asked for (`glance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final, cast

from lxml import etree

from clacks.filters.facts import AbsolutePath
from clacks.filters.postings import Asked, Slot
from clacks.filters.view import Node, View, axis_nodes
from clacks.xquery.conditions import ANY, NameTest

__all__ = ["PathTrie"]

_FEW: Final = 8  # so many names lxml filters faster than a dictionary asked for every child
_LISTS: Final = 3  # fewer names are quicker listed one by one than told apart, or looked at together
_MANY: Final = 8  # from so many nodes on it pays to ask libxml2
_NAMES: Final = 16  # so many names are asked for one by one

_DIRECT: Final = frozenset(("child", "descendant"))


class _Branch:
    """One place in the tree of paths: what is asked there, and the steps that lead on."""

    __slots__ = ("_ways", "below", "children", "direct", "others", "path", "slot")

    def __init__(self, path: AbsolutePath) -> None:
        self.path = path
        self.direct = all(axis in _DIRECT and isinstance(test, NameTest) for axis, test in path)
        """Whether the path leads to elements and only inwards: then libxml2 finds what we would."""
        self.slot: Slot | None = None
        self.children: dict[str, _Branch] = {}
        self.below: dict[str, _Branch] = {}
        """Descendants by exact name."""
        self.others: dict[tuple[str, NameTest | str], _Branch] = {}
        self._ways: list[etree.XPath] | None = None

    def table(self, axis: str, test: NameTest | str) -> tuple[dict[object, _Branch], object]:
        """Return the table of steps in which this one is, and its key there."""
        if isinstance(test, NameTest) and test.exact:
            if axis == "child":
                return cast("dict[object, _Branch]", self.children), test.tag
            if axis == "descendant":
                return cast("dict[object, _Branch]", self.below), test.tag
        return cast("dict[object, _Branch]", self.others), (axis, test)

    def step(self, axis: str, test: NameTest | str) -> _Branch:
        """Return the place one step further, made if it is not there."""
        table, key = self.table(axis, test)
        branch = table.get(key)
        if branch is None:
            branch = table[key] = _Branch((*self.path, (axis, test)))
        return branch

    @property
    def leads_on(self) -> bool:
        """Whether something is asked further on."""
        return bool(self.children or self.below or self.others)

    @property
    def passage(self) -> bool:
        """Whether nothing is asked here, and all that is asked further on libxml2 finds by name."""
        return (
            self.slot is None
            and self.direct
            and not self.others
            and len(self.children) <= _NAMES
            and len(self.below) <= _NAMES
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is asked here or further on."""
        return self.slot is None and not self.leads_on

    def find(self, root: etree._Element) -> list[Node]:
        """Return the nodes of the whole path, which must be direct, by libxml2."""
        if len(self.path) == 1:
            ((axis, test),) = self.path
            if axis == "descendant" and isinstance(test, NameTest):
                return cast("list[Node]", list(root.iter(test.tag)))  # sooner than by XPath
        if self._ways is None:
            self._ways = [_compile(part, whole=number == 0) for number, part in enumerate(_parts(self.path))]
        first, *others = self._ways
        nodes = cast("list[etree._Element]", first(root))
        for way in others:
            nodes = [hit for node in _outermost(nodes) for hit in cast("list[etree._Element]", way(node))]
        return cast("list[Node]", nodes)


def _parts(path: AbsolutePath) -> list[AbsolutePath]:
    """Cut a path before each step to descendants but the first of all.

    From many nodes at once libxml2 compares each descendant that it finds with all those before.
    """
    cuts = [at for at, (axis, _) in enumerate(path) if axis == "descendant" and at]
    return [path[low:high] for low, high in zip([0, *cuts], [*cuts, len(path)])]


def _outermost(nodes: list[etree._Element]) -> Iterator[etree._Element]:
    """Yield the nodes, which are in the order of the document, that are not inside of others."""
    if len(nodes) == 1:
        yield nodes[0]
        return
    outer: set[etree._Element] = set()
    for node in nodes:
        if outer.isdisjoint(node.iterancestors()):
            outer.add(node)
            yield node


def _compile(path: AbsolutePath, whole: bool) -> etree.XPath:
    """Return a path as XPath: a ``whole`` one begins at the root, another at some node."""
    steps: list[str] = []
    namespaces: dict[str, str] = {}
    for number, (axis, test) in enumerate(path):
        if whole and number == 0:
            # The context is the root element, which need not be at the top of its tree.
            axis = "self" if axis == "child" else "descendant-or-self"
        steps.append(f"{axis}::{_xpath_test(test, namespaces) if isinstance(test, NameTest) else test}")
    return etree.XPath("/".join(steps), namespaces=namespaces, smart_strings=False)


def _xpath_test(test: NameTest, namespaces: dict[str, str]) -> str:
    if test.namespace == ANY:
        return "*" if test.local == ANY else f"*[local-name() = '{test.local}']"
    if not test.namespace:
        return "*[namespace-uri() = '']" if test.local == ANY else test.local
    prefix = f"n{len(namespaces)}"
    namespaces[prefix] = test.namespace
    return f"{prefix}:{test.local}"


_Work = list[tuple[_Branch, list[Node]]]


class PathTrie:
    """Slots by absolute path."""

    def __init__(self) -> None:
        self._top = _Branch(())
        self._asked = Asked(edges=True)

    def slot(self, path: AbsolutePath) -> Slot:
        """Return the slot of a path, made if it is not there."""
        branch = self._top
        for axis, test in path:
            branch = branch.step(axis, test)
        if branch.slot is None:
            branch.slot = Slot(self._asked)
        return branch.slot

    def common(self, path: AbsolutePath) -> AbsolutePath:
        """Return the path in the words of the tree: one object for all filters, made if it is not there."""
        branch = self._top
        for axis, test in path:
            branch = branch.step(axis, test)
        return branch.path

    def find(self, path: AbsolutePath) -> Slot | None:
        """Return the slot of a path if it is there."""
        branch: _Branch | None = self._top
        for axis, test in path:
            assert branch is not None
            table, key = branch.table(axis, test)
            branch = table.get(key)
            if branch is None:
                return None
        assert branch is not None
        return branch.slot

    def prune(self, path: AbsolutePath) -> None:
        """Forget a path whose slot is empty, and the places that only led there."""
        trail = [self._top]
        for axis, test in path:
            trail.append(trail[-1].step(axis, test))
        if trail[-1].slot is not None and trail[-1].slot.empty:
            trail[-1].slot = None
        for (axis, test), parent, branch in zip(reversed(path), reversed(trail[:-1]), reversed(trail[1:])):
            if not branch.empty:
                break
            table, key = parent.table(axis, test)
            del table[key]

    def walk(self, view: View) -> Iterator[tuple[Slot, list[Node]]]:
        """Yield every slot for which the event has nodes, with all of them."""
        root, top = view.root, self._top
        work: _Work = []
        branch = top.children.get(str(root.tag))
        if branch is not None:
            work.append((branch, [root]))
        if top.below:
            _descend(top, [view], view, work, self._asked)
        if top.others:
            _others(top, [view], view, work)
        while work:
            branch, nodes = work.pop()
            if branch.slot is not None:
                yield branch.slot, nodes
            if branch.children:
                _children(branch, nodes, view, work, self._asked)
            if branch.below:
                _descend(branch, nodes, view, work, self._asked)
            if branch.others:
                _others(branch, nodes, view, work)


def _children(place: _Branch, nodes: list[Node], view: View, work: _Work, asked: Asked) -> None:
    children = place.children
    if not isinstance(nodes[0], etree._Element):
        return  # a path that goes on from an attribute or text finds nothing
    parents = cast("list[etree._Element]", nodes)
    if place.direct and len(parents) > _MANY and len(children) <= _NAMES:
        _find(children, view, work, asked)
        return
    if len(parents) == 1 and len(children) <= _LISTS:
        (parent,) = parents
        for tag, branch in children.items():
            hits: list[Node] = list(parent.iterchildren(tag))
            if hits:
                work.append((branch, hits))
        return
    found: dict[str, list[Node]] = {}
    few = tuple(children) if len(children) <= _FEW else ()
    for node in parents:
        for child in node.iterchildren(*few):
            tag = child.tag
            if tag in found:
                found[tag].append(child)
            elif tag in children:
                found[tag] = [child]
    for tag, elements in found.items():
        work.append((children[tag], elements))


def _descend(place: _Branch, nodes: list[Node], view: View, work: _Work, asked: Asked) -> None:
    below = place.below
    first = nodes[0]
    if not isinstance(first, etree._Element | View):
        return
    ask = place.direct and len(below) <= _NAMES
    found = None
    if not (ask and (len(nodes) > _MANY or (first is view and _is_large(view)))):
        found = _few_below(below, nodes, 4 * _MANY if ask else None)
    if found is not None:
        for tag, elements in found.items():
            work.append((below[tag], list(elements)))
        return
    _find(below, view, work, asked)


def _find(table: dict[str, _Branch], view: View, work: _Work, asked: Asked) -> None:
    for tag, branch in _possible(table, view, asked).items():
        if branch.passage:
            # libxml2 goes on by itself: nobody asks for the nodes on the way.
            if next(view.root.iter(tag), None) is not None:
                _find(branch.children, view, work, asked)
                _find(branch.below, view, work, asked)
            continue
        hits = branch.find(view.root)
        if hits:
            work.append((branch, hits))


def _possible(table: dict[str, _Branch], view: View, asked: Asked) -> dict[str, _Branch]:
    """Leave out the branches that ask for values which no element of their name has."""
    left: dict[str, _Branch] = {}
    valued: dict[str, Slot] = {}
    for tag, branch in table.items():
        slot = branch.slot
        if slot is not None and slot.valued and not branch.leads_on:
            if slot.only_parts and slot.lacks_parts(view):
                continue
            valued[tag] = slot
        left[tag] = branch
    if len(valued) >= _LISTS:
        glance = asked.glance(view, tuple(valued))
        for tag, slot in valued.items():
            if not slot.meets(glance):
                del left[tag]
    return left


def _lacks_parts(branch: _Branch, view: View) -> bool:
    """Tell whether a branch only asks for parts of texts of which the event has none."""
    slot = branch.slot
    return slot is not None and slot.only_parts and not branch.leads_on and slot.lacks_parts(view)


def _is_large(view: View) -> bool:
    """Tell whether an event has many elements, so that libxml2 had better be asked for those of a name."""
    if view.large is None:
        # Many of what an event is about, as a rule: then they need not be listed.
        below = next(view.root.iterchildren("*"), None)
        view.large = (below is not None and len(below) > 4 * _MANY) or (
            next(islice(view.root.iter("*"), 4 * _MANY, None), None) is not None
        )
    return view.large


def _few_below(
    below: dict[str, _Branch], nodes: list[Node], most: int | None
) -> dict[str, dict[Node, None]] | None:
    """Return the descendants by name; None if there are more than ``most``: libxml2 had better be asked."""
    found: dict[str, dict[Node, None]] = {}
    tags = tuple(below) if len(below) <= _FEW else ("*",)
    inside = chain.from_iterable(
        node.root.iter(*tags) if isinstance(node, View) else node.iterdescendants(*tags)
        for node in cast("list[etree._Element | View]", nodes)
    )
    elements: Iterable[etree._Element] = inside
    if most is not None:
        elements = list(islice(inside, most + 1))
        if len(elements) > most:
            return None
    for element in elements:
        tag = element.tag
        if tag in found:
            found[tag][element] = None  # once, though two of the nodes may have it below them
        elif tag in below:
            found[tag] = {element: None}
    return found


def _others(place: _Branch, nodes: list[Node], view: View, work: _Work) -> None:
    for (axis, test), target in place.others.items():
        if axis != "attribute" and _lacks_parts(target, view):
            continue
        if len(nodes) == 1:
            hits = _from_one(nodes[0], axis, test)
        else:
            found: dict[Node, None] = {}
            for node in nodes:
                found.update(dict.fromkeys(axis_nodes(node, axis, test)))
            hits = list(found)
        if hits:
            work.append((target, hits))


def _from_one(node: Node, axis: str, test: NameTest | str) -> list[Node]:
    if isinstance(node, View) and axis.startswith("descendant") and isinstance(test, NameTest):
        return cast("list[Node]", list(node.root.iter(test.tag)))  # all in C
    return list(axis_nodes(node, axis, test))
