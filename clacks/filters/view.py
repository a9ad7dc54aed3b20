"""One event as the conditions of filters see it: nodes, their values, and what was found out already.

A node is an lxml element, an `Attribute`, a `TextNode`, or the `View` itself, which stands for the document
node. Nodes of paths that begin at the document node are found once for all filters of an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter, methodcaller, not_
from typing import Any, Final, NamedTuple

from lxml import etree

from clacks.common.limits import DEFAULT_LIMITS
from clacks.filters.glance import Glance
from clacks.filters.values import Undecided, Untyped
from clacks.xquery.atoms import Calculator
from clacks.xquery.budget import BROKER_BUDGET
from clacks.xquery.conditions import ANY, NameTest

__all__ = ["Attribute", "Node", "TextNode", "View", "axis_nodes", "levels_apart", "node_texts", "node_value"]


FILTER_STEPS = DEFAULT_LIMITS.filter_steps


class Attribute(NamedTuple):
    """An attribute node: the element that has it, its name as lxml writes it, its value."""

    parent: etree._Element
    name: str
    value: str


class TextNode(NamedTuple):
    """A text node: the element around it, its number among that element's text nodes, its text."""

    parent: etree._Element
    number: int
    value: str


class View:
    """One event during one match: the tree, the properties of its message, and a memory of paths."""

    __slots__ = (
        "_calculator",
        "_text",
        "_used",
        "atoms",
        "found",
        "glances",
        "large",
        "parts",
        "properties",
        "root",
        "steps",
    )

    def __init__(self, root: etree._Element, properties: Mapping[str, object] | None = None) -> None:
        self.root = root
        self.properties: Mapping[str, object] = properties if properties is not None else {}
        self.found: dict[object, list[Any]] = {}
        """What heads of paths and calls gave, by the `Head`, with the context item if it begins there."""
        self.atoms: dict[object, list[Any]] = {}
        """The same for the values of the nodes."""
        self.parts: set[str] | None = None
        """The parts of texts that filters ask for and the document holds, once they are known."""
        self.glances: dict[tuple[str, ...], Glance] = {}
        """What was seen at a glance, by the names of elements."""
        self.large: bool | None = None
        """Whether there are many elements, once that is known."""
        self.steps = FILTER_STEPS
        self._text: str | None = None
        self._calculator: Calculator | None = None
        self._used = False

    @property
    def text(self) -> str:
        """The string value of the document."""
        if self._text is None:
            self._text = element_text(self.root)
        return self._text

    def begin(self) -> None:
        """Begin with another filter: it has its own steps and its own budget."""
        self.steps = FILTER_STEPS
        if self._used and self._calculator is not None:
            self._calculator.renew(BROKER_BUDGET)
            self._used = False

    def step(self, count: int) -> None:
        """Count steps of the filter that is evaluated.

        Raises:
            Undecided: If it takes too many.
        """
        self.steps -= count
        if self.steps < 0:
            raise Undecided

    @property
    def calculator(self) -> Calculator:
        """What the engine would do with values; all filters of an event see the same moment."""
        if self._calculator is None:
            self._calculator = Calculator(BROKER_BUDGET)
        self._used = True
        return self._calculator

    @staticmethod
    def value(node: Node) -> str:
        """Return the string value of a node."""
        return node_value(node)


_leaf_text: Final = attrgetter("text")
_parent: Final = methodcaller("getparent")
Node = etree._Element | Attribute | TextNode | View


def element_text(element: etree._Element) -> str:
    """Return the string value of an element: all text in it, comments and instructions left out."""
    if len(element):
        # Ten times as fast as itertext; comments and instructions are left out as well.
        return etree.tostring(element, method="text", encoding="unicode", with_tail=False)
    return element.text or ""


def node_value(node: Node) -> Untyped:
    """Return the typed value of a node of a tree without a schema."""
    if isinstance(node, View):
        return Untyped(element_text(node.root))
    if isinstance(node, Attribute | TextNode):
        return Untyped(node.value)
    return Untyped(element_text(node))


def node_texts(nodes: Sequence[Node]) -> set[str]:
    """Return the distinct string values of nodes of one path: quick for many leaves."""
    first = nodes[0]
    if not isinstance(first, etree._Element):
        return {node_value(node) for node in nodes}
    elements: Sequence[etree._Element] = nodes  # type: ignore[assignment]  # one path finds one sort of node
    sizes = list(map(len, elements))
    inner = any(sizes)
    texts = set(map(_leaf_text, compress(elements, map(not_, sizes)) if inner else elements))
    if None in texts:
        texts.remove(None)
        texts.add("")
    if inner:
        texts.update(map(element_text, compress(elements, sizes)))
    return texts


def _holder(node: object) -> object:
    return getattr(node, "parent", None)


def levels_apart(nodes: Sequence[Node], most: int) -> int:
    """Return up to how many levels above different nodes their ancestors differ, too; ``most`` or less."""
    level = 0
    above: Sequence[object] = nodes
    while level < most:
        # One path finds one sort of node.
        step = _parent if isinstance(above[0], etree._Element) else _holder
        above = list(map(step, above))
        if None in above or len(set(above)) < len(above):
            return level
        level += 1
    return level


def _text_nodes(element: etree._Element) -> Iterator[TextNode]:
    if element.text:
        yield TextNode(element, 0, element.text)
    for number, child in enumerate(element, 1):
        if child.tail:
            yield TextNode(element, number, child.tail)


def _matches(element: etree._Element, test: NameTest) -> bool:
    tag = str(element.tag)  # an element: comments and instructions are never asked
    if test.exact:
        return tag == test.tag
    name = etree.QName(tag)
    return (test.namespace in (ANY, name.namespace or "")) and test.local in (ANY, name.localname)


def axis_nodes(node: Node, axis: str, test: NameTest | str, view: View | None = None) -> Iterator[Node]:
    """Yield the nodes that one step finds from one node, in the order of the axis (backward: nearest first).

    ``view`` is wanted where an axis may leave the root: its parent is the document.
    """
    if isinstance(node, View):
        yield from _document_axis(node, axis, test)
    elif isinstance(node, Attribute | TextNode):
        yield from _leaf_axis(node, axis, test, view)
    elif axis == "attribute":
        yield from _attributes(node, test)
    elif isinstance(test, NameTest):
        if axis == "child":
            yield from node.iterchildren(test.tag)
        elif axis == "descendant":
            yield from node.iterdescendants(test.tag)
        elif axis == "descendant-or-self":
            yield from node.iter(test.tag)
        elif axis == "self":
            if _matches(node, test):
                yield node
        elif view is None or node is not view.root:
            yield from _outward(node, axis, test, view)
        elif axis == "ancestor-or-self" and _matches(node, test):
            yield node
    elif test == "text()":
        if axis == "child":
            yield from _text_nodes(node)
        elif axis in ("descendant", "descendant-or-self"):
            # Text stands in document order only if the text behind a child comes after what is inside it.
            yield from _texts_below(node)
    elif axis == "self":
        yield node
    elif axis == "descendant-or-self":
        yield from node.iter("*")
    elif axis == "parent":
        if view is not None and node is view.root:
            yield view
        else:
            parent = node.getparent()
            if parent is not None:
                yield parent


def _outward(node: etree._Element, axis: str, test: NameTest, view: View | None) -> Iterator[Node]:
    """Go from an element that is not the root along an axis that leads out of it."""
    if axis == "parent":
        parent = node.getparent()
        if parent is not None and _matches(parent, test):
            yield parent
    elif axis == "following-sibling":
        yield from node.itersiblings(test.tag)
    elif axis == "preceding-sibling":
        yield from node.itersiblings(test.tag, preceding=True)
    else:
        if axis == "ancestor-or-self" and _matches(node, test):
            yield node
        top = None if view is None else view.root
        for ancestor in node.iterancestors():
            if _matches(ancestor, test):
                yield ancestor
            if ancestor is top:
                break


def _leaf_axis(
    node: Attribute | TextNode, axis: str, test: NameTest | str, view: View | None
) -> Iterator[Node]:
    if axis == "parent":
        if test == "node()" or (isinstance(test, NameTest) and _matches(node.parent, test)):
            yield node.parent
    elif axis in ("ancestor", "ancestor-or-self"):
        yield from axis_nodes(node.parent, "ancestor-or-self", test, view)
    elif axis in ("self", "descendant-or-self"):
        if test == "node()" or (test == "text()" and isinstance(node, TextNode)):
            yield node
        elif axis == "self" and isinstance(test, NameTest):
            return
    elif axis in ("following-sibling", "preceding-sibling") and isinstance(node, TextNode):
        raise Undecided  # siblings of text are rare enough to leave them to the engine


def _texts_below(element: etree._Element) -> Iterator[TextNode]:
    if element.text:
        yield TextNode(element, 0, element.text)
    for number, child in enumerate(element, 1):
        if isinstance(child.tag, str):
            yield from _texts_below(child)
        if child.tail:
            yield TextNode(element, number, child.tail)


def _attributes(element: etree._Element, test: NameTest | str) -> Iterator[Attribute]:
    if isinstance(test, NameTest) and test.exact:
        if test.tag in element.attrib:
            yield Attribute(element, test.tag, str(element.attrib[test.tag]))
        return
    for name, value in element.attrib.items():
        qname = etree.QName(name)
        if not isinstance(test, NameTest) or (
            test.namespace in (ANY, qname.namespace or "") and test.local in (ANY, qname.localname)
        ):
            yield Attribute(element, str(name), str(value))


def _document_axis(view: View, axis: str, test: NameTest | str) -> Iterator[Node]:
    root = view.root
    if axis == "child":
        if isinstance(test, NameTest) and _matches(root, test):
            yield root
    elif axis in ("descendant", "descendant-or-self"):
        if test == "node()":
            yield view
            yield from root.iter("*")
        elif isinstance(test, NameTest):
            yield from root.iter(test.tag)
        elif test == "text()":
            yield from axis_nodes(root, "descendant-or-self", test)
    elif axis == "self" and test == "node()":
        yield view
