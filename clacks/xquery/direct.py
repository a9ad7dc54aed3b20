"""What is read as raw text: direct constructors, pragmas, string constructors (XQuery 3.1, 3.9.1, 3.10,
3.20).

The scanner works on the source by offsets. At an enclosed expression it lets the parser resume after the
brace and goes on after the closing one, which the parser has seen but not passed: the text behind it is
never read as tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clacks.common.errors import QuerySyntaxError
from clacks.xquery.constructors import XMLNS, Builder, Constructor, is_fresh, joined_text
from clacks.xquery.errors import syntax_failure
from clacks.xquery.lexer import NAME, NCNAME, Unit
from clacks.xquery.names import Name
from clacks.xquery.nodes import XML_NAMESPACE, Attribute, Comment, Element, ProcessingInstruction
from clacks.xquery.references import resolve_references
from clacks.xquery.tokens import Expression, token

if TYPE_CHECKING:
    from clacks.xquery.context import Context
    from clacks.xquery.parser import XQueryParser

__all__ = ["DirectConstructor", "DirectElement"]

QNAME = re.compile(f"{NCNAME}(?::{NCNAME})?")
SPACE = re.compile(r"[ \t\r\n]*")
TEXT = re.compile(r"[^<{}&]+")
REFERENCE = re.compile(r"&(?:#[0-9]+|#x[0-9a-fA-F]+|[A-Za-z]+);")
ATTRIBUTE_TEXT = {'"': re.compile(r'[^"<{}&]+'), "'": re.compile(r"[^'<{}&]+")}


class Scanner:
    """Reads raw text from an offset on."""

    def __init__(self, parser: XQueryParser, offset: int) -> None:
        self.parser = parser
        self.source = parser.source
        self.offset = offset

    def wrong(self, code: str, reason: str, offset: int | None = None) -> QuerySyntaxError:
        """Make an error here."""
        return syntax_failure(code, reason, self.source, self.offset if offset is None else offset)

    def at(self, text: str) -> bool:
        """Tell whether ``text`` is next."""
        return self.source.startswith(text, self.offset)

    def take(self, text: str) -> None:
        """Go over ``text``."""
        if not self.at(text):
            found = self.source[self.offset : self.offset + 10] or "the end of the query"
            raise self.wrong("XPST0003", f"unexpected {found!r}, wanted {text!r}")
        self.offset += len(text)

    def space(self) -> bool:
        """Go over whitespace and tell whether there was any."""
        match = SPACE.match(self.source, self.offset)
        assert match is not None
        moved = match.end() > self.offset
        self.offset = match.end()
        return moved

    def name(self) -> Name:
        """Read a QName."""
        match = QNAME.match(self.source, self.offset)
        if match is None:
            raise self.wrong("XPST0003", "a name is missing")
        start = self.offset
        self.offset = match.end()
        return Name(self.parser, Unit("name", match.group(), start, self.offset))

    def until(self, mark: str, what: str) -> str:
        """Read up to ``mark`` and go over it."""
        end = self.source.find(mark, self.offset)
        if end < 0:
            raise self.wrong("XPST0003", f"{what} has no end")
        text = self.source[self.offset : end]
        self.offset = end + len(mark)
        return text

    def reference(self) -> str:
        """Read a character reference or predefined entity."""
        match = REFERENCE.match(self.source, self.offset)
        if match is None:
            raise self.wrong("XPST0003", "'&' begins no reference")
        text = resolve_references(match.group(), self)
        self.offset = match.end()
        return text

    @property
    def span(self) -> tuple[int, int]:
        """Return the place, for errors of references."""
        return self.offset, self.offset

    def enclosed(self) -> Any:
        """Read ``{ Expr? }`` and return the expression, None if there is none."""
        parser = self.parser
        parser.resume(self.offset + 1)
        body = None if parser.next_token.symbol == "}" else parser.expression()
        closing = parser.next_token
        if closing.symbol != "}":
            raise parser.unexpected(closing, "'}'")
        self.offset = closing.span[1]
        return body


class Piece(Expression):
    """Literal text inside a direct constructor; ``value`` is the text."""

    symbol = "text-piece"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the text."""
        return [self.value]


class Enclosed(Expression):
    """An enclosed expression inside a direct constructor; its one item is the expression."""

    symbol = "enclosed"

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the expression."""
        return self._items[0].run(ctx) if self._items else []


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
        parser.tolerant += 1
        try:
            self.read_attributes_once(scanner)
        finally:
            parser.tolerant -= 1
        declared = self.declarations(scanner)
        self.declared = {prefix: uri for prefix, uri in declared.items() if uri}
        if not declared and not self.has_expressions:
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


@token("(#")
class Pragma(Expression):
    """``(# name text #) { Expr }``; we know no pragmas, so this is its one item."""

    def nud(self) -> Any:
        """Read the pragmas, then the expression."""
        parser = self.parser
        scanner = Scanner(parser, self.span[0])
        while scanner.at("(#"):
            scanner.offset += 2
            scanner.space()
            parser.resume(scanner.offset)
            name = parser.next_token
            if name.symbol != "(name)" or name.is_wildcard:
                raise parser.unexpected(name, "the name of a pragma")
            if name.uri is None and not name.prefix:
                raise name.wrong("XPST0081", "the name of a pragma has a prefix")
            name.find_namespace("")
            scanner.offset = name.span[1]
            if not scanner.space() and not scanner.at("#)"):
                raise scanner.wrong("XPST0003", "a space is missing in a pragma")
            scanner.until("#)", "a pragma")
            scanner.space()
        parser.resume(scanner.offset)
        body = parser.enclosed()
        if body is None:
            raise self.wrong("XQST0079", "an extension expression without a known pragma needs an expression")
        self._items = [body]
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Evaluate the expression."""
        value: Sequence[Any] = self._items[0].run(ctx)
        return value


@token("``[")
class StringConstructor(Expression):
    """``` ``[text `{Expr}` text]`` ```; items are text pieces and enclosed expressions."""

    def nud(self) -> Any:
        """Read up to the end."""
        parser = self.parser
        scanner = Scanner(parser, self.span[1])
        parts: list[Any] = []
        mark = re.compile(r"`\{|\]``")
        while True:
            found = mark.search(scanner.source, scanner.offset)
            if found is None:
                raise self.wrong("XPST0003", "a string constructor has no end")
            piece = Piece.at(self)
            piece.value = scanner.source[scanner.offset : found.start()]
            parts.append(piece)
            scanner.offset = found.end()
            if found.group() == "]``":
                break
            scanner.offset -= 1
            enclosed = Enclosed.at(self)
            body = scanner.enclosed()
            enclosed._items = [] if body is None else [body]
            scanner.take("`")
            parts.append(enclosed)
        self._items = parts
        parser.resume(scanner.offset)
        return self

    def run(self, ctx: Context) -> Sequence[Any]:
        """Return the string."""
        text = "".join(
            item.value if isinstance(item, Piece) else joined_text(item.run(ctx), ctx) for item in self._items
        )
        ctx.execution.meter.text(len(text))
        return [text]
