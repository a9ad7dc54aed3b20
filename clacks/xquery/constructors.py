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
from clacks.xquery.builder import XML_ID, XMLNS, Builder, Constructor, is_fresh, joined_text
from clacks.xquery.casts import qname_of
from clacks.xquery.conversion import atomize, atomize_one, describe
from clacks.xquery.errors import failure
from clacks.xquery.lexer import NAME
from clacks.xquery.nodes import (
    XML_NAMESPACE,
    Attribute,
    Comment,
    Document,
    Element,
    Namespace,
    ProcessingInstruction,
    Text,
    expanded,
)
from clacks.xquery.tokens import keyword, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["Computed"]


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
                if match is not None and NAME.fullmatch(match.group(2)):
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
    if NAME.fullmatch(text) is None:
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
