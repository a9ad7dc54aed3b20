"""Copies of nodes, as constructors make them of their content (XQuery 3.1, 3.9.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clacks.xquery.nodes import Attribute, Comment, Document, Element, Namespace, ProcessingInstruction, Text

__all__ = ["copy_element", "copy_leaf", "copy_node"]


def copy_node(
    node: Any,
    *,
    preserve: bool = True,
    inherit: dict[str, str] | None = None,
    count: Callable[[int], object] = int,
) -> tuple[Any, int]:
    """Copy a node and all below it (XQuery 3.1, 3.9.1.3).

    Args:
        node: What to copy; may belong to any tree.
        preserve: Keep all namespaces of copied elements, else only those that names use.
        inherit: Namespaces of the new parent that copied elements take on too, or None for no-inherit.
        count: Told the number of nodes while they are copied, so that a budget can stop it.

    Returns:
        The copy, without a parent, and the number of nodes in it.
    """
    total = 1
    kind = node.kind
    if kind == "element":
        top = copy_element(node, preserve, inherit)
        total += len(top.attributes)
        count(total)
        stack = [(top, iter(node.children))]
        while stack:
            target, children = stack[-1]
            for child in children:
                if child.kind == "element":
                    twin = copy_element(child, preserve, inherit)
                    total += 1 + len(twin.attributes)
                    count(1 + len(twin.attributes))
                    target.append(twin)
                    stack.append((twin, iter(child.children)))
                    break
                total += 1
                count(1)
                target.append(copy_leaf(child))
            else:
                stack.pop()
        return top, total
    if kind == "document":
        document = Document(base=node.base_uri)
        for child in node.children:
            twin, size = copy_node(child, preserve=preserve, inherit=inherit, count=count)
            total += size
            twin.parent = document
            document._children.append(twin)
            twin.index = len(document._children)
        return document, total
    count(1)
    return copy_leaf(node), total


def copy_element(node: Any, preserve: bool, inherit: dict[str, str] | None) -> Element:
    """Copy an element with its attributes, without children."""
    scope = node.in_scope
    if preserve:
        namespaces = dict(scope)
    else:
        used = {node.prefix, *(a.prefix for a in node.attributes if a.prefix)}
        namespaces = {p: u for p, u in scope.items() if p in used}
    if inherit:
        for prefix, uri in inherit.items():
            # An element in no namespace must not come under a default namespace.
            if prefix not in namespaces and (prefix or node.prefix or node.namespace):
                namespaces[prefix] = uri
    twin = Element(node.name, node.prefix, namespaces)
    for attribute in node.attributes:
        twin.add_attribute(Attribute(attribute.name, attribute.value, attribute.prefix))
    return twin


def copy_leaf(node: Any) -> Any:
    """Copy a node that has nothing below it."""
    kind = node.kind
    if kind == "text":
        return Text(node.value)
    if kind == "attribute":
        return Attribute(node.name, node.value, node.prefix)
    if kind == "comment":
        return Comment(node.value)
    if kind == "processing-instruction":
        return ProcessingInstruction(node.name, node.value)
    return Namespace(node.name or "", node.value)
