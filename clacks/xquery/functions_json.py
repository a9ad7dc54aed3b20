"""Functions on JSON (F&O 3.1, 17.5 and 22)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from clacks.xquery.context import Context
from clacks.xquery.conversion import convert
from clacks.xquery.errors import failure
from clacks.xquery.functions import FunctionItem
from clacks.xquery.functions_documents import text_at
from clacks.xquery.json_text import (
    escape_json,
    escape_special,
    read_json,
    replace_invalid,
    unescape_json,
)
from clacks.xquery.library import PREFIXES, function
from clacks.xquery.maps import XArray, XMap
from clacks.xquery.nodes import Attribute, Document, Element, Text
from clacks.xquery.types_parser import sequence_type
from clacks.xquery.values import double_of, double_text

__all__ = ["option"]

FN = PREFIXES["fn"]


def option(options: XMap | None, name: str, wanted: str, default: Any) -> Any:
    """Return one entry of an options map, converted to its type (F&O 3.1, 1.7)."""
    value = None if options is None else options.get(name)
    if value is None:
        return default
    converted = convert(value, sequence_type(wanted), f"option {name}")
    return converted[0] if converted else None


class Options:
    """The options that parse-json and json-to-xml share.

    Attributes:
        escape: Keep special characters escaped.
        duplicates: What to do with a key that is there twice.
    """

    def __init__(self, ctx: Context, options: XMap | None, choices: Sequence[str], default: str) -> None:
        option(options, "liberal", "xs:boolean", False)
        self.escape: bool = option(options, "escape", "xs:boolean", False)
        self.duplicates: str = option(options, "duplicates", "xs:string", default)
        if self.duplicates not in choices:
            raise failure("FOJS0005", f"duplicates must be one of {', '.join(choices)}")
        self.replace: Callable[[str], str] = lambda escaped: "\ufffd"
        given = None if options is None else options.get("fallback")
        if given is not None:
            if len(given) != 1 or not isinstance(given[0], FunctionItem) or given[0].arity != 1:
                raise failure("XPTY0004", "option fallback must be a function of one argument")
            if self.escape:
                raise failure("FOJS0005", "fallback and escape exclude each other")
            fallback = given[0]

            def call(escaped: str) -> str:
                answer = convert(
                    fallback.call(ctx, [[escaped]]), sequence_type("xs:string"), "result of fallback"
                )
                return str(answer[0])

            self.replace = call

    def string(self, raw: str) -> str:
        """Make the value of a string from what stands between the quotation marks."""
        text = unescape_json(raw)
        return escape_special(text) if self.escape else replace_invalid(text, self.replace)


class MapBuilder:
    """Makes maps and arrays; all values are sequences."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def text(self, raw: str) -> list[Any]:
        """Make a string."""
        return [self.options.string(raw)]

    def number(self, literal: str) -> list[Any]:
        """Make an xs:double."""
        return [float(literal)]

    def constant(self, value: bool | None) -> list[Any]:
        """Make a boolean, or the empty sequence for null."""
        return [] if value is None else [value]

    def array(self, members: list[Any]) -> list[Any]:
        """Make an array."""
        return [XArray(members)]

    def object(self, pairs: list[tuple[str, Any]]) -> list[Any]:
        """Make a map."""
        entries: dict[str, Any] = {}
        for raw, value in pairs:
            key = self.options.string(raw)
            if key in entries:
                if self.options.duplicates == "reject":
                    raise failure("FOJS0003", f"the key {key[:60]!r} is there twice")
                if self.options.duplicates == "use-first":
                    continue
            entries[key] = value
        return [XMap(entries.items())]


def parse(ctx: Context, text: str, options: XMap | None) -> Any:
    """Read JSON as maps and arrays."""
    checked = Options(ctx, options, ("reject", "use-first", "use-last"), "use-first")
    ctx.execution.meter.text(len(text))
    return read_json(text, MapBuilder(checked), ctx.execution.meter)


@function(
    "fn:parse-json($json-text as xs:string?) as item()?",
    "fn:parse-json($json-text as xs:string?, $options as map(*)) as item()?",
)
def parse_json(ctx: Context, text: str | None, options: XMap | None = None) -> Any:
    return None if text is None else parse(ctx, text, options)


@function(
    "fn:json-doc($href as xs:string?) as item()?",
    "fn:json-doc($href as xs:string?, $options as map(*)) as item()?",
)
def json_doc(ctx: Context, href: str | None, options: XMap | None = None) -> Any:
    return None if href is None else parse(ctx, text_at(ctx, href, None, xml_only=False), options)


class ElementBuilder:
    """Makes elements of the fn: namespace."""

    def __init__(self, options: Options, ctx: Context) -> None:
        self.options = options
        self.meter = ctx.execution.meter
        self.base = ctx.static.base_uri

    def element(self, local: str, content: str | None = None) -> Element:
        """Make an element, with text if there is some."""
        self.meter.nodes(2)
        made = Element(f"{{{FN}}}{local}", "", {"": FN}, self.base)
        if content:
            made.append(Text(content))
        return made

    def text(self, raw: str) -> Element:
        """Make a string element."""
        value = self.options.string(raw)
        made = self.element("string", value)
        if self.options.escape and "\\" in value:
            made.add_attribute(Attribute("escaped", "true"))
        return made

    def number(self, literal: str) -> Element:
        """Make a number element."""
        return self.element("number", literal)

    def constant(self, value: bool | None) -> Element:
        """Make a boolean or null element."""
        return self.element("null") if value is None else self.element("boolean", str(value).lower())

    def array(self, members: list[Any]) -> Element:
        """Make an array element."""
        made = self.element("array")
        for member in members:
            made.append(member)
        return made

    def object(self, pairs: list[tuple[str, Any]]) -> Element:
        """Make a map element."""
        made = self.element("map")
        seen: set[str] = set()
        for raw, value in pairs:
            plain = unescape_json(raw)
            if plain in seen:
                if self.options.duplicates == "reject":
                    raise failure("FOJS0003", f"the key {plain[:60]!r} is there twice")
                if self.options.duplicates == "use-first":
                    continue
            seen.add(plain)
            key = self.options.string(raw)
            value.add_attribute(Attribute("key", key))
            if self.options.escape and "\\" in key:
                value.add_attribute(Attribute("escaped-key", "true"))
            made.append(value)
        return made


@function(
    "fn:json-to-xml($json-text as xs:string?) as document-node()?",
    "fn:json-to-xml($json-text as xs:string?, $options as map(*)) as document-node()?",
)
def json_to_xml(ctx: Context, text: str | None, options: XMap | None = None) -> Any:
    if text is None:
        return None
    validate = option(options, "validate", "xs:boolean", False)
    checked = Options(ctx, options, ("reject", "use-first", "retain"), "reject" if validate else "retain")
    if validate:
        if checked.duplicates == "retain":
            raise failure("FOJS0005", "validate and duplicates=retain exclude each other")
        raise failure("FOJS0004", "there is no validation against schemas")
    meter = ctx.execution.meter
    meter.text(len(text))
    root = read_json(text, ElementBuilder(checked, ctx), meter)
    document = Document([root], ctx.static.base_uri)
    root.parent = document
    return document


# XML to JSON

JSON_NUMBER = re.compile(r"[ \t\r\n]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\r\n]*")
BOOLEANS = {"true": "true", "1": "true", "false": "false", "0": "false"}
KNOWN = frozenset({"map", "array", "number", "boolean", "null", "string"})
ESCAPED_PART = re.compile(r"\\(?:[\"\\/bfnrt]|u[0-9A-Fa-f]{4})|\\|[^\\]+", re.S)


def invalid(reason: str) -> Exception:
    """Make the error for XML that does not stand for JSON."""
    return failure("FOJS0006", reason)


class JsonWriter:
    """Writes the XML form of JSON as JSON text (17.5.4)."""

    def __init__(self, ctx: Context, indent: bool) -> None:
        self.meter = ctx.execution.meter
        self.indent = indent
        self.out: list[str] = []

    def put(self, text: str) -> None:
        """Write."""
        self.meter.text(len(text))
        self.out.append(text)

    def line(self, depth: int) -> None:
        """Begin a new line if output is indented."""
        if self.indent:
            self.put("\n" + "  " * depth)

    def element(self, element: Any, in_map: bool, depth: int) -> None:
        """Write one element."""
        self.meter.step()
        if element.kind != "element" or element.namespace != FN or element.local not in KNOWN:
            raise invalid(f"{element.lexical_name} does not stand for JSON")
        self.check_attributes(element, in_map or depth == 0)
        local = element.local
        if local in ("map", "array"):
            self.container(element, local == "map", depth)
            return
        children = [child for child in element.children if child.kind in ("element", "text")]
        if any(child.kind == "element" for child in children):
            raise invalid(f"{local} has elements in it")
        value = element_text(children)
        if local == "null":
            if value:
                raise invalid("null has text in it")
            self.put("null")
        elif local == "boolean":
            word = BOOLEANS.get(value.strip(" \t\r\n"))
            if word is None:
                raise invalid(f"{value[:40]!r} is no boolean")
            self.put(word)
        elif local == "number":
            self.put(number(value))
        else:
            self.put(f'"{quoted(value, flag(element, "escaped"))}"')

    def container(self, element: Any, is_map: bool, depth: int) -> None:
        """Write a map or an array."""
        if depth > 500:
            raise invalid("nested deeper than 500 levels")
        self.put("{" if is_map else "[")
        seen: set[str] = set()
        first = True
        for child in element.children:
            if child.kind == "text":
                if child.value.strip(" \t\r\n"):
                    raise invalid(f"{element.local} has text in it")
                continue
            if child.kind != "element":
                continue
            if not first:
                self.put(",")
            first = False
            self.line(depth + 1)
            if is_map:
                key = next((a.value for a in child.attributes if a.name == "key"), None)
                if key is None:
                    raise invalid("an entry of a map has no key")
                escaped = flag(child, "escaped-key")
                text = quoted(key, escaped)
                plain = unescape_json(key) if escaped else key
                if plain in seen:
                    raise invalid(f"the key {plain[:60]!r} is there twice")
                seen.add(plain)
                self.put(f'"{text}":')
                if self.indent:
                    self.put(" ")
            self.element(child, is_map, depth + 1)
        if not first:
            self.line(depth)
        self.put("}" if is_map else "]")

    @staticmethod
    def check_attributes(element: Any, in_map: bool) -> None:
        """Refuse attributes that the XML form of JSON does not have."""
        for attribute in element.attributes:
            if attribute.namespace == FN:
                raise invalid(f"an attribute {attribute.lexical_name}")
            if attribute.namespace:
                continue
            if attribute.name in ("key", "escaped-key"):
                if not in_map:
                    raise invalid(f"{attribute.name} outside of a map")
            elif attribute.name != "escaped":
                raise invalid(f"an attribute {attribute.name} of {element.local}")
            if attribute.name.startswith("escaped"):
                flag(element, attribute.name)


def element_text(children: list[Any]) -> str:
    """Return the text of an element that has only text."""
    return "".join(child.value for child in children)


def flag(element: Any, name: str) -> bool:
    """Return a boolean attribute."""
    value = next((a.value for a in element.attributes if a.name == name), "false")
    word = BOOLEANS.get(value.strip(" \t\r\n"))
    if word is None:
        raise invalid(f"{name} is {value[:40]!r}")
    return word == "true"


def number(text: str) -> str:
    """Write a number."""
    if JSON_NUMBER.fullmatch(text) is None:
        raise invalid(f"{text[:40]!r} is no number")
    value = double_of(text)
    if math.isinf(value):
        raise invalid(f"{text[:40]!r} is too large a number")
    return double_text(value)


def quoted(text: str, escaped: bool) -> str:
    """Escape a string for JSON; what is escaped already stays."""
    if not escaped:
        return escape_json(text)
    pieces = []
    for match in ESCAPED_PART.finditer(text):
        piece = match[0]
        if piece == "\\":
            raise failure("FOJS0007", f"a backslash that escapes nothing in {text[:60]!r}")
        pieces.append(piece if piece[0] == "\\" else escape_json(piece))
    return "".join(pieces)


@function(
    "fn:xml-to-json($input as node()?) as xs:string?",
    "fn:xml-to-json($input as node()?, $options as map(*)) as xs:string?",
)
def xml_to_json(ctx: Context, node: Any, options: XMap | None = None) -> str | None:
    indent = option(options, "indent", "xs:boolean", False)
    if node is None:
        return None
    if node.kind == "document":
        elements = [child for child in node.children if child.kind == "element"]
        if len(elements) != 1 or any(c.kind == "text" and c.value.strip(" \t\r\n") for c in node.children):
            raise invalid("the document has not one element in it")
        node = elements[0]
    if node.kind != "element":
        raise invalid(f"a {node.kind} node does not stand for JSON")
    writer = JsonWriter(ctx, indent)
    writer.element(node, False, 0)
    return "".join(writer.out)
