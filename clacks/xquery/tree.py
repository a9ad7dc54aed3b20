"""The node tree over an lxml document, wrapped lazily: children are wrapped when first asked for.

A node's identity is its wrapper, so one ``TreeDocument`` serves all queries on one event, and several threads
may grow it: the lists of children and attributes are made once, under the tree's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from threading import Lock
from typing import Any

from lxml import etree

from clacks.xquery.nodes import (
    XML_BASE,
    XML_NAMESPACE,
    Attribute,
    Comment,
    Document,
    Element,
    Node,
    ProcessingInstruction,
    Text,
)

__all__ = ["TreeDocument", "TreeElement", "named_descendants", "wrap"]

XML_ID = f"{{{XML_NAMESPACE}}}id"
STRING = etree.XPath("string()")
WRAPPED_AT_ONCE = 128
"""Children wrapped between two looks at the budget; one takes 1 to 3 us."""


def wrap(document: Any, uri: str | None = None) -> TreeDocument:
    """Wrap an lxml document so that many queries share one node tree.

    Args:
        document: An ElementTree or an element. Of an element inside a larger tree only that element is seen.
        uri: Base URI and document URI, if it has one.
    """
    if isinstance(document, TreeDocument):
        return document
    return TreeDocument(document, uri)


class TreeDocument(Document):
    """The document node of an lxml tree; what ``Query.evaluate`` takes for its context item."""

    __slots__ = ("lock", "value")

    value: Any
    _children: Any

    def __init__(self, document: Any, uri: str | None = None) -> None:
        super().__init__(base=uri)
        self._children = None
        self.value = document
        self.uri = uri
        self.lock = Lock()

    @property
    def root(self) -> Any:
        """Return the lxml element at the root, or None."""
        return self.value if isinstance(self.value, etree._Element) else self.value.getroot()

    @property
    def children(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the children, wrapped on first use."""
        children: Any = self._children
        if children is None:
            with self.lock:
                if self._children is None:
                    self._children = self.wrap_children()
                children = self._children
        return children

    def wrap_children(self) -> list[Node]:
        """Wrap the root element and the comments and processing instructions around it."""
        root = self.root
        if root is None:
            return []
        around: list[Any] = [root]
        if root.getparent() is None:
            before, after = root.getprevious(), root.getnext()
            while before is not None:
                around.insert(0, before)
                before = before.getprevious()
            while after is not None:
                around.append(after)
                after = after.getnext()
        nodes: list[Node] = []
        for item in around:
            node = wrap_item(item, self)
            if node is not None:
                nodes.append(node)
                node.parent = self
                node.index = len(nodes)
        return nodes

    @property
    def string_value(self) -> str:
        """Return the text below."""
        root = self.root
        return "" if root is None else str(STRING(root))


class TreeElement(Element):
    """An element of an lxml tree."""

    __slots__ = ("tree", "value")

    value: Any
    _children: Any
    _attributes: Any
    _namespaces: Any

    def __init__(self, element: Any, tree: TreeDocument) -> None:
        self.value = element
        self.tree = tree
        self.name = element.tag
        self.parent = None
        self.index = 1
        self._order = None
        self._children = None
        self._attributes = None
        self._namespaces = None
        self._namespace_nodes = None
        self._base = None

    @property
    def prefix(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the prefix of the name, empty if there is none."""
        return self.value.prefix or ""

    @property
    def children(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the children, wrapped on first use."""
        children: Any = self._children
        if children is None:
            with self.tree.lock:
                if self._children is None:
                    self._children = self.wrap_children()
                children = self._children
        return children

    def grown(self, step: Callable[[int], object]) -> Any:
        """Return the children; ``step`` is told while they are wrapped, and may break that off."""
        children: Any = self._children
        if children is None:
            with self.tree.lock:
                if self._children is None:
                    self._children = self.wrap_children(step)
                children = self._children
        return children

    def wrap_children(self, step: Callable[[int], object] | None = None) -> list[Any]:
        """Wrap text, elements, comments and processing instructions."""
        element, tree = self.value, self.tree
        nodes: list[Any] = []
        text = element.text
        if text:
            nodes.append(Text(text))
        for number, child in enumerate(element, 1):
            if step is not None and number % WRAPPED_AT_ONCE == 0:
                step(WRAPPED_AT_ONCE)
            node: Any = TreeElement(child, tree) if type(child.tag) is str else wrap_item(child, tree)
            if node is not None:
                nodes.append(node)
            text = child.tail
            if text:
                if nodes and nodes[-1].kind == "text":
                    nodes[-1].value += text
                else:
                    nodes.append(Text(text))
        for index, node in enumerate(nodes, 1):
            node.parent = self
            node.index = index
        return nodes

    @property
    def attributes(self) -> Any:
        """Return the attributes, wrapped on first use."""
        attributes: Any = self._attributes
        if attributes is None:
            with self.tree.lock:
                if self._attributes is None:
                    self._attributes = self.wrap_attributes()
                attributes = self._attributes
        return attributes

    def wrap_attributes(self) -> list[Attribute]:
        """Wrap the attributes; a prefix is looked up among the namespaces in scope."""
        nodes = []
        prefixes: dict[str, str] | None = None
        for index, (name, value) in enumerate(self.value.items(), 1):
            prefix = ""
            if name == XML_ID:
                value = " ".join(value.split())  # as xml:id 1.0, 4, asks of processors
            if name[0] == "{":
                uri = name[1:].partition("}")[0]
                if uri == XML_NAMESPACE:
                    prefix = "xml"
                else:
                    if prefixes is None:
                        # Made once: an element may have thousands of attributes and of prefixes.
                        prefixes = {u: p for p, u in reversed(self.value.nsmap.items()) if p}
                    prefix = prefixes.get(uri, "")
            node = Attribute(name, value, prefix)
            node.parent = self
            node.index = index
            nodes.append(node)
        return nodes

    @property
    def in_scope(self) -> dict[str, str]:
        """Return the in-scope namespaces by prefix."""
        scope: dict[str, str] | None = self._namespaces
        if scope is None:
            scope = {p or "": u for p, u in self.value.nsmap.items() if u and p != "xml"}
            self._namespaces = scope
        return scope

    @property
    def own_base(self) -> str | None:
        """Return the value of the attribute xml:base, or None."""
        base: str | None = self.value.get(XML_BASE)
        return base

    @property
    def string_value(self) -> str:
        """Return the text below."""
        element = self.value
        if len(element) == 0:
            return element.text or ""
        return str(STRING(element))


def named_descendants(
    node: TreeDocument | TreeElement, name: str, step: Callable[[int], object]
) -> list[TreeElement]:
    """Return the elements of a name below a node, in document order.

    lxml looks for them; only they, their ancestors and the siblings of those are wrapped. ``step`` is told
    of each.
    """
    whole = isinstance(node, TreeDocument)
    top = node.root if isinstance(node, TreeDocument) else node.value
    if top is None:
        return []
    named = top.iter(name)
    if not whole and top.tag == name:
        next(named)
    known: dict[Any, Any] = {} if whole else {top: node}
    nodes: list[TreeElement] = []
    while some := list(islice(named, WRAPPED_AT_ONCE)):
        step(len(some))
        if not known:
            known.update((child.value, child) for child in node.children if child.kind == "element")
        nodes += [wrapper_of(element, known, step) for element in some]
    return nodes


def wrapper_of(element: Any, known: dict[Any, Any], step: Callable[[int], object]) -> Any:
    """Return the wrapper of an element; ``known`` holds those of some elements, the topmost among them."""
    chain = []
    while element not in known:
        chain.append(element)
        element = element.getparent()
    wrapper = known[element]
    for below in reversed(chain):
        children = wrapper.grown(step)
        step(len(children) // 8)
        known.update((child.value, child) for child in children if child.kind == "element")
        wrapper = known[below]
    return wrapper


def wrap_item(item: Any, tree: TreeDocument) -> Any:
    """Wrap an lxml element, comment or processing instruction; None for what the data model lacks."""
    tag = item.tag
    if type(tag) is str:
        return TreeElement(item, tree)
    if tag is etree.Comment:
        return Comment(item.text or "", item)
    if tag is etree.ProcessingInstruction:
        return ProcessingInstruction(item.target, item.text or "", item)
    return None
