"""Building nodes from content sequences: text, copies, attributes, namespaces (XQuery 3.1, 3.9.1.3 and
3.9.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clacks.xquery.conversion import atomize, string_of_item
from clacks.xquery.copying import copy_node
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray
from clacks.xquery.nodes import (
    XML_NAMESPACE,
    Attribute,
    Node,
    Text,
)
from clacks.xquery.tokens import Expression

if TYPE_CHECKING:
    from clacks.xquery.context import Context


__all__ = ["Builder", "Constructor", "free_prefix", "inherit", "is_fresh", "joined_text", "prune"]


XMLNS = "http://www.w3.org/2000/xmlns/"


XML_ID = f"{{{XML_NAMESPACE}}}id"


class Constructor(Expression):
    """Anything that makes one node nobody else has seen."""

    label = "constructor"

    def build(self, ctx: Context) -> Any:
        """Make the node, or None."""
        raise NotImplementedError

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the node."""
        node = self.build(ctx)
        return [] if node is None else [node]


def is_fresh(expression: Expression) -> bool:
    """Tell whether all nodes of an expression are new, so that they need not be copied."""
    if isinstance(expression, Constructor):
        return True
    symbol = expression.symbol
    items = expression._items
    if symbol in (",", "("):
        return all(is_fresh(item) for item in items)
    if symbol == "flwor":
        return is_fresh(items[-1])
    if symbol == "if":
        return is_fresh(items[1]) and is_fresh(items[2])
    return False


def joined_text(value: Sequence[Any], ctx: Context) -> str:
    """Atomize and join with spaces."""
    values = atomize(value)
    if len(values) == 1:
        return string_of_item(values[0])
    ctx.execution.meter.step(len(values))
    text = " ".join([string_of_item(item) for item in values])
    ctx.execution.meter.text(len(text))
    return text


class Builder:
    """Fills an element or a document with a content sequence.

    Args:
        target: The node to fill.
        ctx: The context; its meter counts nodes and text.
        static: Static context with the copy-namespaces mode.
        declared: Namespaces that attributes of the constructor itself declare.
    """

    def __init__(
        self, target: Any, ctx: Context, static: Any, declared: dict[str, str] | None = None
    ) -> None:
        self.target = target
        self.is_element = target.kind == "element"
        self.meter = ctx.execution.meter
        self.static = static
        self.has_content = False
        self.pending: list[str] = []
        self.names: set[str] = set()
        self.bound: dict[str, str] = dict(declared or {})
        self.copied: list[Any] = []

    def text(self, text: str) -> None:
        """Add text; adjacent text becomes one node."""
        if text:
            self.pending.append(text)
        self.has_content = self.has_content or bool(text)

    def flush(self) -> None:
        """Make the text node of the pending text."""
        if self.pending:
            text = "".join(self.pending)
            self.pending.clear()
            self.meter.text(len(text))
            self.add(Text(text))

    def add(self, node: Any) -> None:
        """Append a node that nobody else has."""
        target = self.target
        node.parent = target
        children = target._children
        children.append(node)
        node.index = len(children)

    def sequence(self, value: Sequence[Any], fresh: bool = False) -> None:
        """Add the value of an enclosed expression."""
        self.meter.step(len(value) + 1)
        after_atomic = False
        for item in value:
            if isinstance(item, Node):
                after_atomic = False
                self.node(item, fresh)
            elif isinstance(item, FunctionItem):
                if not isinstance(item, XArray):
                    raise failure("XQTY0105", f"a {item.label} cannot be content of a node")
                members = list(item.flatten())
                if any(isinstance(m, FunctionItem) for m in members):
                    raise failure("XQTY0105", "a function cannot be content of a node")
                for member in members:
                    if isinstance(member, Node):
                        after_atomic = False
                        self.node(member, False)
                    else:
                        self.atomic(member, after_atomic)
                        after_atomic = True
            else:
                self.atomic(item, after_atomic)
                after_atomic = True

    def atomic(self, item: Any, spaced: bool) -> None:
        """Add an atomic value, after a space if one came before it."""
        text = string_of_item(item)
        if spaced:
            self.pending.append(" ")
        self.text(text)
        # Even an empty string is content: an attribute may not follow (3.9.1.3, 1c-d).
        self.has_content = True

    def node(self, item: Any, fresh: bool) -> None:
        """Add a node, copied unless it is new."""
        kind = item.kind
        if kind == "text":
            if item.value:
                self.text(item.value)
            self.has_content = True
            return
        if kind == "attribute":
            if not self.is_element:
                raise failure("XPTY0004", "a document cannot hold an attribute")
            if self.has_content:
                raise failure("XQTY0024", "an attribute comes after other content")
            self.attribute(Attribute(item.name, item.value, item.prefix))
            return
        if kind == "namespace":
            if not self.is_element:
                raise failure("XPTY0004", "a document cannot hold a namespace")
            if self.has_content:
                raise failure("XQTY0024", "a namespace comes after other content")
            self.namespace(item.name or "", item.value)
            return
        self.has_content = True
        if kind == "document":
            for child in item.children:
                self.node(child, False)
            return
        self.flush()
        if fresh and item.parent is None:
            if kind == "element" and not self.static.preserve_namespaces:
                prune(item)
        else:
            item, _ = copy_node(item, preserve=self.static.preserve_namespaces, count=self.meter.nodes)
        self.add(item)
        if kind == "element":
            self.copied.append(item)

    def nested(self, item: Any) -> None:
        """Add a node of a nested direct constructor: it is no copy, so it inherits and loses no
        namespaces.
        """
        self.has_content = True
        self.flush()
        self.add(item)

    def attribute(self, attribute: Attribute) -> None:
        """Add an attribute; XQDY0025 if there is one of that name."""
        name = attribute.name
        assert name is not None
        if name in self.names:
            raise failure("XQDY0025", f"two attributes are named {attribute.lexical_name}")
        self.names.add(name)
        if name == XML_ID:
            attribute.value = " ".join(attribute.value.split())
        self.target.add_attribute(attribute)
        self.meter.nodes(1)

    def namespace(self, prefix: str, uri: str) -> None:
        """Bind a prefix as a namespace constructor says; XQDY0102 on a conflict."""
        if prefix == "xml":
            return
        if self.bound.get(prefix, uri) != uri:
            raise failure("XQDY0102", f"prefix {prefix!r} is bound to two namespaces")
        target = self.target
        if not prefix and not target.namespace:
            raise failure("XQDY0102", "an element in no namespace cannot have a default namespace")
        self.bound[prefix] = uri

    def finish(self) -> None:
        """Make the last text node, bind the prefixes of names, and let children inherit."""
        self.flush()
        self.meter.nodes(1)
        target = self.target
        if self.is_element:
            self.fix_namespaces()
            if self.static.inherit_namespaces:
                scope = target.in_scope
                if scope:
                    for child in self.copied:
                        inherit(child, scope)

    def fix_namespaces(self) -> None:
        """Bind the prefixes that element and attributes use (3.9.3.1 and 3.9.4)."""
        target = self.target
        scope = target._namespaces
        for prefix, uri in self.bound.items():
            scope[prefix] = uri
        uri = target.namespace
        if uri and uri != XML_NAMESPACE:
            if scope.get(target.prefix, uri) != uri and target.prefix in self.bound:
                target.prefix = free_prefix(scope, "ns")
            scope[target.prefix] = uri
        elif not uri:
            scope.pop("", None)
        for attribute in target._attributes:
            uri = attribute.namespace
            if not uri or uri == XML_NAMESPACE:
                continue
            prefix = attribute.prefix
            if not prefix or scope.get(prefix, uri) != uri:
                prefix = next((p for p, u in scope.items() if u == uri and p), "") or free_prefix(
                    scope, prefix or "ns"
                )
                attribute.prefix = prefix
            scope[prefix] = uri


def free_prefix(scope: dict[str, str], base: str) -> str:
    """Return a prefix that is not bound."""
    number = 0
    while f"{base}{number}" in scope:
        number += 1
    return f"{base}{number}"


def prune(element: Any) -> None:
    """Drop the namespaces that an element and its attributes do not use."""
    used = {element.prefix, *(a.prefix for a in element.attributes if a.prefix)}
    element._namespaces = {p: u for p, u in element._namespaces.items() if p in used}


def inherit(element: Any, scope: dict[str, str]) -> None:
    """Give a new element, and what is below, the namespaces of its parent."""
    stack = [(element, scope)]
    while stack:
        node, above = stack.pop()
        own = node._namespaces
        blocked = not node.namespace and not node.prefix
        missing = {p: u for p, u in above.items() if p not in own and (p or not blocked)}
        if not missing:
            continue
        node._namespaces = {**own, **missing}
        if blocked and "" in above:
            missing.pop("", None)
        stack.extend((child, missing) for child in node._children if child.kind == "element")
