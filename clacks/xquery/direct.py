"""Direct constructors: elements, comments and processing instructions written as XML (XQuery 3.1, 3.9.1).

Their text is read by ``scanner``; what they build goes through ``builder``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clacks.xquery.builder import XMLNS, Builder, Constructor, is_fresh, joined_text
from clacks.xquery.lexer import NAME, Unit
from clacks.xquery.nodes import XML_NAMESPACE, Attribute, Comment, Element, ProcessingInstruction
from clacks.xquery.scanner import Enclosed, Piece, Scanner
from clacks.xquery.tokens import Expression, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context

__all__ = ["DirectConstructor", "DirectElement"]

TEXT = re.compile(r"[^<{}&]+")
ATTRIBUTE_TEXT = {'"': re.compile(r'[^"<{}&]+'), "'": re.compile(r"[^'<{}&]+")}


class DirectAttribute(Expression):
    """An attribute of a direct element; items are text pieces and enclosed expressions.

    Attributes:
        name: Name token.
    """

    symbol = "direct-attribute"
    expanded_name = ""

    def text(self, ctx: Context) -> str:
        """Return the value."""
        parts = []
        for item in self._items:
            parts.append(item.value if isinstance(item, Piece) else joined_text(item.run(ctx), ctx))
        text = "".join(parts)
        ctx.execution.meter.text(len(text))
        return text


class DirectConstructor(Expression):
    """What begins with ``<`` where an operand is wanted."""

    def begin(self) -> Any:
        """Read the constructor and let the parser go on behind it."""
        scanner = Scanner(self.parser, self.span[0])
        made = read_constructor(self, scanner)
        self.parser.resume(scanner.offset)
        return made


def read_constructor(at: Expression, scanner: Scanner) -> Any:
    """Read an element, a comment or a processing instruction."""
    if scanner.at("<!--"):
        return DirectComment.at(at).read(scanner)
    if scanner.at("<?"):
        return DirectInstruction.at(at).read(scanner)
    return DirectElement.at(at).read(scanner)


@token("direct-comment")
class DirectComment(Constructor):
    """``<!--text-->``; ``value`` is the text."""

    def read(self, scanner: Scanner) -> Any:
        """Read it."""
        scanner.take("<!--")
        text = scanner.until("-->", "a comment")
        if "--" in text or text.endswith("-"):
            raise scanner.wrong("XPST0003", "a comment holds '--'")
        self.value = text
        return self

    def build(self, ctx: Context) -> Any:
        """Make the comment."""
        ctx.execution.meter.nodes(1)
        return Comment(self.value)


@token("direct-instruction")
class DirectInstruction(Constructor):
    """``<?target text?>``; ``value`` is the text."""

    target = ""

    def read(self, scanner: Scanner) -> Any:
        """Read it."""
        scanner.take("<?")
        match = NAME.match(scanner.source, scanner.offset)
        if match is None or match.group().lower() == "xml":
            raise scanner.wrong("XPST0003", "a target is missing or xml")
        self.target = match.group()
        scanner.offset = match.end()
        if scanner.space():
            self.value = scanner.until("?>", "a processing instruction")
        else:
            scanner.take("?>")
            self.value = ""
        return self

    def build(self, ctx: Context) -> Any:
        """Make the processing instruction."""
        ctx.execution.meter.nodes(1)
        return ProcessingInstruction(self.target, self.value)


@token("direct-element")
class DirectElement(Constructor):
    """``<name attributes>content</name>``; items are the attributes, then the content.

    Attributes:
        name: Name token.
        expanded_name: Expanded name.
        attributes: The ``direct-attribute`` tokens.
        content: Text pieces, enclosed expressions, direct constructors.
        namespaces: In-scope namespaces that the text declares, here and around.
        declared: Those of them that its own attributes declare.
    """

    expanded_name = ""

    def read(self, scanner: Scanner) -> Any:
        """Read the element."""
        parser = self.parser
        parser.nesting += 1
        parser.check_nesting(self.span[0])
        outer = parser.static
        scanner.take("<")
        self.name = scanner.name()
        self.read_attributes(scanner)
        self.static = parser.static
        self.finish_names()
        self.content: list[Any] = []
        if scanner.at("/>"):
            scanner.offset += 2
        else:
            scanner.take(">")
            self.read_content(scanner)
            scanner.take("</")
            closing = scanner.name()
            if closing.value != self.name.value:
                raise closing.wrong("XQST0118", f"</{closing.value}> closes <{self.name.value}>")
            scanner.space()
            scanner.take(">")
        parser.static = outer
        parser.nesting -= 1
        self._items = [*self.attributes, *self.content]
        return self

    def read_attributes(self, scanner: Scanner) -> None:
        """Read the attributes and bring the namespaces they declare into force.

        A declaration holds for the whole element, for expressions in attributes before it too. So where
        there are declarations the attributes are read twice, first only to find them.
        """
        parser = self.parser
        start = scanner.offset
        module, scope = parser.module, parser.scope
        marks = len(module.wanted_calls), len(module.wanted_variables)
        tolerated = parser.tolerated
        parser.tolerant += 1
        try:
            self.read_attributes_once(scanner)
        finally:
            parser.tolerant -= 1
        declared = self.declarations(scanner)
        self.declared = {prefix: uri for prefix, uri in declared.items() if uri}
        if not declared and parser.tolerated == tolerated:
            return
        if declared:
            default = declared.pop("", None)
            parser.static = parser.static.inner(declared, default)
            constructed = {**parser.static.constructed, **declared}
            if default is not None:
                constructed[""] = default
            parser.static.constructed = constructed
            parser.static.constructed = {p: u for p, u in parser.static.constructed.items() if u}
        if self.has_expressions and (declared or parser.tolerant == 0):
            del module.wanted_calls[marks[0] :]
            del module.wanted_variables[marks[1] :]
            assert scope is parser.scope
            scanner.offset = start
            self.read_attributes_once(scanner)

    def read_attributes_once(self, scanner: Scanner) -> None:
        """Read the attributes."""
        self.attributes: list[DirectAttribute] = []
        self.has_expressions = False
        while True:
            spaced = scanner.space()
            if scanner.at(">") or scanner.at("/>"):
                return
            if not spaced:
                raise scanner.wrong("XPST0003", "a space is missing before an attribute")
            self.parser.step(4)  # about what four tokens cost
            name = scanner.name()
            scanner.space()
            scanner.take("=")
            scanner.space()
            attribute = DirectAttribute.at(name)
            attribute.name = name
            self.read_value(scanner, attribute)
            self.attributes.append(attribute)

    def read_value(self, scanner: Scanner, attribute: DirectAttribute) -> None:
        """Read a quoted attribute value."""
        quote = scanner.source[scanner.offset : scanner.offset + 1]
        if quote not in ('"', "'") or not quote:
            raise scanner.wrong("XPST0003", "the value of an attribute is missing")
        scanner.offset += 1
        literal = ATTRIBUTE_TEXT[quote]
        parts: list[str] = []

        def flush() -> None:
            if parts:
                piece = Piece.at(attribute)
                piece.value = "".join(parts)
                attribute._items.append(piece)
                parts.clear()

        while True:
            self.parser.step(1)
            match = literal.match(scanner.source, scanner.offset)
            if match is not None:
                parts.append(re.sub(r"[\t\r\n]", " ", match.group()))
                scanner.offset = match.end()
            if scanner.at(quote * 2):
                parts.append(quote)
                scanner.offset += 2
            elif scanner.at(quote):
                scanner.offset += 1
                break
            elif scanner.at("{{") or scanner.at("}}"):
                parts.append(scanner.source[scanner.offset])
                scanner.offset += 2
            elif scanner.at("{"):
                flush()
                enclosed = Enclosed.at(attribute)
                self.has_expressions = True
                body = scanner.enclosed()
                enclosed._items = [] if body is None else [body]
                attribute._items.append(enclosed)
            elif scanner.at("&"):
                parts.append(scanner.reference())
            elif scanner.offset >= len(scanner.source):
                raise scanner.wrong("XPST0003", "the value of an attribute has no end")
            else:
                raise scanner.wrong(
                    "XPST0003", f"{scanner.source[scanner.offset]!r} in the value of an attribute"
                )
        flush()

    def declarations(self, scanner: Scanner) -> dict[str, str]:
        """Return the namespaces that the attributes declare, the default one under the empty prefix."""
        declared: dict[str, str] = {}
        for attribute in self.attributes:
            text = attribute.name.value
            if text != "xmlns" and not text.startswith("xmlns:"):
                continue
            prefix = text[6:]
            if any(not isinstance(item, Piece) for item in attribute._items):
                raise attribute.wrong("XQST0022", "the URI of a namespace declaration is written out")
            uri = "".join(item.value for item in attribute._items)
            uri = " ".join(uri.split())
            if prefix in declared:
                raise attribute.wrong("XQST0071", f"prefix {prefix!r} is declared twice")
            if prefix == "xmlns" or uri == XMLNS or (prefix == "xml") != (uri == XML_NAMESPACE):
                raise attribute.wrong("XQST0070", f"prefix {prefix!r} cannot be bound to {uri!r}")
            if prefix and not uri:
                raise attribute.wrong("XQST0085", f"prefix {prefix!r} cannot be undeclared")
            declared[prefix] = uri
        return declared

    def finish_names(self) -> None:
        """Resolve the names of element and attributes."""
        static = self.parser.static
        self.expanded_name = self.name.expand(static.element_namespace)
        self.attributes = [
            a for a in self.attributes if a.name.value != "xmlns" and not a.name.value.startswith("xmlns:")
        ]
        seen: set[str] = set()
        for attribute in self.attributes:
            attribute.expanded_name = attribute.name.expand("")
            if attribute.expanded_name in seen:
                raise attribute.wrong("XQST0040", f"two attributes are named {attribute.name.value}")
            seen.add(attribute.expanded_name)
        self.namespaces = {p: u for p, u in static.constructed.items() if p != "xml"}

    def read_content(self, scanner: Scanner) -> None:
        """Read up to the end tag."""
        parts: list[str] = []
        boundary = True
        keep = self.static.boundary_space

        def flush() -> None:
            nonlocal boundary
            if parts:
                text = "".join(parts)
                parts.clear()
                if keep or not (boundary and not text.strip(" \t\r\n")):
                    piece = Piece.at(self)
                    piece.value = text
                    self.content.append(piece)
            boundary = True

        while True:
            self.parser.step(2)
            match = TEXT.match(scanner.source, scanner.offset)
            if match is not None:
                parts.append(match.group())
                scanner.offset = match.end()
            if scanner.at("{{") or scanner.at("}}"):
                parts.append(scanner.source[scanner.offset])
                scanner.offset += 2
            elif scanner.at("{"):
                flush()
                enclosed = Enclosed.at(self)
                body = scanner.enclosed()
                enclosed._items = [] if body is None else [body]
                self.content.append(enclosed)
            elif scanner.at("</"):
                flush()
                return
            elif scanner.at("<![CDATA["):
                scanner.offset += 9
                parts.append(scanner.until("]]>", "a CDATA section"))
                boundary = False
            elif scanner.at("<"):
                flush()
                place = Expression(self.parser, Unit("operator", "<", scanner.offset, scanner.offset + 1))
                self.content.append(read_constructor(place, scanner))
            elif scanner.at("&"):
                parts.append(scanner.reference())
                boundary = False
            elif scanner.offset >= len(scanner.source):
                raise scanner.wrong("XPST0003", f"<{self.name.value}> has no end tag")
            else:
                raise scanner.wrong("XPST0003", "'}' in the content of an element")

    def build(self, ctx: Context) -> Any:
        """Make the element."""
        static = self.static
        element = Element(self.expanded_name, self.name.prefix, dict(self.namespaces), static.base_uri)
        builder = Builder(element, ctx, static, self.declared)
        for attribute in self.attributes:
            name = attribute.expanded_name
            builder.attribute(Attribute(name, attribute.text(ctx), attribute.name.prefix))
        for item in self.content:
            if isinstance(item, Piece):
                builder.text(item.value)
            elif isinstance(item, Constructor):
                builder.nested(item.build(ctx))
            elif item._items:
                body = item._items[0]
                builder.sequence(body.run(ctx), is_fresh(body))
        builder.finish()
        return element
