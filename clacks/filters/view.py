"""One event as the conditions of filters see it: nodes, their values, and what was found out already.

A node is an lxml element, an `Attribute`, a `TextNode`, or the `View` itself, which stands for the document
node. Nodes of paths that begin at the document node are found once for all filters of an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lxml import etree

from clacks.filters.values import Untyped
from clacks.xquery.budget import DEFAULT, Meter
from clacks.xquery.conditions import ANY, NameTest, Path

__all__ = ["Attribute", "Node", "TextNode", "View", "axis_nodes", "node_value"]


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

    __slots__ = ("_meter", "found", "properties", "root")

    def __init__(self, root: etree._Element, properties: Mapping[str, object] | None = None) -> None:
        self.root = root
        self.properties: Mapping[str, object] = properties if properties is not None else {}
        self.found: dict[Path, list[Node]] = {}
        self._meter: Meter | None = None

    @property
    def meter(self) -> Meter:
        """What regular expressions on this event may cost."""
        if self._meter is None:
            self._meter = Meter(DEFAULT)
        return self._meter

    @staticmethod
    def value(node: Node) -> str:
        """Return the string value of a node."""
        return node_value(node)


Node = etree._Element | Attribute | TextNode | View


def element_text(element: etree._Element) -> str:
    """Return the string value of an element: all text in it, comments and instructions left out."""
    if len(element):
        return "".join(map(str, element.itertext()))  # lxml's itertext gives text nodes only
    return element.text or ""


def node_value(node: Node) -> Untyped:
    """Return the typed value of a node of a tree without a schema."""
    if isinstance(node, View):
        return Untyped(element_text(node.root))
    if isinstance(node, Attribute | TextNode):
        return Untyped(node.value)
    return Untyped(element_text(node))


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


def axis_nodes(node: Node, axis: str, test: NameTest | str) -> Iterator[Node]:
    """Yield the nodes that one step finds from one node, in document order."""
    if isinstance(node, Attribute | TextNode):
        if axis == "parent":
            if test == "node()" or (isinstance(test, NameTest) and _matches(node.parent, test)):
                yield node.parent
        elif axis in ("self", "descendant-or-self") and (
            test == "node()" or (test == "text()" and isinstance(node, TextNode))
        ):
            yield node
        return
    if isinstance(node, View):
        yield from _document_axis(node, axis, test)
        return
    if axis == "attribute":
        yield from _attributes(node, test)
    elif axis == "parent":
        parent = node.getparent()
        if parent is not None and (
            test == "node()" or (isinstance(test, NameTest) and _matches(parent, test))
        ):
            yield parent
    elif isinstance(test, NameTest):
        if axis == "child":
            yield from node.iterchildren(test.tag)
        elif axis == "descendant":
            yield from node.iterdescendants(test.tag)
        elif axis == "descendant-or-self":
            yield from node.iter(test.tag)
        elif axis == "self" and _matches(node, test):
            yield node
    elif test == "text()":
        if axis == "child":
            yield from _text_nodes(node)
        elif axis in ("descendant", "descendant-or-self"):
            for element in node.iter("*"):
                yield from _text_nodes(element)
    elif axis == "self":
        yield node


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
        if isinstance(test, NameTest):
            yield from root.iter(test.tag)
        elif test == "text()":
            yield from axis_nodes(root, "descendant-or-self", test)
    elif axis == "self" and test == "node()":
        yield view
