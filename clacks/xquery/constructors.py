"""Construction of nodes: content sequences, namespaces, and the computed constructors (XQuery 3.1, 3.9).

A computed constructor has its content as last item, and the expression of its name before it if the name is
not written out. Direct constructors are in ``direct`` and build through the same ``Builder``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elementpath.datatypes import AbstractQName, AnyURI, QName, UntypedAtomic

from clacks.common.errors import QueryError
from clacks.xquery.casts import STRING_FORMS, qname_of
from clacks.xquery.conversion import atomize, atomize_one, describe, string_of_item
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.maps import XArray
from clacks.xquery.nodes import (
    XML_NAMESPACE,
    Attribute,
    Comment,
    Document,
    Element,
    Namespace,
    Node,
    ProcessingInstruction,
    Text,
    copy_node,
    expanded,
)
from clacks.xquery.tokens import Expression, keyword, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["XMLNS", "Builder", "Constructor", "is_fresh", "joined_text"]

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


def check_name(uri: str, prefix: str, code: str) -> None:
    """Refuse names in the namespace of xmlns, and wrong uses of the prefixes xml and xmlns."""
    if uri == XMLNS or prefix == "xmlns":
        raise failure(code, "no node is named in the namespace of xmlns")
    if (prefix == "xml") != (uri == XML_NAMESPACE) and (prefix == "xml" or (uri == XML_NAMESPACE and prefix)):
        raise failure(code, "the prefix xml belongs to its namespace")


class Computed(Constructor):
    """A computed constructor.

    Attributes:
        name: Name token if the name is written out, else None: then the first item is its expression.
        written: Namespace, prefix and local name of a name that is written out.
        content: The expression of the content, or None.
    """

    name: Any = None
    named = True

    def nud(self) -> Any:
        """Parse name and content, if this is a constructor at all."""
        parser = self.parser
        self.static = parser.static
        if self.named:
            if parser.next_token.symbol == "(name)":
                from clacks.xquery.lexer import scan

                if parser.next_token.is_wildcard or scan(parser.source, parser.end).text != "{":
                    return None
                self.name = parser.qname()
                default = self.static.element_namespace if self.symbol == "element" else ""
                self.written = self.name.find_namespace(default), self.name.prefix, self.name.local
                self.check_written()
            else:
                self._items.append(parser.enclosed(optional=False))
        self.content = parser.enclosed()
        if self.content is not None:
            self._items.append(self.content)
        return self

    def check_written(self) -> None:
        """Look at a name that is written out."""

    def content_of(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the content."""
        return [] if self.content is None else self.content.run(ctx)

    def qname(self, ctx: Context, default: bool, code: str) -> tuple[str, str, str]:
        """Return namespace, prefix and local name."""
        if self.name is not None:
            uri, prefix, local = self.written
            check_name(uri, prefix, code)
            return uri, prefix, local
        value = atomize_one(self._items[0].run(ctx), "name")
        if isinstance(value, AbstractQName):
            found: Any = value
        elif isinstance(value, (str, UntypedAtomic)) and not isinstance(value, AnyURI):
            text = str(value)
            match = re.fullmatch(r"\s*Q\{([^{}]*)\}([^{}]*?)\s*", text)
            try:
                if match is not None and STRING_FORMS["NCName"].fullmatch(match.group(2)):
                    found = QName(" ".join(match.group(1).split()), match.group(2))
                else:
                    found = qname_of(text, self.static, default=default)
            except QueryError as error:
                raise failure("XQDY0074", error.reason) from None
        else:
            what = "nothing" if value is None else describe(value)
            raise failure("XPTY0004", f"a name is xs:QName or xs:string, found {what}")
        uri = found.uri or ""
        prefix = found.prefix or ""
        check_name(uri, prefix, code)
        return uri, prefix, found.local_name


@keyword("element", "{")
@keyword("element", "(name)")
@token("element")
class ComputedElement(Computed):
    """``element name { content }``."""

    def build(self, ctx: Context) -> Any:
        """Make the element."""
        uri, prefix, local = self.qname(ctx, True, "XQDY0096")
        scope = {p: u for p, u in self.static.constructed.items() if p != "xml"}
        if uri and uri != XML_NAMESPACE:
            scope[prefix] = uri
        elif not uri:
            scope.pop("", None)
        element = Element(expanded(uri, local), prefix, scope, self.static.base_uri)
        builder = Builder(element, ctx, self.static)
        if self.content is not None:
            builder.sequence(self.content.run(ctx), is_fresh(self.content))
        builder.finish()
        return element


@keyword("attribute", "{")
@keyword("attribute", "(name)")
@token("attribute")
class ComputedAttribute(Computed):
    """``attribute name { content }``."""

    def build(self, ctx: Context) -> Any:
        """Make the attribute."""
        uri, prefix, local = self.qname(ctx, False, "XQDY0044")
        if not uri and local == "xmlns":
            raise failure("XQDY0044", "no attribute is named xmlns")
        if uri and not prefix:
            prefix = (
                "xml"
                if uri == XML_NAMESPACE
                else next((p for p, u in self.static.namespaces.items() if u == uri), "ns0")
            )
        ctx.execution.meter.nodes(1)
        name = expanded(uri, local)
        value = joined_text(self.content_of(ctx), ctx)
        return Attribute(name, " ".join(value.split()) if name == XML_ID else value, prefix)


@keyword("document", "{")
@token("document")
class ComputedDocument(Computed):
    """``document { content }``."""

    named = False

    def build(self, ctx: Context) -> Any:
        """Make the document."""
        document = Document(base=self.static.base_uri)
        builder = Builder(document, ctx, self.static)
        if self.content is not None:
            builder.sequence(self.content.run(ctx), is_fresh(self.content))
        builder.finish()
        return document


@keyword("text", "{")
@token("text")
class ComputedText(Computed):
    """``text { content }``; nothing if the content is empty."""

    named = False

    def build(self, ctx: Context) -> Any:
        """Make the text node."""
        value = atomize(self.content_of(ctx))
        if not value:
            return None
        ctx.execution.meter.nodes(1)
        return Text(joined_text(value, ctx))


@keyword("comment", "{")
@token("comment")
class ComputedComment(Computed):
    """``comment { content }``."""

    named = False

    def build(self, ctx: Context) -> Any:
        """Make the comment."""
        text = joined_text(self.content_of(ctx), ctx)
        if "--" in text or text.endswith("-"):
            raise failure("XQDY0072", "a comment holds '--' or ends with '-'")
        ctx.execution.meter.nodes(1)
        return Comment(text)


def ncname_of(value: Any, code: str, what: str) -> str:
    """Return an NCName made of an atomic value."""
    if not isinstance(value, (str, UntypedAtomic)) or isinstance(value, AnyURI):
        found = "nothing" if value is None else describe(value)
        raise failure("XPTY0004", f"{what} is a string, found {found}")
    text = str(value).strip(" \t\r\n")
    if STRING_FORMS["NCName"].fullmatch(text) is None:
        raise failure(code, f"{text[:60]!r} is no name for {what}")
    return text


@keyword("processing-instruction", "{")
@keyword("processing-instruction", "(name)")
@token("processing-instruction")
class ComputedInstruction(Computed):
    """``processing-instruction name { content }``."""

    def check_written(self) -> None:
        """Refuse prefixes."""
        if ":" in self.name.value or self.name.uri is not None:
            raise self.name.unexpected_here()

    def build(self, ctx: Context) -> Any:
        """Make the processing instruction."""
        if self.name is not None:
            target = self.name.value
        else:
            target = ncname_of(atomize_one(self._items[0].run(ctx), "target"), "XQDY0041", "a target")
        if target.lower() == "xml":
            raise failure("XQDY0064", "no processing instruction is named xml")
        text = joined_text(self.content_of(ctx), ctx).lstrip(" \t\r\n")
        if "?>" in text:
            raise failure("XQDY0026", "a processing instruction holds '?>'")
        ctx.execution.meter.nodes(1)
        return ProcessingInstruction(target, text)


@keyword("namespace", "{")
@keyword("namespace", "(name)")
@token("namespace")
class ComputedNamespace(Computed):
    """``namespace prefix { uri }``."""

    def check_written(self) -> None:
        """Refuse prefixes."""
        if ":" in self.name.value or self.name.uri is not None:
            raise self.name.unexpected_here()

    def build(self, ctx: Context) -> Any:
        """Make the namespace node."""
        if self.name is not None:
            prefix = self.name.value
        else:
            value = atomize_one(self._items[0].run(ctx), "prefix")
            if value is None or (isinstance(value, (str, UntypedAtomic)) and not str(value)):
                prefix = ""
            else:
                prefix = ncname_of(value, "XQDY0074", "a prefix")
        uri = joined_text(self.content_of(ctx), ctx)
        if prefix == "xmlns" or (prefix == "xml") != (uri == XML_NAMESPACE) or uri == XMLNS or not uri:
            raise failure("XQDY0101", f"prefix {prefix!r} cannot be bound to {uri!r}")
        ctx.execution.meter.nodes(1)
        return Namespace(prefix, uri)
