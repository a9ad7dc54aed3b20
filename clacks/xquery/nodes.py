"""XDM nodes: the protocol that every node follows, and the nodes that a query constructs.

A constructed node has no lxml behind it: lxml holds neither undeclared prefixes nor documents with text nor
attributes without an element. Nodes of a document that was parsed are in ``tree`` and follow the same
protocol.

Document order: ``position`` is a tuple, the tree's number followed by the steps down from its root; a node
knows its ``index`` among its siblings, so nothing is numbered before somebody asks. Namespaces come before
attributes, attributes before children.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

from elementpath.datatypes import UntypedAtomic
from elementpath.xpath_nodes import XPathNode

__all__ = [
    "XML_NAMESPACE",
    "Attribute",
    "Comment",
    "Document",
    "Element",
    "Namespace",
    "Node",
    "ProcessingInstruction",
    "Text",
    "descendants",
    "expanded",
    "split_name",
]

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
XML_BASE = f"{{{XML_NAMESPACE}}}base"

tree_numbers = itertools.count(1)
COUNTED_AT_ONCE = 100


def expanded(namespace: str | None, local: str) -> str:
    """Return ``{uri}local``, or ``local`` in no namespace."""
    return f"{{{namespace}}}{local}" if namespace else local


def split_name(name: str) -> tuple[str, str]:
    """Take an expanded name apart into namespace (empty if none) and local name."""
    if name[:1] == "{":
        namespace, _, local = name[1:].rpartition("}")
        return namespace, local
    return "", name


class Node(XPathNode):
    """What all nodes have in common.

    Attributes:
        kind: document, element, attribute, text, comment, processing-instruction or namespace.
        name: Expanded name (``{uri}local`` or ``local``), the target of a processing instruction, the prefix
            of a namespace node; None for other kinds.
        prefix: Prefix of the name, empty if there is none.
        parent: The parent, or None.
        index: Place among the siblings, counted from 1.
    """

    __slots__ = ("_order", "index", "prefix")

    kind = ""
    name: str | None
    value: Any
    parent: Any
    children: Any = ()
    attributes: Any = ()

    def __init__(self) -> None:
        self.name = None
        self.prefix = ""
        self.parent = None
        self.index = 1
        self._order: tuple[int, ...] | None = None

    @property
    def position(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the place in document order, a tuple that sorts across trees."""
        order = self._order
        if order is None:
            chain: list[Any] = [self]
            parent: Any = self.parent
            while parent is not None and parent._order is None:
                chain.append(parent)
                parent = parent.parent
            for node in reversed(chain):
                above = node.parent
                node._order = (next(tree_numbers),) if above is None else above._order + node.step
            order = self._order
        return order

    @property
    def step(self) -> tuple[int, ...]:
        """Return the last step of the way from the root."""
        return (self.index,)

    def grown(self, step: Callable[[int], object]) -> Any:
        """Return the children; ``step`` is told of those that have to be made for it."""
        return self.children

    @property
    def node_kind(self) -> str:
        """Return the kind, by elementpath's name."""
        return self.kind

    @property
    def local(self) -> str:
        """Return the local name, empty if there is none."""
        return split_name(self.name)[1] if self.name else ""

    @property
    def namespace(self) -> str:
        """Return the namespace URI of the name, empty if there is none."""
        return split_name(self.name)[0] if self.name else ""

    @property
    def lexical_name(self) -> str:
        """Return ``prefix:local``, or ``local``."""
        return f"{self.prefix}:{self.local}" if self.prefix else self.local

    @property
    def string_value(self) -> str:
        """Return the string value."""
        return ""

    @property
    def typed_value(self) -> Any:
        """Return the typed value: untyped, as there is no schema."""
        return UntypedAtomic(self.string_value)

    @property
    def iter_typed_values(self) -> Iterator[Any]:
        """Iterate over the typed value."""
        yield self.typed_value

    @property
    def base_uri(self) -> str | None:
        """Return the base URI, that of the parent unless the node has its own."""
        parent: Any = self.parent
        return None if parent is None else parent.base_uri

    @property
    def root_node(self) -> Any:
        """Return the root of the tree."""
        node: Any = self
        while node.parent is not None:
            node = node.parent
        return node

    @property
    def in_scope(self) -> dict[str, str]:
        """Return the in-scope namespaces by prefix, the default one under the empty prefix, without xml."""
        return {}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name or self.string_value!r}>"


class Document(Node):
    """A document node."""

    __slots__ = ("_base", "_children", "uri")

    kind = "document"

    def __init__(self, children: list[Node] | None = None, base: str | None = None) -> None:
        super().__init__()
        self._children = children if children is not None else []
        self._base = base
        self.uri: str | None = None

    @property
    def children(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the children."""
        return self._children

    @property
    def base_uri(self) -> str | None:
        """Return the base URI."""
        return self._base

    @property
    def document_uri(self) -> str | None:
        """Return the URI the document can be had under again, or None."""
        return self.uri

    @property
    def string_value(self) -> str:
        """Return the text below."""
        return "".join(text_below(self))


class Element(Node):
    """An element that a query constructed.

    Args:
        name: Expanded name.
        prefix: Prefix of the name.
        namespaces: In-scope namespaces; taken over.
        base: Base URI of the constructor.
    """

    __slots__ = ("_attributes", "_base", "_children", "_namespace_nodes", "_namespaces")

    kind = "element"

    def __init__(
        self, name: str, prefix: str = "", namespaces: dict[str, str] | None = None, base: str | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self.prefix = prefix
        self._namespaces = namespaces if namespaces is not None else {}
        self._attributes: list[Any] = []
        self._children: list[Any] = []
        self._base = base
        self._namespace_nodes: list[Namespace] | None = None

    @property
    def children(self) -> Any:  # type: ignore[override]  # computed when asked for
        """Return the children."""
        return self._children

    @property
    def attributes(self) -> Any:
        """Return the attributes."""
        return self._attributes

    @property
    def in_scope(self) -> dict[str, str]:
        """Return the in-scope namespaces by prefix; do not change."""
        return self._namespaces

    @property
    def nsmap(self) -> dict[str, str]:
        """Return the in-scope namespaces, by elementpath's name."""
        return self.in_scope

    @property
    def namespace_nodes(self) -> list[Namespace]:  # type: ignore[override]  # our own class of nodes
        """Return the namespace nodes, xml among them."""
        if self._namespace_nodes is None:
            pairs = {"xml": XML_NAMESPACE, **self.in_scope}
            nodes = []
            for index, (prefix, uri) in enumerate(pairs.items(), 1):
                node = Namespace(prefix, uri)
                node.parent = self
                node.index = index
                nodes.append(node)
            self._namespace_nodes = nodes
        return self._namespace_nodes

    @property
    def base_uri(self) -> str | None:
        """Return xml:base against the base of the parent or of the constructor."""
        relative: list[str] = []
        node: Any = self
        while node.kind == "element":
            own = node.own_base
            if own is not None:
                relative.append(own.strip())
            outer: str | None = node._base
            if node.parent is None:
                break
            node = node.parent
        else:
            outer = node.base_uri if node.base_uri is not None else outer
        for own in reversed(relative):
            outer = urljoin(outer or "", own)
        return outer

    @property
    def own_base(self) -> str | None:
        """Return the value of the attribute xml:base, or None."""
        return next((a.value for a in self.attributes if a.name == XML_BASE), None)

    @property
    def string_value(self) -> str:
        """Return the text below."""
        return "".join(text_below(self))

    @property
    def nilled(self) -> bool:
        """Return False: nothing is nilled without a schema."""
        return False

    def append(self, child: Any) -> None:
        """Take ``child``, which has no parent, as the last child."""
        child.parent = self
        self._children.append(child)
        child.index = len(self._children)

    def add_attribute(self, attribute: Any) -> None:
        """Take ``attribute``, which has no parent."""
        attribute.parent = self
        self._attributes.append(attribute)
        attribute.index = len(self._attributes)


class Attribute(Node):
    """An attribute."""

    __slots__ = ()

    kind = "attribute"
    value: str

    def __init__(self, name: str, value: str, prefix: str = "") -> None:
        self.name = name
        self.prefix = prefix
        self.value = value
        self.parent = None
        self.index = 1
        self._order = None

    @property
    def step(self) -> tuple[int, ...]:
        """Return a step that sorts before children, after namespaces."""
        return (0, 1, self.index)

    @property
    def string_value(self) -> str:
        """Return the value."""
        return self.value

    @property
    def is_id(self) -> bool:
        """Tell whether this is xml:id."""
        return self.name == f"{{{XML_NAMESPACE}}}id"


class Text(Node):
    """A text node."""

    __slots__ = ()

    kind = "text"
    value: str

    def __init__(self, value: str) -> None:
        self.name = None
        self.prefix = ""
        self.value = value
        self.parent = None
        self.index = 1
        self._order = None

    @property
    def string_value(self) -> str:
        """Return the text."""
        return self.value

    @property
    def typed_value(self) -> Any:
        """Return the text, untyped."""
        return UntypedAtomic(self.value)


class Comment(Text):
    """A comment."""

    __slots__ = ("origin",)

    kind = "comment"

    def __init__(self, value: str, origin: Any = None) -> None:
        super().__init__(value)
        self.origin = origin

    @property
    def typed_value(self) -> Any:
        """Return the text, a string."""
        return self.value


class ProcessingInstruction(Text):
    """A processing instruction."""

    __slots__ = ("origin",)

    kind = "processing-instruction"

    def __init__(self, target: str, value: str, origin: Any = None) -> None:
        super().__init__(value)
        self.name = target
        self.origin = origin

    @property
    def typed_value(self) -> Any:
        """Return the text, a string."""
        return self.value


class Namespace(Node):
    """A namespace node; ``name`` is the prefix, None for the default namespace."""

    __slots__ = ()

    kind = "namespace"
    value: str

    def __init__(self, prefix: str, uri: str) -> None:
        super().__init__()
        self.name = prefix or None
        self.value = uri

    @property
    def step(self) -> tuple[int, ...]:
        """Return a step that sorts before attributes."""
        return (0, 0, self.index)

    @property
    def string_value(self) -> str:
        """Return the URI."""
        return self.value

    @property
    def typed_value(self) -> Any:
        """Return the URI, a string."""
        return self.value


def descendants(node: Node, step: Callable[[int], object] | None = None) -> Iterator[Any]:
    """Iterate over the nodes below, in document order, without recursion; ``step`` is told of them, a hundred
    at a time.
    """
    stack = [iter(node.children if step is None else node.grown(step))]
    count = 0
    while stack:
        for child in stack[-1]:
            count += 1
            if count >= COUNTED_AT_ONCE and step is not None:
                step(count)
                count = 0
            yield child
            if child.kind == "element":
                stack.append(iter(child.children if step is None else child.grown(step)))
                break
        else:
            stack.pop()
    if step is not None:
        step(count)


def text_below(node: Node) -> Iterator[str]:
    """Iterate over the strings of all text nodes below."""
    for child in descendants(node):
        if child.kind == "text":
            yield child.value
